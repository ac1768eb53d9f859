"""X2 and X3 links: PDUs a second from a client with its buffer to a server in another process, over TLS on loopback.

Beside it, in the same run, the limit: the same octets written to the same TLS by nobody, and read by nobody. The clock
is what this machine did, with both ends and what else runs; processor time is what a core of its own would need.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from imswire import inet, x2x3
from midcall.base.lab_pki import LabPki, uri
from midcall.base.seal import SealKey
from midcall.base.tls import Identity, PeerName, client_context, server_context
from midcall.base.tls_end import TlsEnd
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch, Journal, TlsPeer, X2Client, X2LinkSettings, X2Server, X3Reader
from midcall.events import DialogId, Instant, Side, SipReport, SipSeen
from scripts.bench.common import show

SIP = b"INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: 1\r\n" + b"X-Filler: " + b"x" * 700 + b"\r\n\r\n"
TOGETHER = 100  # PDUs that the POI gives at once
AHEAD = 32  # such groups that it gives before it waits for the disk
SETTINGS = X2LinkSettings(buffer_octets=256 << 20)
MODES = ("plain", "parse", "media")


def sip_reports(count: int) -> list[bytes]:
    """As the POI encodes them: numbers, times, matched identity, context for the own DF2."""
    encoder = Encoder(Node("cscf-1", "sip-1"))
    dialog = DialogId("1", "a", "b")
    xid = "29f28e1c-f230-486a-a860-f5a784ab9172"
    return [
        encoder.pdu(
            SipReport(
                xid,
                "sip:alice@example.com",
                b"\1" * 8,
                dialog,
                SipSeen(SIP, "192.0.2.1:5060", "192.0.2.2:5060", Instant(10**18 + n, n), n),
                Side.CALLER,
            )
        )
        for n in range(count)
    ]


def rtp_packets(count: int) -> list[bytes]:
    """Format 5, one stream of G.711."""
    held = (x2x3.Attribute(x2x3.AttributeType.NFID, b"agw-1"), x2x3.Attribute(x2x3.AttributeType.IPID, b"media"))
    stream = x2x3.X3Template(x2x3.Pdu(2, 5, 2, bytes(16), b"\1" * 8, held))
    packet = inet.udp_frame(inet.pack("192.0.2.1"), 4_000, inet.pack("192.0.2.2"), 4_002, bytes(172))[14:]
    return stream.pdus(0, [(10**18 + n, packet) for n in range(count)])


# The other end, in a process of its own


async def serve(folder: Path, mode: str) -> None:
    """Print the port; read until the first connection ends; print processor time."""
    identity = Identity(folder / "df.pem", folder / "df.key", folder / "ca.pem")
    ended = asyncio.Event()
    begun = time.process_time()

    async def swallow(receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        while await receive.read(1 << 18):
            pass
        send.close()
        ended.set()

    reader = X3Reader()

    async def commit(batch: Batch) -> None:
        if mode == "media":
            reader.x3_packets(batch.packets)

    if mode == "plain":
        plain = await asyncio.start_server(swallow, "127.0.0.1", 0, ssl=server_context(identity), limit=1 << 18)
        print(plain.sockets[0].getsockname()[1], flush=True)
        await ended.wait()
        plain.close()
    else:
        server = X2Server(commit, report=lambda event: ended.set() if event.state == "down" else None)
        end = TlsEnd(server_context(identity), PeerName(uri("poi")))
        print((await server.listen_tls("127.0.0.1", 0, end))[1], flush=True)
        await ended.wait()
        await server.stop(1)
    print(time.process_time() - begun, flush=True)


class Other:
    """The process of :func:`serve`."""

    def __init__(self, folder: Path, mode: str) -> None:
        code = "import asyncio, sys; from pathlib import Path; from scripts.bench.x2_link import serve; asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))"  # noqa: E501
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", code, str(folder), mode], stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def core(self) -> float:
        """Processor time that it took since it listened."""
        seconds = float(self._line())
        self._process.wait()
        return seconds


class Figure:
    """PDUs over the clock, over our processor time, over theirs."""

    def __init__(self, folder: Path, mode: str, count: int, run: Callable[[TlsPeer], Awaitable[None]]) -> None:
        other = Other(folder, mode)
        identity = Identity(folder / "poi.pem", folder / "poi.key", folder / "ca.pem")
        peer = TlsPeer("127.0.0.1", other.port, TlsEnd(client_context(identity), PeerName(uri("df"))), "127.0.0.1")
        clock, core = time.perf_counter(), time.process_time()

        async def running() -> None:
            await run(peer)

        asyncio.run(running())
        self.clock = count / (time.perf_counter() - clock)
        self.core = count / (time.process_time() - core)
        self.theirs = count / other.core()


def write_plain(pdus: list[bytes]) -> Callable[[TlsPeer], Awaitable[None]]:
    async def run(peer: TlsPeer) -> None:
        _, send = await peer.open(1 << 16, 10)
        for at in range(0, len(pdus), TOGETHER):
            send.write(b"".join(pdus[at : at + TOGETHER]))
            await send.drain()
        send.close()
        await send.wait_closed()

    return run


def through_client(pdus: list[bytes], folder: Path | None) -> Callable[[TlsPeer], Awaitable[None]]:
    async def run(peer: TlsPeer) -> None:
        kept = None if folder is None else Journal(folder / f"{time.time_ns()}.db", SealKey(bytes(32)))
        client = X2Client(peer, journal=kept, settings=SETTINGS)
        running = asyncio.create_task(client.run())
        for at in range(0, len(pdus), TOGETHER * AHEAD):
            last = None
            for begin in range(at, min(at + TOGETHER * AHEAD, len(pdus)), TOGETHER):
                last = client.put(pdus[begin : begin + TOGETHER])
            if last is not None:
                await last
            await asyncio.sleep(0)
        client.stop(120)
        await running
        if client.counters.released != len(pdus):
            raise SystemExit(f"{len(pdus) - client.counters.released} PDUs were not proved")

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pdus", type=int, default=100_000, help="PDUs for each figure")
    parser.add_argument("--folder", type=Path, help="where the buffers stand (default: where temporary files do)")
    count = parser.parse_args().pdus
    place = parser.parse_args().folder
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        LabPki(folder).make(("poi", "df"))
        for what, mode, pdus in (("X2", "parse", sip_reports(count)), ("X3", "media", rtp_packets(count))):
            plain = Figure(folder, "plain", count, write_plain(pdus))
            for kind, buffer in (("durable", folder), ("memory", None)):
                ours = Figure(folder, mode, count, through_client(pdus, buffer))
                title = f"{what} of {len(pdus[-1])} octets, {kind} buffer"
                show(f"{title}, clock", ours.clock, "PDU/s", plain.clock, "plain TLS")
                show(f"{title}, POI's core", ours.core, "PDU/s", plain.core, "plain TLS")
                show(f"{title}, DF2's core", ours.theirs, "PDU/s", plain.theirs, "plain TLS")


if __name__ == "__main__":
    main()

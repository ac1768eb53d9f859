"""The LEMF: content records received over TLS, validated, hashed and stored, beside TLS and a file alone.

Floor: 150 000 records a second (172 octets of RTP) on one core; the sender is another process.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imswire import hi
from midcall.base import tls
from midcall.base.lab_pki import LabPki
from midcall.base.tls_end import TlsEnd
from midcall.lemf import Lemf, Link
from midcall.lemf.shell.media import MediaFiles
from midcall.lemf.shell.server import Receiver
from midcall.lemf.shell.store import Store
from scripts.bench.common import show

BEGIN = time.time_ns() - 3_600_000_000_000
PACKET_NS = 10_000_000  # two directions of 20 ms
HASH_EVERY = 100  # a second of a call
SDP = b"c=IN IP4 198.51.100.7\r\nm=audio 4000 RTP/AVP 8\r\n"
CHUNK = 1 << 18


def call(liid: bytes, cin: int, records: int) -> list[bytes]:
    """A two-way call with a hash a second; its records in order."""
    header = hi.Header(liid, hi.CommunicationId(b"operator", b"node", cin, "SE"), 0, 0, "SE", qualifier=1)
    ways = [hi.CcTemplate(header, way, hi.IpmmStream(identifier=SDP)).pdu for way in (0, 1)]
    out: list[bytes] = []
    since: list[tuple[int, bytes]] = []
    checks = 0
    for number in range(records):
        rtp = b"\x80\x08" + (number // 2 & 0xFFFF).to_bytes(2, "big") + (number // 2 * 160).to_bytes(4, "big")
        octets = ways[number & 1](number, BEGIN + number * PACKET_NS, rtp + b"SSR%d" % (number & 1) + b"\xd5" * 160)
        out.append(octets)
        since.append((number, octets))
        if len(since) == HASH_EVERY or number == records - 1:
            digest = hashlib.sha256(b"".join(each for _, each in since)).digest()
            check = hi.IntegrityCheck(tuple(each for each, _ in since), hi.CheckType.HASH, hi.DataType.CC, digest)
            at = hi.Header(liid, header.cid, checks, BEGIN + number * PACKET_NS, "SE")
            out.append(hi.build(hi.PsPdu(at, check)))
            checks += 1
            since = []
    return out


def delivery(calls: int, records: int, mixed: bool = False) -> tuple[bytes, int]:
    """Calls side by side, four under each LIID, as they would come; and how many PS-PDUs these are.

    ``mixed``: each has a LIID of another length than the one before it, and CINs have one, two or three octets.
    """
    liids = [b"LIID%04d" if mixed and n % 2 else b"LIID%03d" for n in range(calls)]
    cins = [n << 8 * (n % 3) if mixed else n for n in range(calls)]
    each = [call(liid % (n // 4), cin, records // calls) for n, (liid, cin) in enumerate(zip(liids, cins, strict=True))]
    pdus = [pdu for at_once in zip(*each, strict=True) for pdu in at_once]
    return b"".join(pdus), len(pdus)


def in_memory(octets: bytes, folder: Path) -> tuple[float, float]:
    """Records a second of processor time, judged, and written as media: all of them, with all that comes between."""
    lemf = Lemf()
    link, media = Link(lemf, "bench"), MediaFiles(lambda _: folder, lambda _: None)
    judged = written = 0.0
    now, clock = time.time_ns(), time.process_time
    for place in range(0, len(octets), CHUNK):
        begun = clock()
        batch = link.receive(octets[place : place + CHUNK], now)
        middle = clock()
        for call, packets in batch.media:
            media.write(call, packets)
        ended = clock()
        judged, written = judged + middle - begun, written + ended - middle
        for intercept in batch.stored:
            intercept.hi3.clear()
    begun = clock()
    media.close_all()
    written += clock() - begun
    assert not lemf.findings.take() and not lemf.uncovered
    return lemf.pdus / judged, lemf.pdus / written


class _Plain(asyncio.Protocol):
    """TLS and a file, nothing else: the limit of this way of receiving."""

    def __init__(self, path: Path, size: int, done: asyncio.Event) -> None:
        self._file, self._left, self._done = path.open("wb", buffering=0), size, done

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        self._done.set()

    def data_received(self, data: bytes) -> None:
        self._file.write(data)
        self._left -= len(data)
        if self._left <= 0:
            self._done.set()

    def connection_lost(self, _: Exception | None) -> None:
        self._file.close()


def sender(folder: Path, port: int) -> None:
    """In a process of its own: all octets, then wait for the answer to the acknowledgement request, or the end."""
    octets = (folder / "octets").read_bytes()
    context = tls.client_context(tls.Identity(folder / "df.pem", folder / "df.key", folder / "ca.pem"))
    plain = socket.create_connection(("127.0.0.1", port))
    with plain, context.wrap_socket(plain, server_hostname="localhost") as link:
        view = memoryview(octets)
        for place in range(0, len(view), CHUNK):
            link.sendall(view[place : place + CHUNK])
        link.recv(1 << 16)


async def _timed(folder: Path, port: int, done: Callable[[], bool], wake: asyncio.Event) -> tuple[float, float]:
    """Wall and processor seconds from the connection until all is there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"from scripts.bench.lemf import *; sender(Path({str(folder)!r}), {port})"
    )
    await asyncio.wait_for(wake.wait(), 60)  # connected: the sender has started
    wake.clear()
    begun, used = time.perf_counter(), time.process_time()
    while not done():
        await asyncio.wait_for(wake.wait(), 60)
        wake.clear()
    taken = time.perf_counter() - begun, time.process_time() - used
    process.terminate()
    await process.wait()
    return taken


async def through_plain(folder: Path, size: int) -> tuple[float, float]:
    wake = asyncio.Event()
    path = folder / "plain"
    context = tls.server_context(tls.Identity(folder / "lemf.pem", folder / "lemf.key", folder / "ca.pem"))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Plain(path, size, wake), "127.0.0.1", 0, ssl=context)
    taken = await _timed(
        folder, server.sockets[0].getsockname()[1], lambda: path.exists() and path.stat().st_size >= size, wake
    )
    server.close()
    path.unlink()
    return taken


async def through_lemf(folder: Path, out: Path, records: int) -> tuple[float, float]:
    wake = asyncio.Event()
    identity = tls.Identity(folder / "lemf.pem", folder / "lemf.key", folder / "ca.pem")
    end = TlsEnd.server(identity, tls.PeerName())
    receiver = Receiver(Lemf(), Store(out), end, tell=lambda *_: wake.set())
    flush = receiver.flush

    async def flushed() -> None:
        await flush()
        wake.set()

    receiver.flush = flushed  # type: ignore[method-assign]
    _, port = await receiver.start("127.0.0.1", 0)
    taken = await _timed(folder, port, lambda: receiver.lemf.pdus >= records, wake)
    await receiver.stop()
    assert receiver.findings == 0, (out / "findings.jsonl").read_text()[:500]
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--calls", type=int, default=64)
    given = parser.parse_args()
    octets, count = delivery(given.calls, given.records)
    request = hi.PsPdu(hi.Header(b"LIID000", hi.CommunicationId(b"operator"), 0, BEGIN, "SE"), hi.AckRequest())
    octets += hi.build(request)
    print(f"{given.records} records of {given.calls} calls, {len(octets) >> 20} MB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        LabPki(folder).make(("df", "lemf"))
        (folder / "octets").write_bytes(octets)
        wall, used = min(asyncio.run(through_plain(folder, len(octets))) for _ in range(2))
        limit = given.records / used
        print(f"TLS and a file alone: {wall:.2f} s, {used:.2f} s of processor")
        runs = [in_memory(octets, folder) for _ in range(3)]
        judged, written = (max(figures) for figures in zip(*runs, strict=True))
        show("judged and hashed, in memory", judged, "rec/s", limit, "TLS+file")
        show("pcap and WAV, in memory", written, "rec/s", limit, "TLS+file")
        mixed = delivery(given.calls, given.records, mixed=True)[0]
        unlike = max(in_memory(mixed, folder)[0] for _ in range(3))
        show("judged and hashed, mixed prefixes", unlike, "rec/s", judged, "equal ones")
        together = 1 / (1 / judged + 1 / written + 1 / limit)
        show("all of it, on a core of its own", together, "rec/s", limit, "TLS+file")
        best = min(asyncio.run(through_lemf(folder, folder / f"out{n}", count)) for n in range(3))
        show("received, judged, stored, WAV and pcap, here", given.records / best[1], "rec/s", limit, "TLS+file")
        print(f"wall clock, with the sender on another core: {given.records / best[0]:,.0f} rec/s")


if __name__ == "__main__":
    main()

"""Captures: reading, scanning for destinations, decoding, rewriting; beside a bare struct loop over the same octets.

Floor: 1 000 000 packets a second scanned on a fast core, nothing matching.
"""

from __future__ import annotations

import argparse
import io
from struct import Struct

from imswire import inet, pcap
from scripts.bench.common import rate, show

PACKETS = 50_000
VOICE = 182
VIDEO = 1_200


def capture(payload: int, vlans: tuple[int, ...] = ()) -> bytes:
    """Packets of a hundred flows, interleaved."""
    a, b = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
    records = [pcap.file_header(inet.ETHERNET)]
    for number in range(PACKETS):
        body = number.to_bytes(4, "big") * (payload // 4)
        port = 10_000 + 2 * (number % 100)
        frame = inet.udp_frame(a, port, b, port, body, vlans=vlans, identification=number & 0xFFFF)
        records.append(pcap.record(number * 100_000, frame))
    return b"".join(records)


def as_pcapng(octets: bytes) -> bytes:
    """The same frames, each in an enhanced packet block."""
    blocks = [pcap.ng_section(inet.ETHERNET)]
    for batch in pcap.Reader(io.BytesIO(octets).read).batches():
        blocks += [pcap.ng_packet(time, frame) for time, frame, _ in batch]
    return b"".join(blocks)


def bare(octets: bytes) -> None:
    """Record header, addresses and ports of each frame by struct; nothing is checked, nothing kept."""
    header = Struct("<IIII").unpack_from
    fields = Struct("!12xHBxHxxHxB2x4s4sHHH").unpack_from
    position, end = 24, len(octets)
    while position < end:
        _, _, captured, _ = header(octets, position)
        fields(octets, position + 16)
        position += 16 + captured


def read(octets: bytes) -> None:
    for _ in pcap.Reader(io.BytesIO(octets).read).batches():
        pass


def scan(octets: bytes) -> None:
    wanted = {inet.endpoint_key(inet.pack("203.0.113.1"), 9)}
    reader = pcap.Reader(io.BytesIO(octets).read)
    peek = inet.peek_udp(reader.link_type)
    for batch in reader.batches():
        for _, frame, _ in batch:
            found = peek(frame)
            if found is None or found[0] in wanted:
                raise ValueError("a packet of the benchmark is not plain")


def sift(octets: bytes) -> None:
    """As the replay does: no record is made of what is passed over."""
    wanted = {inet.endpoint_key(inet.pack("203.0.113.1"), 9)}
    reader = pcap.Reader(io.BytesIO(octets).read)
    sieve = pcap.Sieve(inet.plain_udp(reader.link_type, wanted.__contains__, frozenset(b"A")), 1 << 40)
    given = sum(1 for _, records in reader.sifted(sieve) for _ in records)
    if given > 2 * (1 + len(octets) // pcap.CHUNK):
        raise ValueError("a packet of the benchmark is not plain")


def decode(octets: bytes) -> None:
    reader = pcap.Reader(io.BytesIO(octets).read)
    decode_frame = inet.decoder(reader.link_type)
    for batch in reader.batches():
        for _, frame, _ in batch:
            decode_frame(frame)


def rewrite(frames: list[bytes], clear: bytes, rewriter: inet.UdpRewriter) -> None:
    for frame in frames:
        rewriter.rewrite(frame, clear)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    voice, tagged = capture(VOICE), capture(VOICE, (5,))
    blocks = as_pcapng(voice)
    loop = rate(PACKETS, lambda: bare(voice), seconds)
    show("bare struct loop", loop, "pkt/s", loop, "itself")
    for name, run, octets in (
        ("reading", read, voice),
        ("sifting, nothing matching", sift, voice),
        ("reading pcapng", read, blocks),
        ("sifting pcapng, nothing matching", sift, blocks),
        ("reading and scanning", scan, voice),
        ("reading and scanning, VLAN", scan, tagged),
        ("reading and decoding", decode, voice),
        ("reading and decoding, VLAN", decode, tagged),
    ):
        figure = rate(PACKETS, lambda r=run, o=octets: r(o), seconds)  # type: ignore[misc]
        show(name, figure, "pkt/s", loop, "the bare loop")
    for payload in (VOICE, VIDEO):
        octets = capture(payload)
        size = (len(octets) - 24) // PACKETS
        frames = [octets[at + 16 : at + size] for at in range(24, len(octets), 100 * size)]  # one flow
        clear, rewriter = bytes(range(256)) * 5, inet.UdpRewriter(inet.ETHERNET)
        figure = rate(
            len(frames),
            lambda f=frames, c=clear[: payload - 10], r=rewriter: rewrite(f, c, r),  # type: ignore[misc]
            seconds,
        )
        show(f"rewriting, {payload - 10} octets of payload", figure, "pkt/s", loop, "the bare loop")


if __name__ == "__main__":
    main()

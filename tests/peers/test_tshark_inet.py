"""Frames that imswire.inet makes, in the eyes of tshark: every checksum good, every payload found."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import inet, pcap

pytestmark = pytest.mark.peer

PAIRS = (
    (inet.pack("192.0.2.1"), inet.pack("198.51.100.7")),
    (inet.pack("2001:db8::1"), inet.pack("2001:db8:5::7")),
)
VLANS = ((), (5,), (5, 6))
PAYLOADS = (b"", b"a", b"ab", b"\xff" * 333, bytes(range(256)) * 4)
FIELDS = ("ip.checksum.status", "udp.checksum.status", "tcp.checksum.status", "data.data", "_ws.malformed")
GOOD = "1"
Peer = Callable[[str], Path]


def dissect(tshark: Path, folder: Path, frames: list[bytes], link_type: int = inet.ETHERNET) -> list[list[str]]:
    """The values of FIELDS, frame by frame."""
    capture = folder / "frames.pcap"
    capture.write_bytes(pcap.file_header(link_type) + b"".join(pcap.record(0, frame) for frame in frames))
    command = [str(tshark), "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=a"]
    for protocol in ("ip", "udp", "tcp"):
        command += ["-o", f"{protocol}.check_checksum:TRUE"]
    for field in FIELDS:
        command += ["-e", field]
    command += ["-d", "udp.port==40000,data", "-d", "tcp.port==40000,data"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def judge(rows: list[list[str]], expected: list[tuple[bytes, inet.Datagram]]) -> None:
    """Every row: checksums good where the protocol has them, the payload as expected, nothing malformed."""
    assert len(rows) == len(expected)
    for (ip, udp, tcp, data, malformed), (payload, datagram) in zip(rows, expected, strict=True):
        assert ip == (GOOD if len(datagram.src) == 4 else "")
        assert (udp, tcp) == ((GOOD, "") if datagram.protocol == inet.UDP else ("", GOOD))
        assert bytes.fromhex(data) == payload
        assert malformed == ""


def whole(frame: bytes, link_type: int = inet.ETHERNET) -> inet.Datagram:
    decoded = inet.decode(link_type, frame)
    assert isinstance(decoded, inet.Datagram)
    return decoded


def test_frames_that_were_built(peer: Peer, tmp_path: Path) -> None:
    expected = []
    for src, dst in PAIRS:
        seq = 7
        for vlans in VLANS:
            for payload in PAYLOADS:
                udp = inet.udp_frame(src, 40_000, dst, 40_000, payload, vlans=vlans)
                tcp = inet.tcp_frame(src, 40_000, dst, 40_000, payload, seq=seq, ack=9, vlans=vlans)
                seq += len(payload)
                expected += [(payload, whole(udp)), (payload, whole(tcp))]
    judge(dissect(peer("tshark"), tmp_path, [each.frame for _, each in expected]), expected)


@pytest.mark.parametrize("link_type", [inet.ETHERNET, inet.RAW, inet.LINUX_SLL, inet.LINUX_SLL2, inet.NULL])
def test_frames_that_were_rewritten(peer: Peer, tmp_path: Path, link_type: int) -> None:
    frames, expected = [], []
    for src, dst in PAIRS:
        for length in range(60):
            for vlans in VLANS if link_type == inet.ETHERNET else VLANS[:1]:
                built = inet.udp_frame(src, 40_000, dst, 40_000, bytes(range(70)), vlans=vlans)
                frame = behind(link_type, built)
                payload = bytes(3 * at & 0xFF for at in range(length))
                frames.append(inet.replace_udp_payload(link_type, frame, payload))
                expected.append((payload, whole(frames[-1], link_type)))
    judge(dissect(peer("tshark"), tmp_path, frames, link_type), expected)


def behind(link_type: int, frame: bytes) -> bytes:
    """The packet of an Ethernet frame behind another link header."""
    ethertype, packet = frame[12:14], frame[14:]
    family = b"\x02\0\0\0" if ethertype == b"\x08\0" else b"\x1e\0\0\0"
    headers = {
        inet.ETHERNET: frame[:14],
        inet.RAW: b"",
        inet.LINUX_SLL: b"\0\0\0\x01\0\x06" + bytes(8) + ethertype,
        inet.LINUX_SLL2: ethertype + b"\0\0" + b"\0\0\0\x01" + b"\0\x01\0\x06" + bytes(8),
        inet.NULL: family,
    }
    return headers[link_type] + packet


def test_fragments_and_what_they_were(peer: Peer, tmp_path: Path) -> None:
    payload = bytes(at % 251 for at in range(4001))
    frames: list[bytes] = []
    reassembler = inet.Reassembler()
    for src, dst in PAIRS:
        frame = inet.udp_frame(src, 40_000, dst, 40_000, payload, identification=77, vlans=(5,))
        pieces = inet.fragment_frame(inet.ETHERNET, frame, 1500, identification=78)
        frames += pieces
        fragments = [inet.decode(inet.ETHERNET, piece) for piece in pieces]
        done = [reassembler.add(each, 0) for each in fragments if isinstance(each, inet.Fragment)]
        assert done[-1] is not None
        frames.append(inet.replace_udp_payload(inet.ETHERNET, done[-1].frame, payload[:-10]))
    rows = dissect(peer("tshark"), tmp_path, frames)
    assert [row[3] for row in rows if row[1]] == [payload.hex(), payload[:-10].hex()] * 2
    assert {row[0] for row in rows[:4]} == {GOOD}
    assert [row[1] for row in rows if row[1]] == [GOOD] * 4
    assert not any(row[4] for row in rows)

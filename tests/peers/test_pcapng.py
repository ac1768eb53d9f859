"""Captures written by Wireshark's tools are read as tshark reads them; tunnels are where tshark finds them."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import inet, pcap
from tests.scenarios.test_captures import TUNNELS

pytestmark = pytest.mark.peer
Peer = Callable[[str], Path]
CAPTURES = Path(__file__).parents[1] / "data" / "captures"
SOURCES = [CAPTURES / f"linux-{kind}.pcap" for kind in ("ethernet", "sll", "sll2")]
A, B = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")


def seen(tshark: Path, capture: Path, *fields: str) -> list[list[str]]:
    wanted = [argument for field in fields for argument in ("-e", field)]
    command = [tshark, "-r", capture, "-T", "fields", "-E", "occurrence=a", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def ours(capture: Path) -> list[list[str]]:
    with capture.open("rb") as file:
        batches = pcap.Reader(file.read).batches()
        records = [(batch.link_type, *record) for batch in batches for record in batch]
    return [
        [f"{time // 10**9}.{time % 10**9:09}", str(len(frame)), str(original)] for _, time, frame, original in records
    ]


@pytest.mark.parametrize("form", ["pcapng", "nsecpcap", "pcap", "modpcap"])
def test_forms_of_editcap(peer: Peer, tmp_path: Path, form: str) -> None:
    editcap, tshark = peer("editcap"), peer("tshark")
    capture = tmp_path / "capture"
    subprocess.run([editcap, "-F", form, "-s", "60", SOURCES[0], capture], check=True)
    if form == "modpcap":
        with pytest.raises(pcap.PcapError, match="no magic number"):
            ours(capture)
        return
    assert ours(capture) == seen(tshark, capture, "frame.time_epoch", "frame.cap_len", "frame.len")
    packed = tmp_path / "capture.gz"
    packed.write_bytes(gzip.compress(capture.read_bytes()))
    assert ours(packed) == ours(capture)


def test_interfaces_of_mergecap(peer: Peer, tmp_path: Path) -> None:
    mergecap, tshark = peer("mergecap"), peer("tshark")
    capture = tmp_path / "capture"
    subprocess.run([mergecap, "-F", "pcapng", "-w", capture, *SOURCES], check=True)
    assert ours(capture) == seen(tshark, capture, "frame.time_epoch", "frame.cap_len", "frame.len")
    with capture.open("rb") as file:
        links = {batch.link_type for batch in pcap.Reader(file.read).batches()}
    assert links == {inet.ETHERNET, inet.LINUX_SLL, inet.LINUX_SLL2}


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_tshark_finds_the_same_inside(peer: Peer, tmp_path: Path, tunnel: str) -> None:
    capture = tmp_path / "capture.pcap"
    frame = TUNNELS[tunnel](inet.udp_frame(A, 1111, B, 2222, b"inside"))
    capture.write_bytes(pcap.file_header(1) + pcap.record(0, frame))
    ((addresses, ports),) = seen(peer("tshark"), capture, "ip.dst", "udp.dstport")
    assert addresses.split(",")[-1] == "198.51.100.7" and ports.split(",")[-1] == "2222"

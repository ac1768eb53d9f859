"""X2/X3 streams that imswire.x2x3 builds, in the eyes of tshark's dissector 5gli.

tshark knows attributes 5 to 18; later ones it steps over. It has no dissector of HEP.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import inet, pcap, x2x3
from imswire.hi import ts33128
from imswire.x2x3 import Attribute, Direction, Pdu, PduType, SipCopy, exchange
from tests.imswire.hi.samples import EPS
from tests.imswire.x2x3.samples import A4, A6, B4, B6, EVERY, HEAD, KEEPALIVE, SDP, SIP, START, STREAM, TIME, XID
from tests.imswire.x2x3.test_exchange import MESSAGES
from tests.imswire.x2x3.test_ims import MESSAGE, SOI

pytestmark = pytest.mark.peer
Peer = Callable[[str], Path]
PORT = 42_069
HEADER = ("ver", "type", "hl", "pl", "pf", "pd", "xid", "cid")
HELD = {
    5: "did", 6: "nfid", 7: "ipid", 9: "ts", 10: "srcip", 11: "dstip", 12: "srcipv6", 13: "dstipv6",
    14: "srcport", 15: "dstport", 16: "ipproto", 17: "mti", 18: "oti",
}  # fmt: skip


def capture(folder: Path, pdus: list[bytes]) -> Path:
    """One connection that carries the PDUs, up to three in a segment: tshark 4.0 puts no PDU of two together."""
    seq, records = 1, []
    for at in range(0, len(pdus), 3):
        piece = b"".join(pdus[at : at + 3])
        records.append(pcap.record(at, inet.tcp_frame(A4, 50_000, B4, PORT, piece, seq=seq)))
        seq += len(piece)
    path = folder / "x2x3.pcap"
    path.write_bytes(pcap.file_header(inet.ETHERNET) + b"".join(records))
    return path


def dissect(tshark: Path, folder: Path, pdus: list[bytes], *names: str) -> list[list[str]]:
    """Values of the fields, in order. Those of attributes come twice: tshark has them in a heading and below it."""
    command = [str(tshark), "-n", "-r", str(capture(folder, pdus)), "-d", f"tcp.port=={PORT},5gli", "-T", "fields"]
    command += ["-E", "occurrence=a", "-E", "separator=|", "-E", "aggregator=;"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"}
    )
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [[value for row in rows for value in row[place].split(";") if value] for place in range(len(names))]


def everything() -> list[Pdu]:
    rtp = x2x3.X3Template(STREAM)
    keepalive = x2x3.parse(KEEPALIVE)
    return [
        x2x3.parse(START),
        x2x3.xiri(HEAD, MESSAGE),
        x2x3.xiri(HEAD, SOI),
        x2x3.xiri(HEAD, ts33128.ImsCcUnavailable("media not anchored")),
        x2x3.sip(HEAD, SipCopy(SIP, A4, B4, 5062, 5060, 17), Direction.TO_TARGET),
        x2x3.sip(HEAD, SipCopy(SIP, A6, B6), Direction.FROM_TARGET),
        x2x3.start_of_interception(HEAD, EPS["start-of-interception"]),
        *(exchange.pdu(HEAD, message) for message in MESSAGES),
        keepalive,
        x2x3.acknowledgement(keepalive),
        rtp.full(0, TIME, inet.udp_frame(A4, 4_000, B4, 4_002, bytes(172))[14:], SDP),
        Pdu(PduType.X3, 6, Direction.TO_TARGET, XID, attributes=EVERY, payload=inet.udp_frame(A6, 1, B6, 2, b"x")[14:]),
        Pdu(PduType.X3, 8, Direction.TO_TARGET, XID, attributes=EVERY, payload=b"\x80" + bytes(171)),
    ]


def test_headers(peer: Peer, tmp_path):
    pdus = everything()
    names = [f"li5g.{name}" for name in HEADER]
    columns = dissect(peer("tshark"), tmp_path, [x2x3.build(pdu) for pdu in pdus], *names)
    assert columns[0] == ["5"] * len(pdus)
    assert columns[1] == [str(int(pdu.kind)) for pdu in pdus]
    assert columns[2] == [str(len(x2x3.build(pdu)) - len(pdu.payload)) for pdu in pdus]
    assert columns[3] == [str(len(pdu.payload)) for pdu in pdus]
    assert columns[4] == [str(int(pdu.format)) for pdu in pdus]
    assert columns[5] == [str(int(pdu.direction)) for pdu in pdus]
    assert columns[6] == [x2x3.xid_text(pdu.xid) for pdu in pdus]
    assert columns[7] == [pdu.correlation.hex() for pdu in pdus]


def test_nothing_is_malformed(peer: Peer, tmp_path):
    octets = [x2x3.build(pdu) for pdu in everything()]
    assert dissect(peer("tshark"), tmp_path, octets, "_ws.malformed", "_ws.expert.message") == [[], []]


def test_attributes(peer: Peer, tmp_path):
    octets = [x2x3.build(Pdu(2, 16, 3, XID, attributes=EVERY, payload=b"x"))]
    columns = dissect(peer("tshark"), tmp_path, octets, *(f"li5g.{name}" for name in HELD.values()), "li5g.sq")
    values = dict(zip(HELD, (column[0] for column in columns), strict=False))
    by_type = {each.type: each.value for each in EVERY}
    for type_, shown in values.items():
        value = by_type[type_]
        if type_ in (10, 11, 12, 13):
            assert inet.pack(shown) == value
        elif type_ == 9:
            assert shown == "Nov 14, 2023 22:13:20.123456789 UTC"
        elif isinstance(value, int):
            assert shown == str(value)
        else:
            assert bytes.fromhex(shown) == (value.encode() if isinstance(value, str) else value)
    assert columns[-1] == ["4294967295"] * 2


def test_payloads_are_found(peer: Peer, tmp_path):
    """An IP packet of format 5 is dissected as what it is."""
    packet = inet.udp_frame(A4, 4_000, B4, 4_002, bytes(40))[14:]
    pdus = x2x3.X3Template(STREAM).pdus(0, [(TIME, packet)])
    path = capture(tmp_path, pdus)
    command = [
        str(peer("tshark")),
        "-n",
        "-r",
        str(path),
        "-d",
        f"tcp.port=={PORT},5gli",
        "-T",
        "fields",
        "-e",
        "udp.dstport",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["4002"]


def test_what_tshark_thinks_of_attributes_it_does_not_know(peer: Peer, tmp_path):
    held = (Attribute(99, b"later"), EVERY[7], EVERY[8])
    octets = [x2x3.build(Pdu(2, 16, 3, XID, attributes=held, payload=b"x"))]
    columns = dissect(peer("tshark"), tmp_path, octets, "li5g.sq", "_ws.malformed")
    assert columns == [["4294967295"] * 2, []]

"""MIKEY messages in the eyes of tshark: RFC 3830's own, and of MIKEY-TICKET what it knows (header, T, IDR, V).

Not asked of version 4.0: CERT (it takes the length from the octet of the type), CHASH (it stops there), and keys
of a KEMAC behind the first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imswire import inet, mikey, pcap
from imswire.mikey import values as v
from imswire.mikey.payloads import write_chain
from tests.imswire.mikey.vectors import SETS

pytestmark = pytest.mark.peer

MIKEY_PORT = 2269
Peer = Callable[[str], Path]
ALICE, BOB = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")


def dissect(tshark: Path, folder: Path, messages: list[bytes], fields: tuple[str, ...]) -> list[list[list[str]]]:
    """For each message the values of each field, in order."""
    capture = folder / "mikey.pcap"
    frames = [inet.udp_frame(ALICE, 40_000, BOB, MIKEY_PORT, message) for message in messages]
    capture.write_bytes(pcap.file_header(inet.ETHERNET) + b"".join(pcap.record(0, frame) for frame in frames))
    command = [str(tshark), "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [[value.split(";") if value else [] for value in line.split("\t")] for line in done.stdout.splitlines()]


def numbers(column: list[str]) -> list[int]:
    return [int(each, 0) for each in column]


SESSIONS = (v.SrtpSession(1, 0xCAFEBABE, 0), v.SrtpSession(2, 0, 0xFFFFFFFF))
SP = v.Sp(
    1,
    0,
    (
        (0, b"\1"),
        (1, b"\x10"),
        (2, b"\1"),
        (3, b"\x14"),
        (4, b"\x0e"),
        (7, b"\1"),
        (8, b"\1"),
        (10, b"\1"),
        (11, b"\4"),
    ),
)
KEY = v.KeyData(mikey.KeyType.TGK_SALT, b"K" * 16, b"S" * 14, v.Validity(mikey.KvType.SPI, b"\x07\x08"))


def message(payloads: list[v.Payload], **header: Any) -> bytes:
    fields = {"map_type": mikey.MapType.SRTP_ID, "sessions": SESSIONS, "expects_response": True}
    return mikey.build(v.Header(mikey.DataType.PSK_INIT, 0, 0xDEADBEEF, **fields | header), payloads)


def sealed(key: v.KeyData) -> v.Kemac:
    return v.Kemac(mikey.EncrAlg.NULL, write_chain([key]))


def test_header(peer: Peer, tmp_path: Path) -> None:
    messages = [
        message([v.Timestamp(0, bytes(8)), v.Rand(bytes(16)), v.Kemac(0, b"")]),
        message([v.Timestamp(0, bytes(8))], sessions=(), expects_response=False),
        message([v.Timestamp(1, b"\xeb" * 8), v.Err(5)], sessions=(), map_type=mikey.MapType.EMPTY),
    ]
    names = ("version", "type", "next_payload", "v.set", "prf_func", "csb_id", "cs_count", "cs_id_map_type")
    maps = ("srtp_id.policy_no", "srtp_id.ssrc", "srtp_id.roc")
    rows = dissect(peer("tshark"), tmp_path, messages, tuple(f"mikey.{name}" for name in names + maps))
    for octets, row in zip(messages, rows, strict=True):
        read = mikey.parse(octets)
        first = [numbers(column)[0] for column in row[:8]]
        assert first == [
            1,
            read.header.data_type,
            read.payloads[0].payload_type,
            read.header.expects_response,
            read.header.prf,
            read.header.csb_id,
            len(read.header.sessions),
            read.header.map_type,
        ]
        sessions = zip(*(numbers(column) for column in row[8:]), strict=True)
        assert tuple(v.SrtpSession(*each) for each in sessions) == read.header.sessions


def test_payloads_of_rfc_3830(peer: Peer, tmp_path: Path) -> None:
    octets = message(
        [
            v.Timestamp(0, bytes.fromhex("eb1f040080000000")),
            v.Rand(bytes(range(20))),
            v.Id(1, b"sip:alice@example.com"),
            v.Id(0, b"bob@example.com"),
            SP,
            sealed(KEY),
            v.Pke(1, b"envelope" * 32),
            v.Extension(1, b"mikey"),
            v.Extension(0, b"vendor"),
            v.V(1, b"v" * 20),
        ]
    )
    expected = {
        "t.ts_type": ["0"],
        "rand.data": [bytes(range(20)).hex()],
        "id.type": ["1", "0"],
        "id.data": ["sip:alice@example.com", "bob@example.com"],
        "sp.no": ["1"],
        "sp.encr_alg": ["1"],
        "sp.encr_len": ["16"],
        "sp.auth_alg": ["1"],
        "sp.auth_key_len": ["20"],
        "sp.salt_len": ["14"],
        "sp.auth_tag_len": ["4"],
        "kemac.encr_alg": ["0"],
        "kemac.mac_alg": ["0"],
        "key.type": ["1"],
        "key.kv": ["1"],
        "key.data": [KEY.key.hex()],
        "key.salt": [KEY.salt.hex()],
        "key.kv.spi": ["0708"],
        "pke.c": ["1"],
        "pke.data": [(b"envelope" * 32).hex()],
        "ext.type": ["1", "0"],
        "ext.value": ["mikey"],
        "ext.data": [b"vendor".hex()],
        "v.auth_alg": ["1"],
        "v.ver_data": [(b"v" * 20).hex()],
    }
    (row,) = dissect(peer("tshark"), tmp_path, [octets], (*(f"mikey.{name}" for name in expected), "_ws.malformed"))
    assert dict(zip([*expected, "malformed"], row, strict=True)) == expected | {"malformed": []}


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (v.Sign(0, b"signature"), {"sign.type": ["0"], "sign.data": [b"signature".hex()]}),
        (v.Dh(1, b"d" * 96), {"dh.group": ["1"], "dh.value": [(b"d" * 96).hex()], "dh.kv": ["0"]}),
        (v.Err(7), {"err.no": ["7"]}),
        (v.Idr(2, 1, b"sip:bob@example.com"), {"id.role": ["2"], "id.data": ["sip:bob@example.com"]}),
        (v.Sakke(1, 1, b"sakke"), {"sakke.params": ["1"], "sakke.idscheme": ["1"], "sakke.data": [b"sakke".hex()]}),
        (sealed(v.KeyData(mikey.KeyType.TGK, b"M" * 16)), {"key.type": ["0"], "key.kv": ["0"]}),
        (
            sealed(v.KeyData(mikey.KeyType.TEK, b"L" * 32, b"", v.Validity(2, b"", b"from12", b"to3456"))),
            {"key.type": ["2"], "key.kv.from": [b"from12".hex()], "key.kv.to": [b"to3456".hex()]},
        ),
        (
            v.Kemac(1, b"encrypted", 1, b"m" * 20),
            {"kemac.key_data": [b"encrypted".hex()], "kemac.mac": [(b"m" * 20).hex()]},
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_other_payloads(peer: Peer, tmp_path: Path, last: v.Payload, expected: dict[str, list[str]]) -> None:
    octets = message([v.Timestamp(0, bytes(8)), last])
    (row,) = dissect(peer("tshark"), tmp_path, [octets], tuple(f"mikey.{name}" for name in expected))
    assert dict(zip(expected, row, strict=True)) == expected


def test_what_it_knows_of_ticket_requests(peer: Peer, tmp_path: Path) -> None:
    """RFC 6043's data types have no name there, but their empty map, T and first payloads are read."""
    names = ("REQUEST_INIT_PSK", "REQUEST_RESP", "RESOLVE_INIT_PSK", "RESOLVE_RESP")
    messages = [each[name] for each in SETS for name in names]
    fields = ("mikey.type", "mikey.csb_id", "mikey.t.ts_type", "mikey.prf_func")
    for octets, row in zip(messages, dissect(peer("tshark"), tmp_path, messages, fields), strict=True):
        header = mikey.parse(octets).header
        assert [numbers(column)[0] for column in row] == [header.data_type, header.csb_id, 0, header.prf]

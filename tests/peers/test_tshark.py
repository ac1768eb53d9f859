"""tshark reads what we write, and reads the same: SIP, SDP, RTP, MIKEY's header and RFC 3830 payloads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import inet, mikey, pcap, sdp, sip, srtp
from imswire.mikey import values as v
from midcall.ue import lab
from tests.imswire.mikey.vectors import SETS
from tests.scenarios.world import BEGIN, World, truth

pytestmark = pytest.mark.peer
Peer = Callable[[str], Path]


def fields(tshark: Path, capture: Path, display: str, *names: str, options: tuple[str, ...] = ()) -> list[list[str]]:
    """Rows of field values of the frames that match."""
    command = [str(tshark), "-n", "-r", str(capture), "-Y", display, "-T", "fields", *options]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.fixture
def call(tmp_path):
    world = World()
    made = world.call()
    made.establish(world.held())
    made.talk(1)
    made.hang_up()
    capture = tmp_path / "call.pcap"
    capture.write_bytes(lab.write_capture(world.wire))
    return world, made, capture


def test_sip(peer: Peer, call):
    world, _, capture = call
    names = ("sip.Call-ID", "sip.CSeq.seq", "sip.CSeq.method", "sip.from.tag", "sip.to.tag", "sip.Status-Code")
    rows = fields(peer("tshark"), capture, "sip", *names, "sip.Via.branch")
    messages = [inet.decode(1, frame).payload for _, frame in world.wire.in_order() if b"SIP/2.0" in frame]
    assert len(rows) == len(messages) == 7
    for row, octets in zip(rows, messages, strict=True):
        message = sip.parse(octets)
        assert row == [
            message.call_id,
            str(message.cseq.number),
            message.cseq.method,
            message.from_tag or "",
            message.to_tag or "",
            "" if message.status is None else str(message.status),
            message.top_branch,
        ]


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::1"])
def test_sdp(peer: Peer, tmp_path, address):
    """Without MIKEY-TICKET in it: tshark gives up on a description in which it cannot read MIKEY."""
    world = World()
    peer_address = "10.0.0.2" if "." in address else "2001:db8::2"
    call = world.call(world.party("alice", address=address, video=True), world.party("bob", address=peer_address))
    call.request("INVITE", call.caller, call.sdp(call.caller, [], direction="sendonly"), initial=True)
    capture = tmp_path / "sdp.pcap"
    capture.write_bytes(lab.write_capture(world.wire))
    names = ("sdp.media.media", "sdp.media.port", "sdp.media.proto", "sdp.connection_info.address", "sdp.media.format")
    (row,) = fields(peer("tshark"), capture, "sdp", *names)
    (_, frame), *_ = world.wire.in_order()
    lines = sdp.parse(sip.parse(inet.decode(1, frame).payload).sdp).media
    assert row[0] == ",".join(line.kind for line in lines)
    assert row[1] == ",".join(str(line.port) for line in lines)
    assert row[2] == ",".join(line.proto for line in lines)
    assert row[3] == lines[0].address == address
    assert [line.direction for line in lines] == ["sendonly", "sendonly"]


def test_media_pcap(peer: Peer, call, tmp_path):
    """Decrypted RTP under the original headers, checksums right, at the original times."""
    world, made, _ = call
    folder = tmp_path / "out"
    folder.mkdir()
    world.replay(folder, start=0.6)
    rows = fields(
        peer("tshark"), folder / "media.pcap", "rtp", "rtp.ssrc", "rtp.seq", "rtp.payload", "ip.src", "udp.dstport",
        "ip.checksum.status", "udp.checksum.status", "frame.time_epoch",
        options=("-d", "udp.port==40000,rtp", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"),
    )  # fmt: skip
    sent = [(at, party, clear) for at, party, clear in made.sent if at - BEGIN >= 600_000_000]
    assert len(rows) == len(sent) == len(truth(made, 0.6))
    for row, (at, party, clear) in zip(rows, sent, strict=True):
        header = srtp.rtp_header(clear)
        assert row[:3] == [f"0x{header.ssrc:08x}", str(header.sequence), clear[12:].hex()]
        assert row[3:7] == [party.address, "40000", "1", "1"]
        assert abs(float(row[7]) - at / 1e9) < 2e-6


def in_udp(tmp_path: Path, *messages: bytes) -> Path:
    """Bare MIKEY on its port 2269."""
    frames = [inet.udp_frame(b"\x0a\0\0\1", 2269, b"\x0a\0\0\2", 2269, each) for each in messages]
    capture = tmp_path / "mikey.pcap"
    capture.write_bytes(pcap.file_header(1) + b"".join(pcap.record(0, frame) for frame in frames))
    return capture


def rfc_3830_message() -> bytes:
    """Without CERT and CHASH: tshark 4.0 reads a certificate's length one octet too early, and no CHASH at all."""
    return mikey.build(
        v.Header(mikey.DataType.PSK_INIT, 0, 0x12345678, 0, (v.SrtpSession(1, 0xCAFEBABE, 7),), True),
        [
            v.Timestamp(0, bytes.fromhex("eb1f040000000000")),
            v.Rand(bytes(range(16))),
            v.Id(1, b"sip:alice@example.com"),
            v.Sp(1, 0, ((0, b"\1"), (1, b"\x10"), (11, b"\x0a"))),
            v.Pke(1, b"envelope"),
            v.Extension(1, b"mikey"),
            v.Idr(1, 1, b"sip:bob@example.com"),
            v.Kemac(1, b"encrypted", 1, bytes(range(20))),
        ],
    )


def test_mikey_payloads_of_rfc_3830(peer: Peer, tmp_path):
    capture = in_udp(tmp_path, rfc_3830_message())
    done = subprocess.run(
        [str(peer("tshark")), "-n", "-r", str(capture), "-T", "json", "-J", "mikey", "-d", "udp.port==2269,mikey"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (packet,) = json.loads(done.stdout)
    found = json.dumps(packet["_source"]["layers"]["mikey"])
    for name, value in (
        ("mikey.type", "0"),
        ("mikey.csb_id", "0x12345678"),
        ("mikey.srtp_id.ssrc", "0xcafebabe"),
        ("mikey.rand.data", ":".join(f"{octet:02x}" for octet in range(16))),
        ("mikey.id.data", "sip:alice@example.com"),
        ("mikey.sp.param.len", "1"),
        ("mikey.kemac.key_data", ":".join(f"{octet:02x}" for octet in b"encrypted")),
        ("mikey.kemac.mac", ":".join(f"{octet:02x}" for octet in range(20))),
        ("mikey.pke.len", None),
        ("mikey.ext.len", None),
    ):
        assert name in found, f"tshark shows no {name}"
        if value is not None:
            assert value in found, f"{name} is not {value}"
    assert "malformed" not in found.lower()


def test_headers_of_the_request_and_resolve_vectors(peer: Peer, tmp_path):
    messages = [
        s[name] for s in SETS for name in ("REQUEST_INIT_PSK", "REQUEST_RESP", "RESOLVE_INIT_PSK", "RESOLVE_RESP")
    ]
    rows = fields(
        peer("tshark"), in_udp(tmp_path, *messages), "mikey",
        "mikey.version", "mikey.type", "mikey.v.set", "mikey.csb_id",
        "mikey.cs_count", "mikey.cs_id_map_type", options=("-d", "udp.port==2269,mikey"),
    )  # fmt: skip
    assert len(rows) == len(messages)
    for row, octets in zip(rows, messages, strict=True):
        header = mikey.parse(octets).header
        expects = "1" if header.expects_response else "0"
        flag = {"True": "1", "False": "0"}.get(row[2], row[2])
        assert row[:2] == ["0x01", str(header.data_type)] or row[:2] == ["1", str(header.data_type)]
        assert (flag, row[3], row[4], row[5]) == (expects, f"0x{header.csb_id:08x}", "0", "1")

"""The dissector for Wireshark: every field of every vector where it stands, and no fault whatever the octets are."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

from imswire import inet, pcap
from imswire.mikey.fields import Group, fields
from tests.imswire.mikey.sakke_vectors import OWN, UIDS
from tests.imswire.mikey.vectors import every_message

pytestmark = pytest.mark.peer
Peer = Callable[[str], Path]
SCRIPT = Path(__file__).parents[2] / "scripts" / "wireshark" / "mikey_ticket.lua"
A, B = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
BEFORE = 42  # Ethernet, IPv4, UDP
MESSAGES = every_message()
MESSAGES["SAKKE, monthly identifiers"] = bytes.fromhex(OWN["I_MESSAGE"])
MESSAGES["SAKKE, hashed identifiers"] = bytes.fromhex(UIDS["I_MESSAGE"])


def run(tshark: Path, capture: Path, *arguments: str) -> str:
    command = [tshark, "-X", f"lua_script:{SCRIPT}", "-r", capture, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if "could be dangerous" not in line]
    assert not lines, lines
    return done.stdout


def captured(tmp_path: Path, messages: list[bytes]) -> Path:
    capture = tmp_path / "messages.pcap"
    frames = (inet.udp_frame(A, 40_000, B, 2269, octets) for octets in messages)
    capture.write_bytes(pcap.file_header(1) + b"".join(pcap.record(n, each) for n, each in enumerate(frames)))
    return capture


def shown(packet: ElementTree.Element) -> set[tuple[int, int]]:
    """Offset in the message and length of every field that the dissector names."""
    found = packet.iter("field")
    named = [each for each in found if each.get("name", "").startswith("mikeyticket.")]
    return {(int(each.get("pos", 0)) - BEFORE, int(each.get("size", 0))) for each in named}


def expected(groups: tuple[Group, ...]) -> set[tuple[int, int]]:
    own = {(each.offset, each.octets) for group in groups for each in group.fields if each.octets}
    return own | {place for group in groups for place in expected(group.inside)}


def test_every_field_of_every_vector(peer: Peer, tmp_path: Path) -> None:
    capture = captured(tmp_path, list(MESSAGES.values()))
    packets = ElementTree.fromstring(run(peer("tshark"), capture, "-T", "pdml")).findall("packet")  # noqa: S314
    assert len(packets) == len(MESSAGES)
    for packet, (name, octets) in zip(packets, MESSAGES.items(), strict=True):
        assert expected(fields(octets)) <= shown(packet), name
        assert not [each for each in packet.iter("field") if "malformed" in each.get("name", "")], name
        values = {
            (int(each.get("pos", 0)) - BEFORE, int(each.get("size", 0))): each.get("value")
            for each in packet.iter("field")
            if each.get("name", "").startswith("mikeyticket.") and not each.get("unmaskedvalue")
        }
        for (offset, size), value in values.items():
            assert value == octets[offset : offset + size].hex(), (name, offset)


def test_names_and_flags(peer: Peer, tmp_path: Path) -> None:
    capture = captured(tmp_path, [MESSAGES["2-TRANSFER_INIT"]])
    text = run(peer("tshark"), capture, "-V")
    for line in (
        "MIKEY TRANSFER_INIT, CSB 1382a20c",
        "TICKET, flags DEFGHINO",
        "CS ID map type: GENERIC-ID (2)",
        "IDR, IDRpsk",
        "TS role: TRe end (3)",
        "I: keys are forked: 1",
        "J: may be reused: 0",
        "Session encr. key length: 32",
        "MAC algorithm: HMAC-SHA-256-256 (2)",
    ):
        assert line in text, line
    filtered = run(peer("tshark"), capture, "-Y", "mikeyticket.ticket.flag.i == 1 && mikeyticket.data_type == 14")
    assert "[MIKEY TRANSFER_INIT CSB 1382a20c]" in filtered


@pytest.mark.parametrize("level", ["session", "media"])
def test_inside_session_descriptions(peer: Peer, tmp_path: Path, level: str) -> None:
    attribute = f"a=key-mgmt:mikey {b64encode(MESSAGES['1-TRANSFER_INIT']).decode()}\r\n"
    media = "m=audio 4000 RTP/SAVP 0\r\n"
    body = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    body += attribute + media if level == "session" else (media + attribute) * 2
    head = (
        "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
        f"Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    capture = tmp_path / "sip.pcap"
    frame = inet.udp_frame(A, 5060, B, 5060, (head + body).encode())
    capture.write_bytes(pcap.file_header(1) + pcap.record(0, frame))
    text = run(peer("tshark"), capture, "-V")
    assert text.count("MIKEY TRANSFER_INIT, CSB ffbf0323") == (1 if level == "session" else 2)
    assert "TICKET, flags DEFGHNO" in text


def test_damaged_messages_are_no_fault_of_the_script(peer: Peer, tmp_path: Path) -> None:
    chance = Random(1)  # noqa: S311
    damaged = []
    for octets in MESSAGES.values():
        damaged += [octets[:cut] for cut in range(10, len(octets), 23)]
        for _ in range(40):
            changed = bytearray(octets)
            for _ in range(chance.randint(1, 5)):
                changed[chance.randrange(1, len(changed))] = chance.choice((0, 1, 255, chance.randrange(256)))
            damaged.append(bytes(changed) + bytes(chance.randrange(3)))
    text = run(peer("tshark"), captured(tmp_path, damaged), "-V")
    assert text.count("MIKEY ") >= len(damaged)
    assert "Lua Error" not in text and "octets end" in text and "behind the last payload" in text

"""HEP: what Kamailio sends, what others may send, what is refused."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import hep, sip
from imswire.errors import WireError
from imswire.hep import Hep, HepError, Splitter

KAMAILIO = json.loads((Path(__file__).parents[1] / "data/hep/kamailio-siptrace.json").read_text())
PLAIN, AUTH = ([bytes.fromhex(each["octets"]) for each in KAMAILIO[kind]] for kind in ("plain", "auth"))
LOOPBACK = {4: b"\x7f\0\0\1", 6: bytes(15) + b"\1"}
A4, B4 = b"\xc0\x00\x02\x01", b"\xc6\x33\x64\x07"
BYE = b"BYE sip:bob@example.com SIP/2.0\r\nCall-ID: 1\r\n\r\n"
TIME = 1_700_000_000_123_456_000
MESSAGE = Hep(A4, B4, 5062, 5060, BYE, TIME, agent=7, key=b"key", correlation=b"1@a", keepalive=30, vlan=12)


def chunk(type_: int, value: bytes, vendor: int = 0) -> bytes:
    return vendor.to_bytes(2, "big") + type_.to_bytes(2, "big") + (6 + len(value)).to_bytes(2, "big") + value


def packet(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return b"HEP3" + (6 + len(body)).to_bytes(2, "big") + body


NEEDED = (
    chunk(3, A4),
    chunk(4, B4),
    chunk(7, b"\x13\xc6"),
    chunk(8, b"\x13\xc4"),
    chunk(11, b"\x01"),
    chunk(15, BYE),
)
LEAST = Hep(A4, B4, 5062, 5060, BYE)


def pieces(octets: bytes) -> list[bytes]:
    """The chunks of a datagram."""
    found, at = [], 6
    while at < len(octets):
        end = at + int.from_bytes(octets[at + 4 : at + 6], "big")
        found.append(octets[at:end])
        at = end
    return found


# Kamailio


@pytest.mark.parametrize("number, version, protocol", [(0, 4, 17), (1, 6, 17), (2, 4, 6)])
@pytest.mark.parametrize("sent, key", [(PLAIN, None), (AUTH, b"lab-capture-key")])
def test_kamailio(sent, key, number, version, protocol):
    found = hep.parse(sent[number])
    assert found.source == found.destination == LOOPBACK[version]
    assert (found.protocol, found.kind, found.agent, found.key) == (protocol, hep.ProtocolType.SIP, 2026, key)
    assert found.destination_port == 15_060 and (protocol == 6 or found.source_port == 15_070)
    assert found.time is not None and found.time % 1_000 == 0
    message = sip.parse(found.payload)
    assert message.call_id == f"hep-{number + 1}@example.com" and message.cseq.method == "OPTIONS"


@pytest.mark.parametrize("octets", PLAIN + AUTH)
def test_an_agent_of_ours_sends_the_same_octets(octets):
    assert hep.build(hep.parse(octets)) == octets


@pytest.mark.parametrize("octets", PLAIN + AUTH)
@given(data=st.data())
def test_the_order_of_chunks_does_not_matter(octets, data):
    shuffled = data.draw(st.permutations(pieces(octets)))
    assert hep.parse(packet(*shuffled)) == hep.parse(octets)


@pytest.mark.parametrize("octets", PLAIN + AUTH)
def test_agents_that_send_the_addresses_behind_the_rest(octets):
    family, protocol, source, destination, *rest = pieces(octets)
    common, behind = rest[:6], rest[6:]
    assert hep.parse(packet(family, protocol, *common, source, destination, *behind)) == hep.parse(octets)


# Values

_NUMBERS = {width: st.integers(0, 256**width - 1) for width in (1, 2, 4)}
_OCTETS = st.none() | st.binary(max_size=20)


def hep_of(length: int) -> st.SearchStrategy[Hep]:
    address = st.binary(min_size=length, max_size=length)
    time = st.builds(lambda s, us: s * 10**9 + us * 1_000, _NUMBERS[4], st.integers(0, 999_999))
    return st.builds(
        Hep, address, address, _NUMBERS[2], _NUMBERS[2], st.binary(max_size=40), st.none() | time, _NUMBERS[1],
        _NUMBERS[1], st.none() | _NUMBERS[4], _OCTETS, _OCTETS, st.none() | _NUMBERS[2], st.none() | _NUMBERS[2],
    )  # fmt: skip


@given(hep_of(4) | hep_of(16))
def test_round_trip(message):
    assert hep.parse(hep.build(message)) == message


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda body: packet(body)))
def test_nothing_but_its_own_error(octets):
    try:
        hep.parse(octets)
    except WireError:
        return


@given(st.sampled_from(PLAIN + AUTH), st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_nothing_but_its_own_error_of_what_is_nearly_right(octets, place, change):
    try:
        hep.parse(octets[:place] + change + octets[place + len(change) :])
    except WireError:
        return


def test_the_least():
    found = hep.parse(packet(*NEEDED))
    assert found == LEAST and found.time is None and found.agent is None


def test_chunks_of_vendors_and_unknown_types_are_skipped():
    assert hep.parse(packet(chunk(15, b"other", 5), *NEEDED, chunk(36, b"x"), chunk(0xFFFF, b""))) == LEAST
    assert hep.parse(hep.build(MESSAGE)[:4] + packet(*pieces(hep.build(MESSAGE)), chunk(1, b"\xff", 2))[4:]) == MESSAGE


def test_the_first_chunk_of_a_type_counts():
    assert hep.parse(packet(*NEEDED, chunk(15, b"second"), chunk(7, b"\0\0"))) == LEAST
    assert hep.parse(packet(*pieces(PLAIN[0]), chunk(15, b"second"), chunk(7, b"\0\0"))) == hep.parse(PLAIN[0])


def test_the_first_key_counts_too():
    once = packet(*pieces(AUTH[0]), chunk(17, b"1@a"))
    twice = packet(*pieces(AUTH[0]), chunk(17, b"1@a"), chunk(14, b"second"), chunk(17, b"second"))
    assert hep.parse(twice) == hep.parse(once) and hep.parse(once).correlation == b"1@a"


def test_octets_behind_the_announced_length_are_no_part_of_it():
    assert hep.parse(packet(*NEEDED) + b"\r\n") == LEAST
    assert hep.parse(PLAIN[0] + b"\0") == hep.parse(PLAIN[0])


def test_the_family_decides_between_two_pairs_only():
    pair = (chunk(5, LOOPBACK[6]), chunk(6, LOOPBACK[6]))
    assert hep.parse(packet(chunk(1, b"\x02"), *pair, *NEEDED)).source == A4
    assert hep.parse(packet(chunk(1, b"\x0a"), *pair, *NEEDED)).source == LOOPBACK[6]
    assert hep.parse(packet(chunk(1, b"\x1e"), *pair, *NEEDED[2:])).source == LOOPBACK[6]
    assert hep.parse(packet(chunk(1, b"\x0a"), *NEEDED)).source == A4


def test_microseconds_without_seconds_and_the_other_way():
    assert hep.parse(packet(*NEEDED, chunk(9, b"\0\0\0\1"))).time == 10**9
    assert hep.parse(packet(*NEEDED, chunk(10, b"\0\0\0\1"))).time is None


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_compressed(pack):
    assert hep.parse(packet(*NEEDED[:-1], chunk(16, pack(BYE)))) == LEAST
    assert hep.parse(packet(*NEEDED, chunk(16, pack(b"other")))) == LEAST


@pytest.mark.parametrize(
    "packed, rule",
    [
        (b"", "cut short, or more"),
        (b"plain", "neither zlib nor gzip"),
        (zlib.compress(BYE)[:-1], "cut short, or more"),
        (zlib.compress(bytes(hep.MAX_PAYLOAD + 1)), "more than 65535"),
        (gzip.compress(bytes(40_000_000)), "more than 65535"),
    ],
)
def test_compressed_and_refused(packed, rule):
    with pytest.raises(HepError, match=rule):
        hep.parse(packet(*NEEDED[:-1], chunk(16, packed)))


# Refused


@pytest.mark.parametrize(
    "octets, rule",
    [
        (b"", "header: 0 octets"),
        (b"HEP3\0", "5 octets"),
        (b"\x02\x10\x02\x11" + bytes(40), "HEP version 2 is not read: set the agent to version 3"),
        (b"\x01\x10\x02\x11" + bytes(40), "HEP version 1"),
        (b"INVITE sip:bob SIP/2.0\r\n", "does not begin with HEP3"),
        (PLAIN[0][:-1], "announced"),
        (b"HEP3\0\x07\0", "cut short at offset 6"),
        (packet(b"\0\0\0\x0f\0\x05"), "chunk 0.15: length 5"),
        (packet(b"\0\0\0\x0f\0\x07"), "chunk 0.15: length 7"),
        (packet(), "missing"),
        *((packet(*NEEDED[:place], *NEEDED[place + 1 :]), "missing") for place in range(6)),
        (packet(*NEEDED, chunk(9, b"\0")), "SECONDS: 1 octets, 4"),
        (packet(chunk(3, LOOPBACK[6]), *NEEDED[1:]), "SOURCE_IPV4: 16 octets, 4"),
        (packet(*pieces(PLAIN[0])[:-1]), "PAYLOAD: missing"),
        (packet(*pieces(PLAIN[0]), b"\0\0\0"), "cut short at offset 354"),
        (packet(*pieces(PLAIN[0]), b"\0\0\0\x0f\xff\xff"), "chunk 0.15: length 65535"),
        (packet(*pieces(PLAIN[0]), chunk(18, b"\0")), "VLAN: 1 octets, 2"),
    ],
)
def test_refused(octets, rule):
    with pytest.raises(HepError, match=rule):
        hep.parse(octets)


@pytest.mark.parametrize(
    "message, rule",
    [
        (Hep(A4, LOOPBACK[6], 1, 1, b""), "addresses"),
        (Hep(b"123", b"123", 1, 1, b""), "addresses"),
        (Hep(A4, B4, 65_536, 1, b""), "SOURCE_PORT"),
        (Hep(A4, B4, 1, -1, b""), "DESTINATION_PORT"),
        (Hep(A4, B4, 1, 1, b"", -1), "SECONDS"),
        (Hep(A4, B4, 1, 1, b"", 2**32 * 10**9), "SECONDS"),
        (Hep(A4, B4, 1, 1, b"", kind=256), "PROTOCOL_TYPE"),
        (Hep(A4, B4, 1, 1, bytes(65_530)), "PAYLOAD: 65530"),
        (Hep(A4, B4, 1, 1, bytes(65_500)), "at most 65535"),
    ],
)
def test_not_to_be_built(message, rule):
    with pytest.raises(HepError, match=rule):
        hep.build(message)


def test_the_key():
    assert hep.authentic(MESSAGE, b"key") and not hep.authentic(MESSAGE, b"kex")
    assert not hep.authentic(LEAST, b"key") and not hep.authentic(LEAST, b"")
    assert "key'" not in repr(MESSAGE) and "BYE" not in repr(MESSAGE) and "redacted" in repr(MESSAGE)
    assert "no key" in repr(LEAST)


def test_the_error_says_where():
    fault = HepError("PAYLOAD", "missing")
    assert (fault.chunk, fault.reason, str(fault)) == ("PAYLOAD", "missing", "PAYLOAD: missing")


# Streams


@given(st.lists(st.sampled_from(PLAIN + AUTH), max_size=5), st.data())
def test_every_cut_gives_the_same_messages(sent, data):
    stream, splitter, found = b"".join(sent), Splitter(), []
    while stream:
        width = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:width])
        stream = stream[width:]
    assert found == sent and splitter.pending == 0 and splitter.fault is None


@pytest.mark.parametrize(
    "broken, rule", [(b"\x02\x10" + bytes(14), "version 2"), (b"HEP3\0\5", "length 5"), (b"HEP4\0\6", "does not")]
)
@pytest.mark.parametrize("step", [1, 5, 1_000])
def test_a_broken_stream(broken, rule, step):
    stream, splitter, found = PLAIN[0] + broken, Splitter(), []
    with pytest.raises(HepError, match=rule):
        for at in range(0, len(stream), step):
            found += splitter.feed(stream[at : at + step])
        splitter.feed(b"")
    assert found == [PLAIN[0]] and splitter.pending == 0
    with pytest.raises(HepError, match=rule):
        splitter.feed(PLAIN[0])


def test_half_a_message_waits():
    splitter = Splitter()
    assert splitter.feed(PLAIN[0][:-1]) == [] and splitter.pending == len(PLAIN[0]) - 1
    assert splitter.feed(PLAIN[0][-1:]) == [PLAIN[0]]

"""What goes the short way is judged as the long way would judge it: deliveries with faults, received both ways.

The long way parses and checks each PS-PDU by the tables of the module; it is what is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from imswire import hi
from imswire.hi import ipmm
from midcall.lemf import Link, content
from tests.midcall.lemf.deliverer import MILLI, NOW, Sender
from tests.midcall.lemf.memory import Lab

SECOND = 1_000_000_000


def outcome(pdus: list[bytes], piece: int) -> dict[str, Any]:
    """All that a delivery leaves behind."""
    lab = Lab().take(pdus, piece=piece)
    # In the order of their sequences; which sequence comes first at the end is a matter of when it was looked up.
    found = [str(each) for each in sorted(lab.end(), key=lambda each: (each.liid, each.cin or 0, each.payload))]
    calls = [(each.liid, each.cin, each.state, each.packets, each.first, each.last) for each in lab.lemf.calls.values()]
    sequences = {
        each.key: (
            (each.next, each.last_time, list(each.missing), each.outlier, each.strays, each.suspects, each.accused),
            (sorted(each.fresh.items()), sorted(each.block)),
        )
        for each in lab.lemf.contexts.values()
    }
    counts = (lab.lemf.pdus, lab.lemf.octets, lab.lemf.repeats, lab.lemf.doubled, lab.lemf.checked, lab.link.pdus)
    return {
        "findings": found,
        "stored": lab.stored,
        "media": sorted(lab.media),
        "calls": calls,
        "sequences": sequences,
        "counts": counts,
        "last": lab.link.last,
        "closed": lab.closed,
    }


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], dict[str, Any], int]]:
    """Receives a delivery as it is, then with nothing learnt; and how many PS-PDUs went the long way at first."""

    def receive(pdus: list[bytes], piece: int = 1 << 16) -> tuple[dict[str, Any], dict[str, Any], int]:
        slow: list[int] = []
        one = Link._one
        with monkeypatch.context() as patch:
            patch.setattr(Link, "_one", lambda self, octets, now: slow.append(1) or one(self, octets, now))
            short = outcome(pdus, piece)
        with monkeypatch.context() as patch:
            patch.setattr(content, "prefix_length", lambda _: None)
            patch.setattr("midcall.lemf.link.integrity_check", lambda *_: None)
            long = outcome(pdus, piece)
        return short, long, len(slow)

    return receive


def delivery(form: str, random: Random, count: int = 240) -> list[bytes]:
    """Three calls of two LIIDs, now one by one, now in rows; hashes between; numbers that get wider on the way."""
    senders = [Sender(liid, cin, NOW + random.randrange(SECOND)) for liid, cin in ((b"A", 1), (b"A", 2), (b"LIID", 1))]
    for sender in senders:
        sender.numbers["CC"] = random.choice((0, 100, 32_700, 65_500, 8_388_580, (1 << 31) - 30, (1 << 32) - 100))
    pdus: list[bytes] = []
    while len(pdus) < count:
        row = random.choice((1, 1, 2, 9, 40))
        for sender in senders if random.random() < 0.5 else [random.choice(senders)]:
            for _ in range(row):
                number = sender.numbers["CC"] % (1 << 32)
                sender.numbers["CC"] = number
                size = random.choice((160, 160, 160, 160, 80))
                packet = sender.rtp(number // 2, number % 2, payload=random.randbytes(size))
                pdus.append(sender.cc(form=form, packet=packet, time=sender.begin + 7 * MILLI * len(pdus)))
            if random.random() < 0.3:
                pdus.append(sender.check())
    return pdus


def spoilt(pdus: list[bytes], random: Random, faults: int) -> list[bytes]:
    """Some of them changed, lost, doubled, out of order."""
    pdus = list(pdus)
    for _ in range(faults):
        place = random.randrange(len(pdus) - 1)
        octets = bytearray(pdus[place])
        what = random.randrange(6)
        if what < 3:
            # Behind the outer length: without it there are no PS-PDUs to compare any more.
            at = random.randrange(4, max(5, len(octets) - 150) if random.random() < 0.8 else len(octets))
            octets[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, octets[at] ^ 1 << random.randrange(8)))
            pdus[place] = bytes(octets)
        elif what == 3:
            del pdus[place]
        elif what == 4:
            pdus.insert(random.randrange(len(pdus)), bytes(octets))
        else:
            pdus[place], pdus[place + 1] = pdus[place + 1], pdus[place]
    return pdus


@pytest.mark.parametrize("form", ["ipmm", "voip", "33128"])
@pytest.mark.parametrize("seed", range(12))
def test_faults_are_found_alike(both, form, seed):
    random = Random(f"{form} {seed}")
    pdus = spoilt(delivery(form, random), random, faults=seed)
    short, long, slow = both(pdus, piece=random.choice((1 << 16, 1 << 16, 5_000, 333)))
    assert short == long
    assert slow < len(pdus)


def row(count: int = 40, direction: int | None = 0, begin: int = NOW, first: int = 0, step: int = 20) -> list[bytes]:
    """Records of one call, as alike as can be."""
    sender = Sender(begin=begin)
    sender.numbers["CC"] = first
    return [sender.cc(direction=direction, time=begin + step * MILLI * n) for n in range(count)]


def behind(octets: bytes, before: bytes, value: bytes) -> bytes:
    """With other octets behind ``before``."""
    at = octets.index(before) + len(before)
    return octets[:at] + value + octets[at + len(value) :]


def findings(both: Callable[..., tuple[dict[str, Any], dict[str, Any], int]], pdus: list[bytes]) -> list[str]:
    short, long, _ = both(pdus)
    assert short == long
    found: list[str] = short["findings"]
    return found


@pytest.mark.parametrize(("first", "width"), [(120, 1), (32_760, 2), (8_388_600, 3), ((1 << 31) - 8, 4)])
def test_a_sequence_number_without_room_for_its_sign_is_negative(both, first, width):
    """127 is followed by 128 in two octets; in one it is -128, and so on with each width."""
    pdus = row(8, first=first)
    number = first + 8
    wrong = behind(pdus[-1], b"\x84" + bytes((width,)), number.to_bytes(width, "big"))
    assert any("CC -" in each for each in findings(both, [*pdus, wrong]))


def test_microseconds_without_room_for_their_sign_are_negative(both):
    sender = Sender()
    pdus = [sender.cc(direction=0, time=NOW + each * 1_000) for each in (30_000, 31_000, 32_000, 32_700)]
    wrong = behind(sender.cc(direction=0, time=NOW + 32_701_000), b"\x81\x02", (32_800).to_bytes(2, "big"))
    assert any("microSecondTimeStamp" in each for each in findings(both, [*pdus, wrong]))


def test_a_number_of_voip_without_room_for_its_sign_is_negative(both):
    """sequence-number of a Voip-CC-PDU is 16 bits of the record's: 32 768 in two octets is no such number."""
    sender = Sender()
    sender.numbers["CC"] = 65_536 + 32_760
    pdus = [sender.cc(direction=0, form="voip") for _ in range(8)]
    wrong = behind(pdus[-1], b"\x84\x03", (65_536 + 32_768).to_bytes(3, "big"))
    wrong = behind(wrong, b"\x85\x02", (32_768).to_bytes(2, "big"))
    assert any("sequence-number" in each for each in findings(both, [*pdus, wrong]))


def test_times_in_a_row(both):
    """One that goes back too far, one from the future, each among others that do not."""
    late = Sender()
    pdus = row(60)
    late.numbers["CC"] = 60
    pdus += [late.cc(direction=0, time=NOW - 5 * SECOND)]
    pdus += [late.cc(direction=0, time=NOW + 2 * SECOND + n * MILLI) for n in range(30)]
    pdus += [late.cc(direction=0, time=NOW + 7_200 * SECOND)]
    pdus += [late.cc(direction=0, time=NOW + 3 * SECOND + n * MILLI) for n in range(30)]
    assert sum(each.startswith("time: ") for each in findings(both, pdus)) == 2


def test_streams_that_begin_and_end(both):
    """A second stream of the same call, with other words about itself, between the records of the first."""
    sender = Sender()
    packet = ipmm.IpmmCc(sender.rtp(0, 0), hi.FrameType.RTP, b"m=audio 4 RTP/AVP 0\r\n", hi.MmccProtocol.RTP)
    other = hi.Cc(0, ipmm.build_cc(packet))
    pdus = [sender.cc(direction=0) for _ in range(20)]
    for _ in range(20):
        pdus.append(hi.build(hi.PsPdu(sender.header("CC"), (other,))))
        pdus.append(sender.cc(direction=1))
    assert findings(both, pdus) == []

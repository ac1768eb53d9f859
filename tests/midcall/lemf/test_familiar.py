"""What is known of a deliverer's records by their octets: whatever their lengths, bounded, of nobody that is gone."""

from __future__ import annotations

import pytest

from imswire import hi
from imswire.hi import ipmm
from midcall.lemf import Link, core, familiar, rows
from midcall.lemf.findings import Rule
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import LATER, Lab


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The PS-PDUs that went the long way."""
    went: list[bytes] = []
    one = Link._one
    monkeypatch.setattr(Link, "_one", lambda self, octets, now: went.append(octets) or one(self, octets, now))
    return went


def mixed(count: int, senders: list[Sender]) -> list[bytes]:
    return [sender.cc(direction=0) for _ in range(count) for sender in senders]


def test_streams_whose_beginnings_differ_in_length_go_the_short_way(slow):
    """CIN 100 beside 300 and 70 000, LIIDs of one to thirty letters, turn by turn."""
    senders = [Sender(b"L" * letters, cin) for letters in (1, 5, 6, 25) for cin in (100, 300, 70_000)]
    pdus = mixed(200, senders)
    checks = [sender.check() for sender in senders]
    lab = Lab().take([*pdus, *checks])
    assert len(slow) <= 4 * len(senders)
    assert lab.end() == []
    assert not lab.lemf.uncovered
    assert len(lab.media) == len(pdus)


def test_beginnings_that_are_invented_cost_the_others_nothing(slow):
    """Each record of the one kind begins a communication; those of the other kind are known all the same."""
    known = Sender()
    pdus = []
    for cin in range(2, 300):
        pdus += [Sender(b"L" * (1 + cin % 20), cin).cc(), known.cc(direction=0)]
    lab = Lab().take(pdus)
    assert len(slow) < 298 + 20
    assert lab.found == []


def test_what_is_learnt_is_bounded_in_octets(monkeypatch, slow):
    """Behind the bound it is learnt anew: nothing is lost, and what is held stays small."""
    monkeypatch.setattr(familiar, "MAX_LEARNT", 40 << 10)
    lab = Lab()
    for cin in range(300):
        sender = Sender(cin=cin)
        lab.take([sender.cc(direction=0, payload=b"\xd5" * size) for size in range(4)] + [sender.check()])
        assert len(lab.lemf.familiar("df").aliases) < 20
    after = Sender(cin=1_000)
    slow.clear()
    lab.take([*mixed(50, [after]), after.check()])
    assert len(slow) < 5
    assert lab.end() == []


def test_nothing_is_known_of_a_sequence_that_had_to_go(monkeypatch):
    """Not by a second beginning of it either, of which the first was let go of before: none are taken unseen."""
    monkeypatch.setattr(familiar, "ALIASES", 2)
    monkeypatch.setattr(core, "CONTEXTS", 2)
    sender = Sender()
    plain = [sender.cc(direction=0) for _ in range(8)]
    # The same header with its LIID in a long length: another beginning of the same sequence.
    long = [grown(sender.cc(direction=0)) for _ in range(8)]
    lab = Lab().take([*plain, *long])
    lab.take([Sender(cin=2).cc(), Sender(cin=3).iri()])
    for alias in lab.lemf.familiar("df").aliases.values():
        assert lab.lemf.contexts.get(alias.context.key) is alias.context


def grown(octets: bytes) -> bytes:
    """With the length of the LIID in two octets."""
    at = octets.index(b"\x81\x05LIID1")
    longer = bytearray(octets[:at] + b"\x81\x81\x05" + octets[at + 2 :])
    header = 2 if octets[1] < 0x80 else 3 if octets[1] == 0x81 else 4
    longer[header + 1] += 1
    whole = len(longer) - header
    longer[header - 2 : header] = whole.to_bytes(2, "big")
    return bytes(longer)


@pytest.mark.parametrize(
    "end", [b"\x30\x81\x00", b"\x30\x00", b"\x30\x81\x01\xa1", b"\x30\x82\x00\x00", b"\x30\x81\x00\x30"]
)
def test_a_record_that_ends_before_its_header_is_none(end):
    """Also where it is the last that came."""
    sender = Sender()
    lab = Lab().take([*mixed(5, [sender]), end])
    lab.take(b"".join(mixed(5, [sender])))
    assert {str(each.rule) for each in lab.found} <= {"schema", "framing"}


def described(sender: Sender, words: bytes) -> bytes:
    """A record of a stream of that description."""
    number = sender.numbers["CC"]
    contents = ipmm.build_cc(ipmm.IpmmCc(sender.rtp(number, 0), hi.FrameType.RTP, words, hi.MmccProtocol.RTP))
    return hi.build(hi.PsPdu(sender.header("CC"), (hi.Cc(0, contents),)))


def test_descriptions_of_the_streams_of_a_call_are_bounded():
    """Streams are told apart by their descriptions, which are kept: not 64 of 30 000 octets each."""
    sender = Sender()
    pdus = [described(sender, b"%d" % n * 30_000) for n in range(4)] + [described(sender, b"small")]
    lab = Lab().take(pdus)
    assert [each.rule for each in lab.end()] == [Rule.LIMIT] * 2
    assert len(lab.media) == 3
    assert lab.stored["hi3"] == b"".join(pdus)


def test_rows_are_known_by_so_many_octets(monkeypatch):
    monkeypatch.setattr(rows, "MAX_OCTETS", 20_000)
    lab = Lab()
    for cin in range(40):
        sender = Sender(cin=cin)
        lab.take([described(sender, b"w" * 4_000) for _ in range(6)])
        known = [key for row in lab.lemf.familiar("df").rows._rows.values() for key in row.known]
        assert sum(len(each) for key in known for each in key) < 20_000
    assert len(lab.media) == 240


def test_records_far_ahead_that_wait_for_another_are_bounded(monkeypatch):
    """One in each of many sequences: what they hold is counted with what waits for a hash."""
    monkeypatch.setattr(core, "HELD_OCTETS", 20_000)
    lab = Lab()
    for cin in range(100):
        sender = Sender(cin=cin)
        sender.numbers["CC"] = 1_000
        lab.take(sender.cc(direction=0, payload=bytes(1_000)))
    lab.lemf.deadline(LATER)
    waits = [each.outlier for each in lab.lemf.contexts.values() if each.outlier is not None]
    assert 0 < sum(len(each.octets) for each in waits) < 20_000
    assert lab.lemf.uncovered == 0


def test_a_single_record_that_no_hash_covers_is_told_like_others(monkeypatch):
    """Where what waits is too much, each sequence may have one alone."""
    monkeypatch.setattr(core, "HELD_OCTETS", 100)
    lab = Lab().take([Sender(cin=cin).cc() for cin in (1, 2, 3)])
    lab.lemf.deadline(LATER)
    assert lab.lemf.uncovered == 0
    assert lab.said() == [("hash-unchecked", "CC", 0)] * 3

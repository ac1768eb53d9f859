"""One wrong sequence number is one finding: the stream goes on, and what it lost is named."""

from __future__ import annotations

from random import Random

import pytest

from imswire import hi
from midcall.lemf import Finding, Lemf, Link, Rule
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import LATER, Lab

COUNT = 20_000
HASH = 500


def delivery(wrong: dict[int, int], count: int = COUNT) -> tuple[Sender, list[bytes]]:
    """Records with a hash over each 500; those of ``wrong`` have another number when they come."""
    sender = Sender()
    pdus: list[bytes] = []
    for number in range(count):
        packet = sender.rtp(number // 2, number % 2)
        octets = sender.cc(packet=packet)
        if number in wrong:
            octets = numbered(sender, wrong[number], packet, number)
        pdus.append(octets)
        if number % HASH == HASH - 1:
            pdus.append(sender.check())
    return sender, pdus


def numbered(sender: Sender, number: int, packet: bytes, place: int) -> bytes:
    other = Sender(sender.liid, sender.cid.cin)
    other.numbers["CC"] = number
    return other.cc(direction=place % 2, packet=packet, time=other.begin + 20_000_000 * place)


def said(found: list[Finding]) -> set[tuple[Rule, int | None, int | None]]:
    return {(each.rule, each.sequence, each.last) for each in found if each.payload == "CC"}


SHORT = {0, 6, 13, 23, 30}  # bits on both sides of each border; the others are the long form


@pytest.mark.parametrize(
    "bit", [each if each in SHORT else pytest.param(each, marks=pytest.mark.proof) for each in range(31)]
)
def test_any_one_bit_of_a_number(bit):
    """Nothing that came is lost, and no more than a hash and some numbers beside the wrong one are in doubt."""
    place = 10_000
    wrong = place ^ 1 << bit
    sender, pdus = delivery({place: wrong})
    lab = Lab().take(pdus)
    found = lab.end()
    assert len(lab.stored["hi3"]) == sum(map(len, pdus))
    # One of a number that came before, or near, is told from the right one by nobody: it is stored, not played.
    assert len(lab.media) >= COUNT - 1
    assert lab.lemf.checked >= COUNT - 2 * HASH
    assert {each.rule for each in found} <= {
        Rule.ORDER,
        Rule.GAP,
        Rule.UNCHECKED,
        Rule.DOUBLED,
        Rule.HASH,
        Rule.LOCATED,
    }
    assert len(found) < 80
    assert wrong in {each.sequence for each in found} and place in {each.sequence for each in found}
    if wrong - place > 64:
        assert len(lab.media) == COUNT
        assert said(found) == {
            (Rule.ORDER, wrong, None),
            (Rule.GAP, place, None),
            (Rule.UNCHECKED, place, place + HASH - 1),
        }
        assert "where the sequence goes on" in found[0].text
    assert sender.liid


def test_a_jump_that_the_next_record_goes_on_from_is_a_gap():
    _, pdus = delivery({})
    kept = [pdus[0], *(pdus[15_030:])]
    lab = Lab().take(kept)
    assert (Rule.GAP, 1, 14_999) in said(lab.end()) and len(lab.media) == 5_001
    assert len(lab.lemf.findings.counts) == 2  # and the hash that cannot be checked


def test_a_jump_of_the_last_record_is_a_gap_in_the_end():
    sender, pdus = delivery({}, 100)
    sender.numbers["CC"] = 5_000
    lab = Lab().take([*pdus, sender.cc()])
    assert said(lab.end()) == {(Rule.GAP, 100, 4_999)}


def test_a_check_that_names_a_number_far_ahead_says_that_it_is_right():
    sender = Sender()
    pdus = [sender.cc() for _ in range(10)]
    sender.numbers["CC"] = 900
    pdus += [sender.cc(), sender.check(), sender.cc()]
    lab = Lab().take(pdus)
    assert said(lab.end()) == {(Rule.GAP, 10, 899)} and lab.lemf.checked == 11


def test_behind_a_pause_the_sequence_may_still_go_on_where_it_stood():
    sender, pdus = delivery({10: 70_000}, 20)
    lab = Lab().take(pdus[:11])
    lab.lemf.deadline(LATER + 5_000_000_000)
    lab.take(pdus[11:])
    assert said(lab.end()) == {(Rule.GAP, 10, 69_999), (Rule.ORDER, 70_000, None), (Rule.GAP, 10, None)}
    assert len(lab.media) == 20 and sender.liid


def test_a_wrong_number_that_is_delivered_again_is_a_repeat():
    _, pdus = delivery({10: 70_000}, 20)
    lab = Lab().take([*pdus, *pdus, *pdus])
    assert lab.lemf.repeats == 40 and lab.stored["hi3"] == b"".join(pdus)


def test_what_comes_late_of_a_gap_that_was_told_is_late_and_stored():
    """Not 'came before': it did not."""
    sender, pdus = delivery({}, 400)
    lab = Lab().take([*pdus[:100], *pdus[300:]])
    lab.lemf.deadline(LATER + 5_000_000_000)
    lab.take(pdus[100:300])
    found = lab.end()
    # The first of them goes back in time, too.
    assert {each.rule for each in found} == {Rule.GAP, Rule.ORDER, Rule.TIME}
    assert [each.sequence for each in found if each.rule is Rule.TIME] == [100]
    assert len(lab.media) == 400 and lab.lemf.repeats == 0 and sender.liid


def test_numbers_far_apart_that_nobody_goes_on_from_move_nothing():
    random = Random(1)
    wrong = {place: random.randrange(1 << 14, 1 << 31) for place in range(1_000, 3_000, 100)}
    _, pdus = delivery(wrong, 4_000)
    lab = Lab().take(pdus)
    found = said(lab.end())
    assert {each for each in found if each[0] is Rule.ORDER} == {(Rule.ORDER, each, None) for each in wrong.values()}
    assert {(Rule.GAP, each, None) for each in wrong} <= found and len(lab.media) == 4_000


def test_one_wrong_time_does_not_accuse_all_behind_it():
    sender = Sender()
    pdus = [sender.cc() for _ in range(50)]
    late = numbered(sender, 50, sender.rtp(25, 0), 50 + 3_000)
    sender.numbers["CC"] = 51
    pdus += [late, *(sender.cc() for _ in range(500))]
    found = Lab().take(pdus).end()
    assert [(each.rule, each.sequence) for each in found] == [(Rule.TIME, 51)]


# Deliverers


def test_another_deliverer_does_not_disturb_the_stream_of_the_first():
    sender, pdus = delivery({}, 1_000)
    forged = numbered(sender, 1 << 30, sender.rtp(0, 0), 0)
    lemf = Lemf()
    first, other = Link(lemf, "df-1 #1", "df-1"), Link(lemf, "df-2 #2", "df-2")
    batches = [first.receive(b"".join(pdus[:500]), LATER), other.receive(forged, LATER)]
    batches.append(first.receive(b"".join(pdus[500:]), LATER))
    lemf.finish(LATER)
    (found,) = lemf.findings.take()
    assert (found.rule, found.sequence, found.link, found.liid) == (Rule.DELIVERER, 1 << 30, "df-2 #2", "LIID1")
    assert "another deliverer than the first one, df-1; put aside" in found.text
    (intercept,) = lemf.intercepts.values()
    assert intercept.aside == [forged] and intercept.hi3 == pdus
    assert sum(len(media) for batch in batches for _, media in batch.media) == 1_000


def test_another_deliverer_does_not_get_into_a_stream_by_being_alike():
    """Its records are octet for octet those that would be next."""
    _, pdus = delivery({}, 200)
    lemf = Lemf()
    Link(lemf, "df-1").receive(b"".join(pdus[:100]), LATER)
    Link(lemf, "df-2").receive(b"".join(pdus[100:]), LATER)
    (intercept,) = lemf.intercepts.values()
    assert intercept.hi3 == pdus[:100] and intercept.aside == pdus[100:]


def test_links_of_one_deliverer_share_their_sequences():
    _, pdus = delivery({}, 200)
    lemf = Lemf()
    for number, part in enumerate((pdus[:100], pdus[100:])):
        Link(lemf, f"df #{number}", "df").receive(b"".join(part), LATER)
    lemf.finish(LATER)
    assert lemf.findings.take() == []


def test_a_finding_names_the_link_or_the_deliverer():
    sender = Sender()
    pdus = [sender.cc() for _ in range(4)]
    lemf = Lemf()
    Link(lemf, "df #1", "df").receive(b"".join([pdus[0], pdus[3], pdus[2]]), LATER)
    lemf.finish(LATER)
    assert [(each.rule, each.link) for each in lemf.findings.take()] == [(Rule.ORDER, "df #1"), (Rule.GAP, "df")]


def test_a_reset_of_another_deliverer_is_none_of_the_first():
    sender = Sender()
    lemf = Lemf()
    Link(lemf, "df-1").receive(b"".join(sender.cc() for _ in range(5)), LATER)
    Link(lemf, "df-2").receive(sender.tri(hi.CinReset(), 0), LATER)
    Link(lemf, "df-1").receive(Sender().cc(payload=b"\0" * 160), LATER)
    assert [each.rule for each in lemf.findings.take()] == [Rule.DOUBLED]


def test_no_deliverer_has_all_liids(monkeypatch):
    monkeypatch.setattr("midcall.lemf.core.INTERCEPTS", 40)
    lemf = Lemf()
    closed = Link(lemf, "greedy").receive(b"".join(Sender(b"G%d" % n).cc() for n in range(50)), LATER).close
    assert closed == "more than 30 LIIDs of one deliverer"
    closed = Link(lemf, "other").receive(b"".join(Sender(b"O%d" % n).cc() for n in range(7)), LATER).close
    assert closed == "" and len(lemf.intercepts) == 37

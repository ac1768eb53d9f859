"""Sessions that all name one address and port: how many are followed there, which make room, and what is told."""

from __future__ import annotations

from msgspec import structs

from midcall.df3 import ContentMediation
from midcall.df3.limits import Df3Limits
from midcall.events import CROWDED_PLACE, DialogId, Instant
from tests.midcall.df3.test_core import SECOND, clear, context, packets, plan, protected

NOW = Instant(0, 0)
FEW = Df3Limits(claims_of_a_destination=4)


def feigned(number: int):
    """A session without keys that names the same place."""
    return structs.replace(plan(awaiting=True), dialog=DialogId(f"feigned-{number}@lab", "f", "g"))


def lanes(df3: ContentMediation):
    return [lane for found in df3._destinations.values() for lane in found]


def test_feigned_sessions_keep_out_only_each_other():
    df3 = ContentMediation(FEW)
    df3.plan(plan(context()), NOW)
    assert [each.payload for each in df3.packets(packets(*protected(2)))] == [clear(1), clear(2)]
    for number in range(500):
        df3.plan(feigned(number), NOW)
    assert max(len(lane.claims) for lane in lanes(df3)) == 4
    assert [each.payload for each in df3.packets(packets(*protected(4)[2:], at=SECOND))] == [clear(3), clear(4)]
    told = df3.take_failures()
    assert {each.reason for each in told} == {CROWDED_PLACE} and all(each.missing for each in told)
    assert len(told) == len({each.dialog for each in told}) == 500 - 3


def test_a_session_that_comes_later_is_followed_all_the_same():
    df3 = ContentMediation(FEW)
    for number in range(500):
        df3.plan(feigned(number), NOW)
    df3.plan(plan(context()), NOW)
    assert [each.payload for each in df3.packets(packets(*protected(2)))] == [clear(1), clear(2)]


def test_one_that_makes_room_is_told_once_and_ends_as_others_do():
    df3 = ContentMediation(FEW)
    for _ in range(3):
        for number in range(5):
            df3.plan(feigned(number), NOW)
    assert len(df3.take_failures()) == 5
    for number in range(5):
        df3.close("x", feigned(number).dialog, NOW, linger=True)
    df3.deadline(10 * SECOND)
    assert len(df3.take_finished()) == 5 and not df3.places() and df3.next_deadline() is None


def test_one_that_is_only_waited_for_makes_room_without_a_word():
    df3 = ContentMediation(FEW)
    df3.plan(feigned(0), NOW)
    df3.close("x", feigned(0).dialog, NOW, linger=True)
    for number in range(1, 5):
        df3.plan(feigned(number), NOW)
    assert df3.take_failures() == [] and [each.dialog for each in df3.take_finished()] == [feigned(0).dialog]
    assert df3.next_deadline() is None


def test_a_session_whose_every_media_name_one_place_is_bounded_too():
    df3 = ContentMediation(FEW)
    one = plan(context())
    flows = tuple(structs.replace(one.flows[0], media=media) for media in range(64))
    for _ in range(2):
        df3.plan(structs.replace(one, flows=flows), NOW)
    assert max(len(lane.claims) for lane in lanes(df3)) == 4
    df3.plan(one, NOW)
    df3.finish()
    assert not df3.places() and len(df3.take_finished()) == 1

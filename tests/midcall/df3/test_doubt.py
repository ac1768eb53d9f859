"""Media that no key opens: what of them is content as captured, what is a forger's, and what the agency is told."""

from __future__ import annotations

import pytest
from msgspec import structs

from midcall.df3 import ContentMediation, Df3Limits
from midcall.df3.doubt import Doubt, Missing
from midcall.events import Instant
from tests.midcall.df3.test_core import DIALOG, SECOND, clear, context, flow, packets, plan, protected

NOW = Instant(5 * SECOND, 0)
NAMED, ELSEWHERE = {"source": "10.0.0.1"}, {"source": "192.0.2.9", "port": 777}
THIRD = {"source": "99.9.9.9", "port": 6000}


def tapped(secure: bool = True, **limits: int) -> ContentMediation:
    """A session under one key; what that does not open goes over as captured."""
    df3 = ContentMediation(Df3Limits(**limits))
    contexts = (context(),) if secure else ()
    df3.plan(structs.replace(plan(*contexts, flows=(flow(secure),)), encrypted=True), NOW)
    return df3


def spoilt(count: int, first: int = 0, ssrc: int | None = None) -> list[bytes]:
    """Packets of another key."""
    made = []
    for packet in protected(first + count)[first:]:
        other = packet if ssrc is None else packet[:8] + ssrc.to_bytes(4, "big") + packet[12:]
        made.append(other[:-1] + bytes([other[-1] ^ 1]))
    return made


def handed(df3: ContentMediation, *payloads: bytes, **source) -> list[bytes]:
    return [each.payload for each in df3.packets(packets(*payloads, **source))]


def ends(df3: ContentMediation) -> list[bytes]:
    return [each.payload for each in df3.close("x", DIALOG, NOW, linger=False)]


def told(df3: ContentMediation) -> list[str]:
    return ["missing: " + each.reason.split(" ")[0] if each.missing else "keys" for each in df3.take_failures()]


# By share


def test_one_good_packet_now_and_then_does_not_hide_the_others():
    df3 = tapped()
    good, bad = protected(500), spoilt(500)
    opening = range(0, 500, 49)
    wire = [good[place] if place in opening else bad[place] for place in range(500)]
    truth = [clear(place + 1) if place in opening else bad[place] for place in range(500)]
    assert sorted(handed(df3, *wire) + ends(df3)) == sorted(truth)
    assert told(df3) == ["keys"]


def test_half_of_a_stream_is_a_forgers_and_is_told():
    df3 = tapped()
    wire = [each for pair in zip(protected(200), spoilt(200), strict=True) for each in pair]
    assert handed(df3, *wire) == [clear(seq) for seq in range(1, 201)]
    assert told(df3) == ["missing: 50"]
    assert ends(df3) == [] and told(df3) == ["missing: 200"]


def test_a_short_rest_under_another_key_goes_over_at_the_end():
    df3 = tapped()
    assert handed(df3, *protected(5), *spoilt(40, 5)) == [clear(seq) for seq in range(1, 6)]
    assert ends(df3) == spoilt(40, 5) and told(df3) == ["keys"]


def test_a_few_packets_beside_many_good_ones_are_missing_at_the_end():
    df3 = tapped()
    handed(df3, *protected(100), *spoilt(3, 100))
    assert told(df3) == [] and ends(df3) == [] and told(df3) == ["missing: 3"]


def test_where_as_captured_is_not_wanted_all_of_it_is_told():
    df3 = ContentMediation()
    df3.plan(plan(context()), NOW)
    assert handed(df3, *spoilt(60)) == [] and ends(df3) == []
    assert told(df3) == ["missing: 50", "missing: 60"]


def test_that_no_key_opens_them_is_told_again_under_newer_keys():
    df3 = tapped()
    handed(df3, *spoilt(3))
    assert told(df3) == ["keys"]
    for order, expected in ((1, []), (2, ["keys"])):
        newer = structs.replace(context(), order=order)
        df3.plan(structs.replace(plan(newer), encrypted=True), NOW)
        handed(df3, *spoilt(3, 3))
        assert told(df3) == expected


# By source


def test_who_sends_from_elsewhere_is_not_hidden_by_a_packet_of_somebody_else():
    df3 = tapped()
    forged = spoilt(1, ssrc=0x1020304)
    assert handed(df3, *forged, **THIRD) == []
    assert handed(df3, *spoilt(100), **ELSEWHERE) == forged + spoilt(100)
    assert told(df3) == ["keys"]


def test_a_short_call_from_elsewhere_goes_over_at_its_end():
    df3 = tapped()
    assert handed(df3, *spoilt(30), **ELSEWHERE) == []
    assert ends(df3) == spoilt(30)


def test_media_that_move_by_a_new_plan_take_along_what_waits():
    df3 = tapped()
    assert handed(df3, *spoilt(30), **ELSEWHERE) == []
    moved = flow(to=type(flow().destinations[0])("10.0.0.2", 5000))
    content = df3.plan(structs.replace(plan(context(), flows=(moved,)), encrypted=True), NOW)
    assert [each.payload for each in content] == spoilt(30)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("good", [True, False])
def test_a_third_party_injects_nothing_beside_the_named_source(before, good):
    """Neither before the good packets nor behind them, opened or not; and no failure of keys is told for it."""
    df3 = tapped()
    forged, sent = spoilt(45, ssrc=0x1020304), protected(60) if good else spoilt(60)
    expected = [clear(seq) for seq in range(1, 61)] if good else sent
    found = handed(df3, *forged, **THIRD) if before else []
    found += handed(df3, *sent, **NAMED)
    found += handed(df3, *spoilt(200, ssrc=0x1020304), **THIRD)
    assert found + ends(df3) == expected
    keys = [] if good else ["keys"]
    assert told(df3) == [*keys, "missing: 50", "missing: 245" if before else "missing: 200"]


def test_where_a_key_opens_another_source_than_the_named_one_that_counts():
    df3 = tapped()
    assert len(handed(df3, *protected(10), **ELSEWHERE)) == 10
    assert handed(df3, *spoilt(100, 10), **ELSEWHERE) == spoilt(100, 10)
    assert handed(df3, *spoilt(100, ssrc=9), **THIRD) == [] and ends(df3) == []
    assert told(df3) == ["keys", "missing: 50", "missing: 100"]


def test_media_in_clear_are_not_hidden_by_a_packet_of_somebody_else():
    df3 = tapped(secure=False)
    sent = [clear(seq) for seq in range(1, 101)]
    assert handed(df3, clear(1, 9), **THIRD) == [clear(1, 9)]
    assert handed(df3, *sent, **ELSEWHERE) == sent
    assert handed(df3, clear(101), **NAMED) == [clear(101)]
    assert handed(df3, clear(102), **THIRD) == [], "the named source was seen"


def test_media_in_clear_that_nothing_speaks_for_are_counted_and_told():
    df3 = tapped(secure=False)
    handed(df3, *(clear(seq) for seq in range(1, 100)), **NAMED)
    assert handed(df3, clear(1, 9), clear(2), **THIRD) == [] and ends(df3) == []
    assert told(df3) == ["missing: 2"]
    (finished,) = df3.take_finished()
    assert finished.dropped == {"foreign": 1} and [each.auth_failed for each in finished.streams] == [1]


# By SSRC


def test_ssrcs_before_it_do_not_keep_a_stream_out():
    df3 = tapped()
    others = [each for ssrc in range(70) for each in spoilt(1, ssrc=ssrc)]
    assert handed(df3, *others, *spoilt(100)) == others + spoilt(100)
    assert ends(df3) == [] and told(df3) == ["keys"]
    (finished,) = df3.take_finished()
    assert len(finished.streams) == 64 and finished.dropped == {}
    assert finished.errors == ["7 further SSRCs with 7 packets, of which 7 were handed over"]


def test_forged_ssrcs_keep_out_only_each_other():
    df3 = tapped(streams_of_a_destination=4)
    assert len(handed(df3, *protected(3))) == 3
    handed(df3, *(each for ssrc in range(100) for each in spoilt(1, ssrc=ssrc)), **THIRD)
    assert len(handed(df3, *protected(6)[3:])) == 3
    ends(df3)
    (finished,) = df3.take_finished()
    (proved,) = [each for each in finished.streams if each.decrypted]
    assert proved.decrypted == 6 and len(finished.streams) == 5
    assert finished.dropped == {"too_many_ssrcs": 96}


# The parts


def test_doubt_is_bounded_and_says_what_it_gives_up():
    limits, doubt = Df3Limits(lost_after=3, doubted_of=4), Doubt[int]()
    assert doubt.take(10, 1, limits) == ([], [])
    assert doubt.take(11, 2, limits) == ([], [])
    assert doubt.take(20, 3, limits) == ([], [1, 2])
    assert doubt.take(20, 4, limits) == ([], [])
    assert doubt.take(20, 5, limits) == ([3, 4, 5], [])
    assert doubt.take(21, 6, limits) == ([6], [])
    assert doubt.take(30, 7, limits) == ([], [])
    assert doubt.rest(30, limits) == ([], [7])


def test_what_is_missing_is_told_in_words():
    missing = Missing()
    missing.note([3 * SECOND, 2 * SECOND])
    assert missing.due(2) and not missing.due(3)
    assert missing.text().startswith("2 packets ") and "from 2.000 to 3.000 (UTC seconds)" in missing.text()
    assert not missing.due(2)

"""What a tap tells takes a shorter way: what comes out is the same, packet for packet and count for count."""

from __future__ import annotations

from msgspec import structs

from midcall.config import Profile
from midcall.df3 import ContentMediation, ContentRecords, Stream
from midcall.events import CcStream, DialogId, Instant, MediaPacket, Terms
from tests.midcall.df3.test_control import report, secured
from tests.midcall.df3.test_core import SECOND, SSRC, clear, context, flow, packets, plan, protected

NOW = Instant(0, 0)
OTHER = DialogId("other@lab", "o1", "o2")
STATE = sorted(
    {*Stream.__slots__, *Stream.__base__.__slots__} - {"records", "doubt", "crypto", "unprotect", "flow", "dialog"}
)


def told(packet: MediaPacket) -> tuple[int, bytes, bytes, bytes]:
    return packet.time, packet.place, packet.origin, packet.payload


class Twins:
    """One has packets, the other what a tap tells of them."""

    def __init__(self) -> None:
        self.long, self.short = ContentMediation(), ContentMediation()
        self.records = ContentRecords(), ContentRecords()
        self.order(Terms("LI-x"), "x")
        self.order(Terms("LI-y", keys_to_lemf=True), "y")

    def order(self, terms: Terms, xid: str) -> None:
        for each in self.records:
            each.order(xid, terms, Profile())

    def plan(self, xid: str = "x", keys: bool = True, **changes: object) -> None:
        contexts = (context(),) if keys else ()
        for each in (self.long, self.short):
            each.plan(structs.replace(plan(*contexts), xid=xid, **changes), NOW)

    def close(self, xid: str = "x", **how: bool) -> None:
        (dialog,) = self.long.dialogs(xid)
        for each in (self.long, self.short):
            each.close(xid, dialog, Instant(2 * SECOND, 0), **how)

    def heard(self, *payloads: bytes, **where: object) -> list[tuple[str, bytes]]:
        """Task and payload of what is content."""
        given = [live(each) for each in packets(*payloads, **where)]
        content = self.long.packets(given)
        expected = self.records[0].of(content)
        made = self.short.media([told(each) for each in given], self.records[1])
        assert [each[::2] for each in made] == [each[::2] for each in expected]
        assert [self.common(each[1]) for each in made] == [self.common(each[1]) for each in expected]
        for xid in "xy":
            assert self.records[0].given(xid) == self.records[1].given(xid)
        assert self.counted(self.long) == self.counted(self.short)
        return [(each.stream.xid, each.payload) for each in content]

    @staticmethod
    def common(stream: CcStream) -> tuple[object, ...]:
        return stream.liid, stream.cin, stream.direction, stream.form

    @staticmethod
    def counted(df3: ContentMediation) -> list[list[object]]:
        streams = [stream for dialog in df3._dialogs.values() for stream in dialog.streams]
        return [[getattr(stream, name) for name in STATE] for stream in streams]


def live(packet: MediaPacket) -> MediaPacket:
    """As a tap has it: live, without a number."""
    return packet._replace(frame=0)


def test_a_stream_and_what_is_none_of_it():
    twins = Twins()
    twins.plan()
    good = protected(6)
    assert twins.heard(*good[:2]) == [("x", clear(1)), ("x", clear(2))]
    assert len(twins.short._batches.short) == 1
    assert twins.heard(good[0], good[2][:-1] + b"\0", b"", good[2][:20], good[2], *secured(report())) == [
        ("x", clear(3)),
        ("x", report()),
    ]
    assert twins.heard(good[3], source="10.6.6.6", port=9) == [("x", clear(4))]
    assert twins.heard(good[4], at=1) and len(twins.heard(good[5])) == 1


def test_outside_the_window_there_is_nothing():
    twins = Twins()
    twins.plan(start=SECOND, end=SECOND + 3)
    good = protected(8)
    assert len(twins.heard(*good[:4])) == 3
    assert twins.heard(good[4], at=SECOND - 1) == twins.heard(good[5], at=SECOND + 3) == []


def test_what_waits_for_keys_and_media_in_clear():
    twins = Twins()
    twins.plan(keys=False, awaiting=True)
    good = protected(4)
    assert twins.heard(*good[:2]) == []
    twins.plan()
    assert len(twins.heard(*good[2:])) == 2
    twins.plan("y", False, flows=(flow(secure=False),), dialog=OTHER)
    assert twins.heard(clear(1, 7)) == []


def test_a_place_that_another_task_comes_to_and_leaves():
    twins = Twins()
    twins.plan()
    good = protected(8)
    twins.heard(*good[:2])
    twins.plan("y", cin=2)
    assert twins.short._batches.short == {}
    assert [xid for xid, _ in twins.heard(*good[2:4])] == ["x", "y", "x", "y"]
    twins.close("y", linger=False)
    assert [xid for xid, _ in twins.heard(*good[4:6])] == ["x", "x"]
    assert len(twins.short._batches.short) == 1
    twins.close(linger=True)
    assert [xid for xid, _ in twins.heard(good[6], at=2 * SECOND + 5)] == ["x"]
    for each in (twins.long, twins.short):
        each.deadline(4 * SECOND)
        each.deadline(6 * SECOND)
    assert twins.heard(good[7], at=7 * SECOND) == []
    assert twins.short._batches.short == {}


def test_two_calls_at_one_place_under_one_task_each_with_its_keys():
    twins = Twins()
    twins.plan()
    twins.plan(dialog=OTHER, keys=False)
    assert len(twins.heard(*protected(3))) == 3
    for each in (twins.long, twins.short):
        each.close("x", OTHER, NOW, linger=False)
    assert len(twins.heard(*protected(6)[3:])) == 3


def test_streams_that_make_room_are_found_no_more():
    twins = Twins()
    twins.plan()
    for ssrc in range(1, 80):
        forged = clear(1, ssrc)
        assert twins.heard(forged) == twins.heard(forged)
    assert len(twins.heard(*protected(2))) == 2


def test_a_task_that_is_over_or_wants_the_other_form():
    twins = Twins()
    twins.plan()
    good = protected(9)
    assert len(twins.heard(*good[:2])) == 2
    twins.order(Terms("LI-x", keys_to_lemf=True), "x")
    assert len(twins.heard(*good[2:4])) == 2
    for each in twins.records:
        each.end("x")
    assert len(twins.heard(*good[4:6])) == 2, "by long and short way no records"
    twins.order(Terms("LI-z"), "x")
    assert len(twins.heard(*good[6:])) == 3


def in_clear(twins: Twins, **changes: object) -> None:
    twins.plan(keys=False, flows=(flow(secure=False),), **changes)


def test_media_in_clear():
    twins = Twins()
    in_clear(twins)
    assert len(twins.heard(*(clear(seq) for seq in range(1, 5)))) == 4
    (lane,) = twins.short._destinations[packets(b"")[0].place]
    assert len(lane.passing) == 1
    assert len(twins.heard(clear(5), clear(6)[:11], b"\x80\xc8" + clear(7)[2:], b"\0" + clear(7)[1:])) == 2
    assert twins.heard(clear(7), source="10.9.9.9") == twins.heard(clear(8), port=9) == []
    assert len(twins.heard(clear(9), clear(1, 7), clear(2, 7), clear(10))) == 4
    assert twins.counted(twins.long) and len(lane.passing) == 2


def test_media_in_clear_within_the_window_and_until_the_end():
    twins = Twins()
    in_clear(twins, start=SECOND, end=SECOND + 4)
    assert len(twins.heard(*(clear(seq) for seq in range(1, 7)))) == 4
    in_clear(twins, start=SECOND, end=9 * SECOND)
    assert len(twins.heard(clear(7), clear(8), at=2 * SECOND)) == 2
    twins.close(linger=True)
    twins.heard(clear(9), clear(10), at=2 * SECOND + 5)
    for each in (twins.long, twins.short):
        each.deadline(20 * SECOND)
    assert twins.heard(clear(11), at=8 * SECOND) == []


def test_media_in_clear_where_another_call_or_task_comes_too():
    twins = Twins()
    in_clear(twins)
    assert len(twins.heard(clear(1), clear(2), clear(3))) == 3
    in_clear(twins, dialog=OTHER)
    twins.heard(clear(4), clear(5))
    for each in (twins.long, twins.short):
        each.close("x", OTHER, NOW, linger=False)
    twins.heard(clear(6), clear(7), clear(8))
    in_clear(twins, xid="y")
    assert {xid for xid, _ in twins.heard(clear(9), clear(10))} <= {"x", "y"}
    twins.plan()
    twins.heard(clear(11), *protected(3))


def spoilt(first: int, count: int, ssrc: int = SSRC) -> list[bytes]:
    return [clear(seq, ssrc)[:12] + bytes((seq,)) * 170 for seq in range(first, first + count)]


def test_media_without_keys_go_over_as_captured():
    twins = Twins()
    twins.plan(keys=False, encrypted=True)
    assert twins.heard(*spoilt(1, 4)) == [("x", each) for each in spoilt(1, 4)]
    (lane,) = twins.short._destinations[packets(b"")[0].place]
    assert len(lane.passing) == 1
    assert len(twins.heard(*spoilt(5, 3))) == 3
    assert twins.heard(*spoilt(8, 2), source="10.9.9.9") == []
    assert len(twins.heard(*spoilt(10, 3), b"", spoilt(13, 1)[0][:9], *secured(report()))) >= 3
    twins.plan(keys=False, encrypted=True, awaiting=True)
    assert twins.heard(*protected(3)) == []
    twins.plan(encrypted=True)
    assert len(twins.heard(*protected(6)[3:], *spoilt(20, 2))) == 3
    for each in (twins.long, twins.short):
        each.finish()
    assert repr(twins.long.take_finished()[0].dropped) == repr(twins.short.take_finished()[0].dropped)
    assert twins.long.take_failures() == twins.short.take_failures()


def test_media_without_keys_that_are_not_to_go_over():
    twins = Twins()
    twins.plan(keys=False)
    assert twins.heard(*spoilt(1, 4)) == twins.heard(*spoilt(5, 4)) == []
    twins.plan(keys=False, encrypted=True)
    assert len(twins.heard(*spoilt(9, 4))) == 4
    twins.plan(keys=False)
    assert twins.heard(*spoilt(13, 4)) == []

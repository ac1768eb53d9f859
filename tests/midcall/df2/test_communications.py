"""CINs, and of which dialogs of a communication the agency has heard."""

from __future__ import annotations

from msgspec import structs

from midcall.df2 import Communication, Communications
from midcall.events import DialogId, Instant, Side, SipReport, SipSeen, StartOfInterception

XID, NUMBER = "task-1", b"\1" * 8
AT = Instant(5, 5)
FORK, OTHER = DialogId("call", "a", "b"), DialogId("call", "a", "c")


def start(dialog: DialogId = FORK) -> StartOfInterception:
    return StartOfInterception(XID, "sip:alice@example.com", NUMBER, dialog, AT, None, None)


def message(dialog: DialogId | None = FORK) -> SipReport:
    seen = SipSeen(b"", "10.0.0.1:5060", "10.0.0.2:5060", AT)
    return SipReport(XID, "sip:alice@example.com", NUMBER, dialog, seen)


def test_a_start_of_what_the_agency_knows_is_told_already():
    known = Communications()
    assert not known.is_told(start(), b"1")
    assert known.is_told(start(), b"2")
    assert not known.is_told(start(OTHER), b"3"), "another fork"
    assert not known.is_told(message(), b"4") and not known.is_told(message(), b"4"), "messages are told each time"


def test_the_same_event_again_is_not_told_yet():
    """Its POI had no answer: whether its record is on the disk the spool knows."""
    known = Communications()
    assert not known.is_told(start(), b"1") and not known.is_told(start(), b"1")


def test_a_call_that_began_under_the_task_is_begun_no_second_time():
    known = Communications()
    assert not known.is_told(message(), b"1")
    assert known.is_told(start(), b"2")


def test_what_belongs_to_no_dialog_begins_none():
    known = Communications()
    assert not known.is_told(message(None), b"1")
    assert not known.is_told(structs.replace(message(), correlation=None), b"1")
    assert not known.is_told(start(), b"2") and known.next == 2


def test_under_the_next_order_of_a_task_all_dialogs_are_new_and_cins_stay():
    known = Communications()
    known.is_told(start(), b"1")
    cin = known.cin(XID, NUMBER)
    known.cin("task-2", NUMBER)
    known.end(XID)
    assert not known.is_told(start(), b"2") and known.cin(XID, NUMBER) == cin


def test_a_later_run_knows_them():
    former = Communications(7)
    former.is_told(start(), b"1")
    state = Communication(NUMBER, 7, True, False, "", Side.CALLER, former.dialogs(XID, NUMBER))
    later = Communications(100)
    later.recall(XID, state)
    assert later.cin(XID, NUMBER) == 7
    assert later.is_told(start(), b"2") and not later.is_told(start(), b"1")

"""What an element holds: placed apart from its tasks, replaced, revoked, after a restart, on a clock that jumps."""

from __future__ import annotations

import pytest

from midcall.base.warrant import ClockGuard, Known, Register, Revoked, Rule, Verified, register
from midcall.base.warrant.clock import SETTLED, SLEW, TOLERANCE
from midcall.events import Instant
from tests.midcall import warrants as lab
from tests.midcall.warrants import rule

SECOND = 1_000_000_000


def holding(*octets: bytes, **changed) -> Register:
    held = Register(lab.ELEMENT, lab.trust(), **changed)
    for each in octets:
        held.place(each, lab.at())
    return held


def test_a_task_finds_the_warrant_that_was_placed():
    held = holding(lab.signed())
    outcome = held.authority(lab.XID, lab.at(ns=1))
    assert isinstance(outcome, Verified) and outcome.at == lab.at(ns=1)
    assert held.known == {"W-1": outcome.known}
    assert rule(held.authority(lab.OTHER_XID, lab.at())) is Rule.CONTENTS
    assert rule(held.authority(lab.XID, lab.at(lab.END))) is Rule.ENDED


def test_what_does_not_verify_is_not_kept():
    held = holding(lab.signed(None, lab.ANN), lab.signed(lab.make(elements=["poi-2"])), b"")
    assert not held.known and rule(held.authority(lab.XID, lab.at())) is Rule.CONTENTS


def test_one_that_has_not_begun_waits():
    held = Register(lab.ELEMENT, lab.trust())
    early = lab.at("2026-06-30T23:59:59Z")
    waiting = held.place(lab.signed(), early)
    assert rule(waiting) is Rule.NOT_BEGUN and not held.known
    assert rule(held.authority(lab.XID, early)) is Rule.NOT_BEGUN
    assert isinstance(held.authority(lab.XID, lab.at(lab.START)), Verified) and "W-1" in held.known


def test_what_will_not_hold_when_it_begins_does_not_wait():
    """Its approver's key has run out by then."""
    gone = lab.entry(lab.BEN, valid_until=lab.START)
    held = Register(lab.ELEMENT, lab.trust(lab.entry(lab.ANN), gone))
    assert rule(held.place(lab.signed(), lab.at("2026-06-30T00:00:00Z"))) is Rule.APPROVALS
    assert rule(held.authority(lab.XID, lab.at(lab.START))) is Rule.CONTENTS


def test_the_next_version_takes_over_when_it_begins():
    later = "2026-07-10T00:00:00Z"
    targets = [{"liid": "LI-1", "xid": lab.OTHER_XID, "identity": "sip:alice@example.com"}]
    held = holding(lab.signed(), lab.signed(lab.make(version=2, supersedes=1, start=later, targets=targets)))
    before = held.authority(lab.XID, lab.at(later, -1))
    assert isinstance(before, Verified) and before.warrant.version == 1
    assert rule(held.authority(lab.OTHER_XID, lab.at(later, -1))) is Rule.NOT_BEGUN
    # The task that it does not name any more is over, whoever asks first.
    assert rule(held.authority(lab.XID, lab.at(later))) is Rule.CONTENTS
    after = held.authority(lab.OTHER_XID, lab.at(later))
    assert isinstance(after, Verified) and after.warrant.version == 2
    assert rule(held.place(lab.signed(), lab.at(later))) is Rule.VERSION


def test_a_revocation_ends_it_and_keeps_it_ended():
    held = holding(lab.signed())
    assert isinstance(held.place(lab.signed(lab.revocation(2)), lab.at()), Revoked)
    assert rule(held.authority(lab.XID, lab.at())) is Rule.CONTENTS
    assert rule(held.place(lab.signed(), lab.at())) is Rule.REVOKED
    again = Register(lab.ELEMENT, lab.trust(), held.known)
    assert rule(again.place(lab.signed(), lab.at())) is Rule.REVOKED


def test_a_revocation_of_what_was_never_seen_counts():
    held = holding(lab.signed(lab.revocation(2)))
    assert rule(held.place(lab.signed(), lab.at())) is Rule.REVOKED


def test_a_task_is_for_one_warrant():
    held = holding(lab.signed())
    assert rule(held.place(lab.signed(lab.make(id="W-2")), lab.at())) is Rule.CONTENTS
    outcome = held.authority(lab.XID, lab.at())
    assert isinstance(outcome, Verified) and outcome.warrant.id == "W-1"


def test_trust_that_is_taken_back_ends_it():
    held = holding(lab.signed())
    held.trust = lab.trust(lab.entry(lab.ANN), lab.entry(lab.BEN, revoked="true"))
    assert rule(held.authority(lab.XID, lab.at())) is Rule.APPROVALS


def test_nothing_is_forgotten_for_room(monkeypatch):
    monkeypatch.setattr(register, "MAX_WARRANTS", 1)
    held = holding(lab.signed(), known={"W-0": Known(1, "00" * 32)})
    assert rule(held.place(lab.signed(), lab.at())) is Rule.VERSION
    assert rule(held.place(lab.signed(lab.revocation(2)), lab.at())) is Rule.VERSION
    assert set(held.known) == {"W-0"}


def test_nothing_begins_to_hold_on_a_clock_that_jumped():
    late = lab.at(lab.END, 3600 * SECOND)
    clock = ClockGuard(late)
    held = Register(lab.ELEMENT, lab.trust(), clock=clock)
    # Set back into the window of a warrant that has ended.
    assert rule(held.place(lab.signed(), Instant(lab.at().wall, late.mono + SECOND))) is Rule.CLOCK
    clock.trust(Instant(lab.at().wall, late.mono + 2 * SECOND))
    assert isinstance(held.place(lab.signed(), Instant(lab.at().wall + SECOND, late.mono + 3 * SECOND)), Verified)


@pytest.mark.parametrize(
    ("wall", "mono", "steady"),
    [
        (10, 10, True),
        (10 * SECOND + TOLERANCE, 10 * SECOND, True),
        (10 * SECOND + TOLERANCE + 10 * SECOND // SLEW + 1, 10 * SECOND, False),
        (-TOLERANCE, 0, True),
        (-TOLERANCE - 1, 0, False),
        (3600 * SECOND, SECOND, False),
        (0, -1, False),
    ],
)
def test_wall_time_runs_as_the_monotonic_count_does(wall, mono, steady):
    clock = ClockGuard(Instant(10**18, 10**12))
    assert clock.steady(Instant(10**18 + wall, 10**12 + mono)) is steady
    # Jumped once, it is not believed for having come back.
    assert clock.steady(Instant(10**18 + 20 * SECOND, 10**12 + 20 * SECOND)) is steady


def test_slow_drift_does_not_add_up_to_room_for_a_step():
    clock = ClockGuard(Instant(0, 0))
    for hour in range(1, 1001):
        assert clock.steady(Instant(hour * 3600 * SECOND + hour * SECOND, hour * 3600 * SECOND))
    at = Instant(1000 * 3601 * SECOND, 1000 * 3600 * SECOND)
    assert not clock.steady(Instant(at.wall + 3 * SECOND, at.mono + 1))


def test_what_is_let_go_of_is_known_as_a_version_and_no_more():
    held = holding(lab.signed())
    octets, xids = held.held("W-1")
    assert held.warrant_of(lab.XID) == "W-1" and held.current("W-1") == octets[0] and lab.XID in xids
    known = dict(held.known)
    held.forget("W-1")
    held.forget("W-1")
    assert held.warrant_of(lab.XID) is None and held.known == known
    assert rule(held.authority(lab.XID, lab.at())) is Rule.CONTENTS
    with pytest.raises(KeyError):
        held.current("W-1")
    # It comes again with its task; an older one does not.
    assert isinstance(held.place(lab.signed(), lab.at()), Verified)


@pytest.mark.parametrize("jump", [3_600 * SECOND, -3_600 * SECOND])
def test_a_clock_that_was_wrong_for_a_time_is_believed_when_it_has_been_right_for_a_minute(jump):
    clock = ClockGuard(Instant(10**18, 10**12))

    def steady(wall: int, mono: int) -> bool:
        return clock.steady(Instant(10**18 + wall, 10**12 + mono))

    assert not steady(SECOND + jump, SECOND)
    assert not steady(2 * SECOND, 2 * SECOND)
    assert not steady(50 * SECOND + jump, 50 * SECOND), "gone again"
    assert not steady(60 * SECOND, 60 * SECOND)
    assert not steady(59 * SECOND + SETTLED, 59 * SECOND + SETTLED)
    assert steady(60 * SECOND + SETTLED, 60 * SECOND + SETTLED)
    assert steady(61 * SECOND + SETTLED, 61 * SECOND + SETTLED)
    assert not steady(62 * SECOND + SETTLED + jump, 62 * SECOND + SETTLED)


def test_time_alone_makes_no_room_for_a_clock_to_come_back_to_another_hour():
    clock, day = ClockGuard(Instant(0, 0)), 86_400 * SECOND
    assert not clock.steady(Instant(-3_600 * SECOND, SECOND))
    # After a day slewing could explain 86 seconds; a clock that is back is back to the second.
    for each in range(100):
        assert not clock.steady(Instant(day - 60 * SECOND + each * SETTLED, day + each * SETTLED))

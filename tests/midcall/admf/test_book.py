"""Who may do what to a warrant: nobody alone, nobody twice, nobody with another's key."""

from __future__ import annotations

import pytest

from midcall.admf.book import Limits
from midcall.admf.roles import MATRIX, SEES_NAMES, Command, Person, Role
from midcall.admf.values import Denied, Status
from midcall.base.warrant import envelope
from midcall.base.warrant.envelope import Signature
from tests.midcall import warrants
from tests.midcall.admf.lab import draft, signature
from tests.midcall.admf.world import ANN, BEN, LEA, World
from tests.midcall.warrants import entry

LATER = {"version": 2, "supersedes": 1}


def code(act: object, *arguments: object) -> str:
    with pytest.raises(Denied) as denied:
        act(*arguments)  # type: ignore[operator]
    assert "alice" not in str(denied.value) and "LI-1" not in str(denied.value)
    return denied.value.code


def test_nobody_both_approves_and_activates():
    for one in (Command.DRAFT, Command.ACTIVATE, Command.REVOKE):
        assert not MATRIX[one] & MATRIX[Command.APPROVE]
    assert Role.AUDITOR not in MATRIX[Command.SHOW] | SEES_NAMES
    assert [each for each in Command if Role.OPERATOR in MATRIX[each]] == [Command.HEALTH]
    assert set(MATRIX) == set(Command)


def test_two_different_persons_with_their_own_keys():
    world = World()
    warrant = warrants.make()
    world.draft(warrant)
    assert code(world.approve, warrant, ANN, "Ben") == "key", "another person's key"
    assert code(world.approve, warrant, ANN, "Eve") == "key", "a key that is not listed"
    world.approve(warrant, ANN)
    assert code(world.approve, warrant, ANN) == "twice"
    assert world.core.status("W-1") is Status.AWAITING_APPROVAL
    assert code(world.activate) == "approvals"
    world.approve(warrant, BEN)
    assert world.core.status("W-1") is Status.APPROVED
    assert not world.armed("poi-1") and world.core.next("poi-1", world.now) is not None


def test_a_person_with_two_keys_is_one_person():
    world = World(warrants.trust(entry("Ann"), entry("second", person=" ANN"), entry("Ben")))
    warrant = warrants.make()
    world.draft(warrant)
    world.approve(warrant, ANN)
    assert code(world.approve, warrant, ANN, "second") == "twice"


def test_a_draft_brings_no_signature_that_is_not_one():
    """It would show approvals that nobody gave, and those persons could not give theirs."""
    world = World()
    theirs = envelope.read(warrants.signed(warrants.make(), "Ann", "Ben"))
    other = envelope.read(draft(warrants.make(id="W-2")))
    forged = envelope.write(envelope.Envelope(other.payload, theirs.signatures))
    assert code(world.core.draft, forged, LEA, world.now) == "signature"
    assert code(world.core.draft, warrants.signed(warrants.make(), "Ann", "Zoe"), LEA, world.now) == "key"
    assert world.core.book.records == {}


@pytest.mark.parametrize(
    "changed",
    [{"revoked": "true"}, {"valid_until": "2026-07-01T00:00:00Z"}, {"valid_from": "2026-07-03T00:00:00Z"}],
    ids=["revoked", "expired", "not yet valid"],
)
def test_a_key_that_does_not_count_does_not_approve(changed):
    world = World(warrants.trust(entry("Ann"), entry("Ben", **changed), entry("Eve")))
    warrant = warrants.make()
    world.draft(warrant)
    world.approve(warrant, ANN)
    assert code(world.approve, warrant, BEN) == "key"


def test_who_has_drafted_does_not_approve():
    world = World()
    warrant = warrants.make()
    world.draft(warrant, Person("Ann", Role.ADMINISTRATOR))
    assert code(world.approve, warrant, ANN) == "own"


def test_a_signature_over_something_else():
    world = World()
    warrant = warrants.make()
    world.draft(warrant)
    for made in (
        signature(draft(warrants.make(location=True)), "Ann"),
        Signature(signature(draft(warrant), "Ann").protected, "A" * 86),
    ):
        assert code(world.core.approve, "W-1", 1, made, ANN, world.now) == "signature"
    assert code(world.core.approve, "W-1", 1, Signature("e30", "A" * 86), ANN, world.now) == "form"
    assert code(world.core.approve, "W-1", 2, made, ANN, world.now) == "unknown"


def test_a_draft_that_is_changed_loses_its_approvals():
    world = World()
    world.draft(warrants.make())
    world.approve(warrants.make(), ANN)
    other = warrants.make(location=True)
    world.draft(other)
    assert world.core.book.records["W-1"].paper(1).envelope.signatures == ()  # type: ignore[union-attr]
    world.approve(other, ANN)
    world.approve(other, BEN)
    assert code(world.draft, warrants.make()) == "version", "what is approved is not drafted again"


def test_there_is_one_draft_at_a_time():
    world = World()
    world.active()
    for version in range(2, 50):
        world.draft(warrants.make(version=version, supersedes=1))
        world.approve(warrants.make(version=version, supersedes=1), ANN)
    assert [version for version, _ in world.core.book.records["W-1"].papers] == [1, 49]


def test_nothing_is_extended_but_by_a_version_with_the_last_one_in_view():
    world = World()
    world.active()
    world.draft(warrants.make(**LATER, end="2026-08-15T00:00:00Z"))
    world.activate()
    world.settle()
    force = world.core.book.in_force("W-1", world.now)
    assert force is not None and force.warrant.version == 1, "the draft changes nothing"  # type: ignore[union-attr]
    world.approve(warrants.make(**LATER, end="2026-08-15T00:00:00Z"), ANN)
    world.approve(warrants.make(**LATER, end="2026-08-15T00:00:00Z"), BEN)
    force = world.core.book.in_force("W-1", world.now)
    assert force.warrant.version == 1, "approved is not activated"  # type: ignore[union-attr]
    world.activate()
    force = world.core.book.in_force("W-1", world.now)
    assert force.warrant.version == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"end": "2026-07-02T00:00:00Z"}, "ended"),
        ({"end": "2027-01-01T00:00:00Z"}, "length"),
    ],
)
def test_windows_that_are_over_or_too_long(changed, word):
    assert code(World().draft, warrants.make(**changed)) == word


def test_what_is_no_warrant():
    world = World()
    for octets in (b"", b"{}", draft(warrants.make()) + b"\n", b"[" * 100_000):
        assert code(world.core.draft, octets, LEA, world.now) == "form"
    assert code(world.draft, warrants.revocation(2)) == "unknown"


def test_elements_that_are_not_ordered_from_here():
    world = World()
    warrant = warrants.make(elements=["df2-1", "kms-1"])
    world.approved(warrant)
    assert code(world.activate) == "element"


def test_a_revocation_takes_two_and_is_the_last_word():
    world = World()
    world.active()
    revocation = warrants.revocation(2)
    world.draft(revocation)
    world.approve(revocation, ANN)
    assert world.core.status("W-1") is Status.ACTIVE
    world.approve(revocation, BEN)
    assert world.core.status("W-1") is Status.CANCELLED
    assert code(world.draft, warrants.make(version=3, supersedes=2)) == "ended"
    assert code(world.activate) == "ended" and code(world.revoke) == "not-active"
    world.restart()
    assert world.core.status("W-1") is Status.CANCELLED


def test_as_many_as_are_kept():
    world = World(limits=Limits(warrants=1))
    world.draft(warrants.make())
    targets = [{"liid": "L", "xid": warrants.OTHER_XID, "identity": "sip:a@b"}]
    assert code(world.draft, warrants.make(id="W-2", targets=targets)) == "limit"
    world.draft(warrants.make(location=True))


def test_a_file_that_was_signed_elsewhere_is_as_good():
    world = World()
    world.enter(world.core.draft(warrants.signed(), LEA, world.now))
    assert world.core.status("W-1") is Status.APPROVED
    assert envelope.read(world.file()).signatures


def test_what_has_been_over_for_long_is_forgotten_but_for_its_id():
    world = World(limits=Limits(keep=3_600 * 10**9))
    world.active()
    world.approved(warrants.revocation(2))
    world.settle()
    world.go(3_599 * 10**9)
    assert world.core.book.records["W-1"].papers
    world.go(61 * 10**9)
    world.restart()
    record = world.core.book.records["W-1"]
    assert record.papers == () and world.core.status("W-1") is Status.CANCELLED
    assert code(world.draft, warrants.make()) == "ended" and code(world.activate) == "ended"
    world.draft(warrants.make(id="W-2"))


def test_a_draft_that_nobody_approved_can_be_thrown_away():
    world = World(limits=Limits(warrants=1))
    world.draft(warrants.make())
    world.approve(warrants.make(), ANN)
    other = warrants.make(id="W-2")
    assert code(world.draft, other) == "limit"
    act = world.core.revoke("W-1")
    assert (act.version, act.outcome) == (1, "withdrawn before approval")
    world.enter(act)
    world.restart()
    assert "W-1" not in world.core.book.records and not world.disk.records
    world.approved(other)
    assert code(world.revoke, "W-2") == "not-active", "what two have approved stays"


def test_a_draft_that_nobody_approved_is_forgotten_after_its_window():
    world = World(limits=Limits(keep=10**9))
    world.draft(warrants.make(end="2026-07-02T00:10:00Z"))
    world.go(599 * 10**9)
    assert world.core.book.records["W-1"].papers
    world.go(62 * 10**9)
    assert "W-1" not in world.core.book.records


def test_reprs_tell_nothing():
    world = World()
    world.active()
    record = world.core.book.records["W-1"]
    assert "alice" not in repr(record) and "payload" not in repr(record)
    assert "alice" not in repr(world.core.book.in_force("W-1", world.now))
    assert "alice" not in repr(world.core.links["poi-1"].wanted)


def test_who_has_drafted_brings_no_approval_of_their_own():
    """An administrator who stands in the trust list as well would need one other person only."""
    world = World()
    warrant = warrants.make()
    signed = warrants.signed(warrant, "Ann", "Ben")
    assert code(world.core.draft, signed, Person("ANN ", Role.ADMINISTRATOR), world.now) == "own"
    assert world.core.draft(signed, LEA, world.now).record.is_approved(1)

"""Verified once, a warrant stands for many calls: as long as nothing that it rests on has changed."""

from __future__ import annotations

from typing import Any

import pytest

from midcall.base.warrant import ClockGuard, Known, Outcome
from midcall.events import Instant
from midcall.kms import authority as module
from midcall.kms.authority import Authority, NoAuthority
from tests.midcall import warrants

SECOND = 1_000_000_000
ALICE = "sip:alice@example.com"
BEGIN = warrants.at()
FOR_THE_KMS: dict[str, Any] = {"elements": ["kms-1"]}


class Kms:
    """An authority, the time, and how often it has verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **entry: str) -> None:
        self.known: dict[str, Known] = {}
        self.now = BEGIN
        self.verified = 0
        self.trust = warrants.trust(warrants.entry(warrants.ANN, **entry), warrants.entry(warrants.BEN))
        self.authority = Authority("kms-1", self.trust, self.known, ClockGuard(BEGIN), self.known.__setitem__)
        verify = module.verify

        def counted(*arguments: Any) -> Outcome:
            self.verified += 1
            return verify(*arguments)

        monkeypatch.setattr(module, "verify", counted)

    def go(self, seconds: float) -> None:
        self.now = Instant(self.now.wall + round(seconds * SECOND), self.now.mono + round(seconds * SECOND))

    def ask(self, octets: bytes, xid: str = warrants.XID, identity: str = ALICE) -> str:
        """The rule that it breaks; empty: keys are given."""
        try:
            self.authority.check(octets, xid, identity, self.now)
        except NoAuthority as refused:
            return refused.rule or refused.code
        return ""


def signed(**changed: Any) -> bytes:
    return warrants.signed(warrants.make(**FOR_THE_KMS | changed))


def test_it_is_verified_once_for_many_calls(monkeypatch):
    kms, octets = Kms(monkeypatch), signed()
    for _ in range(100):
        kms.go(5)
        assert kms.ask(octets) == ""
    assert kms.verified == 1
    kms.go(110)
    assert kms.ask(octets) == "" and kms.verified == 2, "not for ever"
    assert kms.ask(octets, identity="sip:bob@example.com") == kms.ask(octets, xid=warrants.OTHER_XID) == "target"
    assert kms.ask(octets) == "" and kms.verified == 2


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"end": "2026-07-02T00:00:10Z"}, "ended"),
        ({}, "approvals"),
    ],
    ids=["its window", "the window of an approver"],
)
def test_it_stands_no_longer_than_what_it_rests_on(monkeypatch, change, rule):
    until = {} if change else {"valid_until": "2026-07-02T00:00:10Z"}
    kms, octets = Kms(monkeypatch, **until), signed(**change)
    assert kms.ask(octets) == ""
    kms.go(9.9)
    assert kms.ask(octets) == "" and kms.verified == 1
    kms.go(0.2)
    assert kms.ask(octets) == rule


def test_its_end_by_the_monotonic_clock_alone_is_one(monkeypatch):
    kms, octets = Kms(monkeypatch), signed(end="2026-07-02T00:00:10Z")
    assert kms.ask(octets) == ""
    # The wall clock lags, as one may that is slewed; what has passed says that the window is over.
    kms.now = Instant(BEGIN.wall + round(9.5 * SECOND), BEGIN.mono + 10 * SECOND)
    kms.ask(octets)
    assert kms.verified == 2, "it is not taken for standing"


def test_a_clock_that_has_jumped_ends_it(monkeypatch):
    kms, octets = Kms(monkeypatch), signed()
    assert kms.ask(octets) == ""
    kms.now = Instant(BEGIN.wall + 3_600 * SECOND, BEGIN.mono + SECOND)
    assert kms.ask(octets) == "clock"


@pytest.mark.parametrize(
    "later",
    [signed(version=2, supersedes=1, end="2026-07-15T00:00:00Z"), warrants.signed(warrants.revocation(2))],
    ids=["version", "revocation"],
)
def test_a_later_version_ends_it(monkeypatch, later):
    kms, octets = Kms(monkeypatch), signed()
    assert kms.ask(octets) == ""
    kms.ask(later)
    assert kms.ask(octets) in ("version", "revoked")


def test_another_trust_list_ends_it(monkeypatch):
    kms, octets = Kms(monkeypatch), signed()
    assert kms.ask(octets) == ""
    kms.authority.renew(warrants.trust(warrants.entry(warrants.ANN), warrants.entry(warrants.EVE)))
    assert kms.ask(octets) == "approvals"


def test_what_another_process_has_noted_ends_it_once_that_is_known(monkeypatch):
    kms, octets = Kms(monkeypatch), signed()
    assert kms.ask(octets) == ""
    kms.known["W-1"] = Known(2, "ab", revoked=True)
    kms.authority.forget()
    assert kms.ask(octets) == "revoked"


def test_what_stands_no_longer_is_let_go_of(monkeypatch):
    kms = Kms(monkeypatch)
    assert kms.ask(signed()) == ""
    kms.go(599)
    kms.authority.lapse(kms.now)
    assert len(kms.authority._standing) == 1
    kms.go(2)
    kms.authority.lapse(kms.now)
    assert len(kms.authority._standing) == 0

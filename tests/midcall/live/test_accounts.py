"""What is remembered of calls under tasks: its bounds, and the rungs that need no live system to be reached."""

from __future__ import annotations

from typing import Any

import pytest

from midcall.base.link_report import LinkEvent
from midcall.df3 import Finished
from midcall.events import (
    DialogFault,
    DialogId,
    DialogReleased,
    Instant,
    KeyAnswer,
    SessionReport,
    Side,
    SipReport,
    SipSeen,
    StartOfInterception,
    Terms,
)
from midcall.handover import Completeness
from midcall.live import accounts, df_ladder
from midcall.live.accounts import Accounts, Forks, note
from midcall.live.df_account import Account, DfAccounts, ForkAccount, Media
from midcall.live.df_ladder import At, Product
from midcall.live.link_book import LinkBook
from midcall.live.poi_account import PoiAccounts, X2State
from tests.midcall.df3.test_control import THIRD, handed, secured, tapped
from tests.midcall.df3.test_control import report as rtcp
from tests.midcall.df3.test_core import DIALOG

NOW = Instant(1_000_000_000, 5)
EARLY, FIRST, SECOND = (DialogId("c@lab", "a", tag) for tag in ("", "b1", "b2"))
UP = X2State(True, "", 0)


def report(dialog: DialogId = FIRST, **changed: Any) -> SessionReport:
    given = {"offer": None, "answer": None, "exchanges": ()} | changed
    return SessionReport("x", "sip:a@b", bytes(8), dialog, NOW, NOW, Side.CALLER, None, **given)


def test_the_call_of_which_nothing_was_heard_for_longest_is_forgotten(monkeypatch):
    monkeypatch.setattr(accounts, "CALLS", 2)
    kept: Accounts[list[int]] = Accounts(list)
    for call_id in ("1", "2", "1", "3"):
        kept.of(call_id, "x").append(1)
    assert kept.find("1") == {"x": [1, 1]} and kept.find("3") and not kept.find("2") and len(kept) == 2


def test_a_task_that_ends_takes_its_accounts_and_no_others():
    kept: Accounts[list[int]] = Accounts(list)
    for xid in ("x", "y"):
        kept.of("1", xid)
    kept.of("2", "x")
    kept.ended("x")
    assert list(kept.find("1")) == ["y"] and not kept.find("2") and len(kept) == 1


def test_the_first_fork_has_what_was_known_before_anybody_answered():
    forks: Forks[list[str]] = Forks(list)
    forks.of(EARLY).append("INVITE")
    forks.of(FIRST).append("180")
    forks.of(SECOND).append("180")
    forks.of(EARLY).append("CANCEL")
    assert forks.items() == ((FIRST, ["INVITE", "180", "CANCEL"]), (SECOND, ["180"]))
    for number in range(100):
        forks.of(DialogId("c@lab", "a", str(number)))
    assert len(forks.items()) == accounts.FORKS


def test_rtcp_that_was_not_handed_over_is_counted_as_dropped():
    df3 = tapped(secure=True, encrypted=True)
    first, second = secured(rtcp(1), rtcp(2))
    assert len(handed(df3, first, second[:-1] + b"\0")) == 1, "the second waits"
    assert handed(df3, second, **THIRD) == [rtcp(2)], "a tag speaks for it"
    stands = df3.look("x", DIALOG)
    found = Media.of(stands.streams, stands.dropped)
    assert found.sums["rtcp"] == 2 and found.dropped == {"rtcp_failed": 1} and found.seen == 3


def test_reasons_are_few_and_have_no_identities():
    reasons: list[str] = []
    for number in range(100):
        note(reasons, f"SDP: 'sip:alice{number}@example.com' is no IP address")
    assert reasons == ["SDP: '[redacted]' is no IP address"]
    for number in range(100):
        note(reasons, f"reason {number}")
    assert len(reasons) == accounts.REASONS


def test_a_poi_tells_of_faults_and_of_the_end():
    told = PoiAccounts()
    told.note([report(), DialogFault("x", bytes(8), FIRST, NOW, 0, "SDP: line 3"), report(SECOND)])
    told.note([DialogReleased("x", bytes(8), FIRST, NOW, "BYE")])
    ((first, second),) = [each.forks for each in told.explain("c@lab", lambda _: X2State(False, "refused", 7))]
    assert {each.name: each.reason for each in first.rungs} == {
        "matched": None,
        "session": "no-sdp",
        "ticket": "no-ticket",
        "readable": "unreadable",
        "sent": "x2-down",
        "ended": None,
    }
    assert (first.number, second.number) == (1, 2) and "ended" not in {each.name for each in second.rungs}
    assert first.rungs[4].counts["queued_octets"] == 7 and "refused" in first.rungs[4].said
    assert not told.explain("d@lab", lambda _: UP)


def test_copies_that_others_could_have_forged_are_told_of():
    """By POI and DF; and what was taken out of records, by kind."""
    seen = SipSeen(b"BYE", "1:1", "2:2", NOW, authenticated=False)
    start = StartOfInterception("x", "sip:a@b", bytes(8), FIRST, NOW, None, None)
    events = [start, SipReport("x", "sip:a@b", bytes(8), FIRST, seen)]
    poi, df = PoiAccounts(), DfAccounts()
    poi.note(events)
    for each in events:
        df.event(each)
        df.removed(each, ["sdes-keys", "location", "sdes-keys"])
    (sent,) = [each for each in poi.explain("c@lab", lambda _: UP)[0].forks[0].rungs if each.name == "sent"]
    assert sent.counts["unauthenticated"] == 1 and "2 events to the DF; 1 of them not authenticated" in sent.said
    given = At(Terms("LI-1"), has_media=True, product=Product(True))
    first = df_ladder.fork(1, df.find("c@lab")["x"], planned(), Media(), given).rungs[0]
    assert first.counts == {
        "events": 2,
        "outside_window": 0,
        "unauthenticated": 1,
        "removed_location": 2,
        "removed_sdes-keys": 4,
    }
    assert first.said.endswith(
        "; 1 of them not authenticated (HEP without TLS); taken out of their records: 2 location, 4 sdes-keys"
    )


def test_what_comes_after_the_end_of_a_task_opens_no_account():
    told = DfAccounts()
    told.event(report())
    told.ended("x")
    told.finished(Finished("x", FIRST, [], [], {}))
    told.answered(KeyAnswer(1, ()))
    assert not told.find("c@lab")


def ladder(fork: ForkAccount, media: Media | None = None, **at: Any) -> dict[str, tuple[str, str | None]]:
    given = At(**{"terms": Terms("LI-1"), "has_media": True, "product": Product(True)} | at)
    found = df_ladder.fork(1, Account(), fork, media or Media(), given)
    return {each.name: (each.state.value, each.reason) for each in found.rungs}


def planned(**changed: Any) -> ForkAccount:
    fork = ForkAccount()
    fork.planned = fork.offered = fork.answered = True
    fork.lines = fork.secure = fork.exchanges = fork.contexts = 1
    for name, value in changed.items():
        setattr(fork, name, value)
    return fork


@pytest.mark.parametrize(
    ("changed", "rung", "state", "reason"),
    [
        ({"planned": False}, "session", "missing", "no-session"),
        ({"lines": 0}, "session", "missing", "no-media"),
        ({"lines": 0, "faults": ["SDP: x"]}, "session", "missing", "unreadable"),
        ({"answered": False}, "session", "waiting", "no-answer"),
        ({"contexts": 0, "open": {1}}, "keys", "waiting", "kms-asked"),
        ({"contexts": 0, "answered": False}, "keys", "waiting", "no-answer"),
        ({"contexts": 0, "failures": ["KMS: no answer within 5 s"]}, "keys", "missing", "kms-refused"),
        ({"contexts": 0, "failures": ["MIKEY: x"]}, "keys", "missing", "no-keys"),
        ({"contexts": 0, "failures": ["DTLS"], "exchanges": 0}, "keys", "missing", "no-ticket"),
        ({"contexts": 0, "exchanges": 0}, "keys", "missing", "no-ticket"),
        ({"contexts": 0}, "keys", "missing", "no-keys"),
        ({"failures": ["crypto session 3: x"]}, "keys", "done", None),
        ({}, "armed", "missing", "no-media"),
        ({"ended": "BYE"}, "armed", "done", None),
        ({"answered": False}, "packets", "waiting", "no-packets"),
    ],
)
def test_rungs_of_session_and_keys(changed, rung, state, reason):
    assert ladder(planned(**changed))[rung] == (state, reason)


@pytest.mark.parametrize(
    ("media", "changed", "reason"),
    [
        (Media(2, 5), {"contexts": 0, "open": {1}}, ("waiting", "held")),
        (Media(2, 5), {"contexts": 0}, ("missing", "held")),
        (Media(2, sums={"packets": 3, "tag_failures": 3}), {}, ("missing", "tag-failures")),
        (Media(2, sums={"packets": 3, "without_key": 3}), {}, ("missing", "without-key")),
        (Media(2, dropped={"foreign": 3}), {}, ("missing", "dropped")),
        (Media(2, sums={"packets": 3, "decrypted": 2, "tag_failures": 1}), {}, ("done", None)),
    ],
)
def test_rungs_of_content(media, changed, reason):
    found = ladder(planned(**changed), media)
    assert found["content"] == reason and found["packets"] == ("done", None)


def test_what_was_dropped_is_named_where_there_is_content_too():
    media = Media(2, sums={"packets": 3, "decrypted": 3}, dropped={"rtcp_in_clear": 2})
    found = df_ladder.fork(1, Account(), planned(), media, At(Terms("LI-1"), True, Product(True)))
    (said,) = [each.said for each in found.rungs if each.name == "packets"]
    assert said == "5 seen at the dialog's places; dropped: 2 rtcp in clear"


def test_rungs_of_the_hand_over():
    assert ladder(planned(), has_media=False)["armed"] == ("missing", "no-tap")
    down = Product(False, "refused")
    assert ladder(planned(), product=down)["handed over"] == ("missing", "lemf-down")
    lost = Product(True, "", (Completeness("LI-1", "hi3", 3, 1, 1, {"no room on the disk": 1}),))
    assert ladder(planned(), product=lost)["handed over"] == ("done", "handover-refused")


def test_links_stand_as_they_told_last():
    book = LinkBook()
    for state, reason in (("up", ""), ("fault", "the LEMF does not answer"), ("down", "closed by 10.0.0.1")):
        book.told(LinkEvent("d1", "hi2+hi3", state, reason, 0))
    (link,) = book.links("d1")
    assert (link.is_up, link.down, link.fault) == (False, "closed by 10.0.0.1", "the LEMF does not answer")
    assert link.why == "the LEMF does not answer"
    for state in ("up", "cleared"):
        book.told(LinkEvent("d1", "hi2+hi3", state, "", 10**9))
    (link,) = book.links()
    assert (link.is_up, link.why, link.since) == (True, "", "1970-01-01T00:00:01.000Z") and not book.links("d2")

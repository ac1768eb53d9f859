"""HI1 notifications through the hand-over: numbers of their own, among the events, told once, over restarts too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from imswire import hi
from imswire.hi import hi1
from midcall.config import Integrity, Network
from midcall.df2 import notifications
from midcall.events import Hi1Record
from midcall.handover import Assembler, Kind, Numbered, gaps
from midcall.handover.assembler import UNFIT, UNKNOWN
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.status import backlog, completeness
from midcall.handover.values import NUMBERS, Completeness, Gap
from tests.midcall.handover.test_repetitions import no_room
from tests.midcall.handover.test_spool import SMALL, Site, lost
from tests.midcall.handover.world import SECOND, T0, cc, intercept, iri, streams

BEGUN, ENDED, CHANGED = hi1.NotificationKind.ACTIVATED, hi1.NotificationKind.DEACTIVATED, hi1.NotificationKind.MODIFIED
NETWORK = Network()


# PS-PDU; pSHeader with domain 0.4.0.2.2.5.1.43 (version), LIID, country, network, number 0, time, qualifier 2; payload.
OCTETS = """
    3070
    a13c  8007 0400020205012b  8105 4c41422d31  8202 5858
          a315 a013 8008 6f70657261746f72 8107 656c656d656e74
          8401 00  a709 8004 6553f100 8101 00  8801 02
    a230  a32e a12c
          8007 04000202000106  8105 4c41422d31  a209 a107 8005 3939393939
          a30f 810d 3233313131343232313332305a
"""


def told(kind: hi1.NotificationKind, second: int = 0, liid: str = "LAB-1") -> Hi1Record:
    return notifications.notification(NETWORK, liid, kind, T0 + second * SECOND)


def alarm(gap: Gap, at: int) -> list[Hi1Record]:
    return [notifications.alarm(NETWORK, gap.liid, gaps.alarm(gap), at)]


def operation(octets: bytes) -> hi1.Operation:
    payload = hi.parse(octets).payload
    assert isinstance(payload, hi.Hi1)
    return hi1.parse(payload.contents)


def kinds(octets: list[bytes]) -> list[int]:
    found = map(operation, octets)
    return [each.kind if isinstance(each, hi1.Notification) else notifications.ALARM for each in found]


# Numbers


def test_the_octets() -> None:
    """Header without CIN, time of mediation; then [3], liActivated."""
    (numbered,) = Assembler([intercept()]).iri([told(BEGUN)], T0)
    assert numbered == Numbered("LAB-1", "hi1", 0, numbered.octets, Kind.HI1)
    assert numbered.octets == bytes.fromhex(OCTETS)


def test_each_stands_where_it_was_given_and_counts_apart() -> None:
    assembler = Assembler([intercept(), intercept("B")])
    given = [told(BEGUN), iri(1), told(BEGUN, liid="B"), iri(2), iri(3, "B"), told(CHANGED, 4), iri(5), told(ENDED, 6)]
    found = assembler.iri(given, T0)
    assert [(each.liid, each.interface, each.sequence) for each in found] == [
        ("LAB-1", "hi1", 0), ("LAB-1", "hi2", 0), ("B", "hi1", 0), ("LAB-1", "hi2", 1), ("B", "hi2", 0),
        ("LAB-1", "hi1", 1), ("LAB-1", "hi2", 2), ("LAB-1", "hi1", 2),
    ]  # fmt: skip
    assert {hi.parse(each.octets).header.cid.cin for each in found if each.interface == "hi1"} == {None}


def test_no_hash_covers_them() -> None:
    assembler = Assembler([intercept()], Integrity(hash_pdus=1))
    assert [each.kind for each in assembler.iri([told(BEGUN)], T0)] == [Kind.HI1]
    assert assembler.next_deadline() is None and assembler.end("LAB-1", T0 + SECOND) == []


def test_numbers_wrap_and_what_cannot_be_numbered_is_counted() -> None:
    assembler = Assembler([intercept()], recall=lambda key: NUMBERS - 1 if key.kind is Kind.HI1 else 0)
    found = assembler.iri([told(BEGUN), told(CHANGED), told(BEGUN, liid="C"), replace(told(ENDED), contents=b"x")], T0)
    assert [each.sequence for each in found] == [NUMBERS - 1, 0]
    assert dict(assembler.refused.items()) == {("C", "hi1", UNKNOWN): 1, ("LAB-1", "hi1", UNFIT): 1}


# The spool


@pytest.fixture
def lab_of(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**options: object) -> Site:
        made.append(Site(tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.spool.close()
        each.keys.close()


def equation(site: Site) -> Completeness:
    *_, found = completeness(Folder(site.folder / "spool"), site.keys, "LAB-1")
    assert found.interface == "hi1" and found.holds
    return found


def test_what_goes_on_after_a_restart_is_told_once(lab_of: Callable[..., Site]) -> None:
    lab = lab_of()
    lab.spool.write_iri([told(BEGUN), iri(1)], T0)
    assert lab.spool.active() == ["LAB-1"]
    lab.restart()
    assert lab.spool.active() == ["LAB-1"] and lab.spool.next_number("LAB-1", None, Kind.HI1) == 1
    lab.spool.write_iri([told(BEGUN, 1)], T0)
    assert lab.spool.repeated == 1
    lab.spool.write_iri([told(CHANGED, 2), told(ENDED, 3)], T0)
    lab.restart()
    assert lab.spool.active() == []
    lab.spool.write_iri([told(BEGUN, 4), told(BEGUN, 5), told(ENDED, 6), told(BEGUN, 7)], T0)
    ledger = lab.read()
    assert kinds(ledger.octets(hi.PayloadTag.HI1)) == [BEGUN, CHANGED, ENDED, BEGUN, ENDED, BEGUN]
    assert ledger.gaps == [] and ledger.doubled == []
    assert lab.spool.active() == ["LAB-1"]


def test_the_equation_has_them_apart_and_the_backlog_among_the_events(lab_of: Callable[..., Site]) -> None:
    lab = lab_of()
    assert [each.interface for each in completeness(Folder(lab.folder / "spool"), lab.keys, "LAB-1")] == ["hi2", "hi3"]
    lab.spool.write_iri([told(BEGUN), iri(1), told(CHANGED)], T0)
    assert lab.equation()[0] == (1, 0, 1, {})
    assert equation(lab) == Completeness("LAB-1", "hi1", 2, 0, 2, {})
    assert backlog(Folder(lab.folder / "spool"))["hi2"].pdus == 3
    lab.read()
    assert equation(lab).delivered == 2 and lab.equation()[0] == (1, 1, 0, {})
    lab.spool.write_iri([replace(told(ENDED), contents=b"x")], T0)
    lab.spool.write_iri([], T0)
    assert equation(lab).refused == {UNFIT: 1}


def test_one_that_is_lost_is_reported_by_its_number(lab_of: Callable[..., Site]) -> None:
    lab = lab_of()
    for each in (told(BEGUN), told(CHANGED), told(ENDED)):
        lab.spool.write_iri([each], T0)
    database = sqlite3.connect(lab.folder / "spool" / "iri.db")
    with database:
        database.execute("UPDATE rows SET body = x'00' WHERE id = 2")
    database.close()
    assert kinds(lab.read().octets(hi.PayloadTag.HI1)) == [BEGUN, ENDED]
    assert lost(lab) == [("LAB-1", "hi1", None, 1, 1)] and lab.lost[0].kind is Kind.HI1
    assert equation(lab).refused == {"unreadable": 1}


def test_one_that_found_no_room_is_told_when_there_is_some(
    lab_of: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of()
    with monkeypatch.context() as full:
        full.setattr(lab.spool.files, "commit_events", no_room)
        full.setattr(lab.spool, "_make_room", lambda *_: False)
        assert not lab.spool.write_iri([told(BEGUN)], T0)
    assert lab.spool.write_iri([iri(1)], T0) and lab.spool.active() == []
    assert lab.spool.write_iri([told(BEGUN)], T0) and lab.spool.active() == ["LAB-1"]
    assert kinds(lab.read().octets(hi.PayloadTag.HI1)) == [BEGUN]


def test_content_that_is_given_up_is_an_alarm_of_each_intercept(lab_of: Callable[..., Site]) -> None:
    lab = lab_of(liids=("LAB-1", "LAB-2"), alarm=alarm, settings=SMALL)
    refused = [*cc(streams()[0], 2), *cc(streams(cin=2)[1], 3), *cc(streams("LAB-2")[0], 4)]
    lab.spool.refuse(refused, T0 + SECOND)
    lab.spool.write_iri([], T0 + SECOND)
    ledger = lab.read()
    assert [ledger.count(hi.PayloadTag.IRI, liid) for liid in (b"LAB-1", b"LAB-2")] == [2, 1], "of communications"
    found = [operation(each) for liid in (b"LAB-1", b"LAB-2") for each in ledger.octets(hi.PayloadTag.HI1, liid)]
    assert [(each.liid, each.information) for each in found if isinstance(each, hi1.AlarmIndicator)] == [
        (b"LAB-1", b"content is missing, disk full: 5 records, from 1700000000.000 to 1700000000.040 (UTC seconds)"),
        (b"LAB-2", b"content is missing, disk full: 4 records, from 1700000000.000 to 1700000000.060 (UTC seconds)"),
    ]
    assert lab.spool.active() == [], "an alarm says nothing of that"

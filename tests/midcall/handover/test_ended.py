"""Tasks that are over: what waits of them is product of their warrant, and what is given up of it is declared."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imswire import hi
from midcall.config import Integrity
from midcall.events import Hi1Record, Intercept
from midcall.handover import Lost
from midcall.handover.shell.intercepts import Intercepts
from midcall.handover.shell.spool import Spool
from midcall.handover.values import Gap
from tests.midcall.handover.test_spool import SMALL, Site
from tests.midcall.handover.world import (
    NO_INTEGRITY,
    SECOND,
    T0,
    cc,
    contents,
    intercept,
    iri,
    keys,
    streams,
    unavailable,
)


class Room:
    """A site whose disk takes no content until enough of it was given up; gaps and losses are noted."""

    def __init__(self, folder: Path, integrity: Integrity = NO_INTEGRITY) -> None:
        self.folder = folder
        self.keys = keys(folder / "keys")
        self.gaps: list[Gap] = []
        self.lost: list[Lost] = []
        self.integrity = integrity
        self.spool = self.open()

    def open(self) -> Spool:
        return Spool(
            self.folder / "spool", "lemf", self.keys, (), self.unavailable, T0,
            settings=SMALL, integrity=self.integrity, lost=self.lost.append,
        )  # fmt: skip

    def unavailable(self, gap: Gap) -> bytes:
        self.gaps.append(gap)
        return unavailable(gap)

    def restart(self) -> None:
        self.spool.close()
        self.spool = self.open()

    def give_up(self, segments: int) -> None:
        """What happens on a full disk, ``segments`` times."""
        for _ in range(segments):
            assert self.spool._make_room("hi3", T0)

    read = Site.read

    def close(self) -> None:
        self.spool.close()
        self.keys.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def of(room: Room, liid: str) -> list[tuple[int, bytes]]:
    return [(gap.count, gap.about) for gap in room.gaps if gap.liid == liid]


def two_tasks(room: Room) -> None:
    """3000 records of A, in several files; A is over, B goes on."""
    room.spool.add(intercept("A"), b"what A was")
    room.spool.add(intercept("B"), b"what B is")
    for place in range(0, 3_000, 500):
        assert room.spool.write_cc(cc(streams("A")[0], 500, place), T0)
    assert room.spool.end("A", T0)
    room.spool.release("A")
    assert room.spool.write_iri([iri(0, liid="B", cin=2)], T0)


@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_what_is_given_up_of_an_ended_task_is_declared(room: Room, restarts: int) -> None:
    two_tasks(room)
    for _ in range(restarts):
        room.restart()
        room.spool.add(intercept("B"), b"what B is")
        assert room.spool.write_iri([], T0)
    room.give_up(2)
    ledger = room.read()
    declared = sum(count for count, _ in of(room, "A"))
    assert declared == 3_000 - ledger.count(hi.PayloadTag.CC, b"A") > 500
    assert {about for _, about in of(room, "A")} == {b"what A was"} and of(room, "B") == []
    assert sum(b"gap A 1 disk full" in each for each in ledger.octets(hi.PayloadTag.IRI, b"A")) == len(of(room, "A"))
    assert room.lost == []


def test_it_is_forgotten_when_it_is_delivered_and_not_before(room: Room) -> None:
    two_tasks(room)
    room.restart()
    room.spool.add(intercept("B"), b"what B is")
    assert room.spool.write_iri([], T0) and room.spool.knows("A")
    room.read()
    assert room.spool.write_iri([], T0)
    assert room.spool.write_iri([], T0)
    assert not room.spool.knows("A") and room.spool.knows("B")
    room.restart()
    assert not room.spool.knows("A") and room.spool.knows("B"), "nor is it in the file any more"
    room.spool.add(intercept("A"), b"another A")
    assert room.spool.write_iri([iri(0, liid="A")], T0)
    assert room.read().count(hi.PayloadTag.IRI, b"A") == 1


def test_who_is_ordered_again_is_not_forgotten(room: Room) -> None:
    two_tasks(room)
    room.read()
    room.spool.add(intercept("A"), b"what A was")
    for _ in range(3):
        assert room.spool.write_iri([], T0)
    assert room.spool.knows("A")
    room.restart()
    room.spool.add(intercept("A"), b"what A has become")
    assert room.spool.write_iri([], T0)
    room.restart()
    assert room.spool.intercepts.about("A") == b"what A has become"


def test_one_of_which_hi1_has_told_no_end_is_not_forgotten(room: Room) -> None:
    room.spool.add(intercept("A"))
    assert room.spool.write_iri([Hi1Record("A", 1, T0, contents(b"active"))], T0)
    room.spool.release("A")
    room.read()
    for _ in range(2):
        assert room.spool.write_iri([], T0)
    room.restart()
    assert room.spool.active() == ["A"] and room.spool.knows("A")
    assert room.spool.write_iri([Hi1Record("A", 2, T0, contents(b"over"))], T0)
    for _ in range(2):
        assert room.spool.write_iri([], T0)
    assert not room.spool.knows("A")


def test_a_gap_that_nobody_can_put_into_words_is_told_here_and_stops_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(gap: Gap) -> bytes:
        raise KeyError(gap.liid)

    two_tasks(room)
    monkeypatch.setattr(room.spool._owed, "_unavailable", nobody)
    room.give_up(1)
    (told,) = room.lost
    assert (told.liid, told.interface, told.first, told.reason) == ("A", "hi3", 0, "disk full")
    assert room.spool.write_iri([iri(1, liid="B", cin=2)], T0) and not room.spool.owes
    ledger = room.read()
    assert ledger.count(hi.PayloadTag.IRI, b"B") == 2
    assert told.count == 3_000 - ledger.count(hi.PayloadTag.CC, b"A")


def test_an_alarm_that_cannot_be_made_keeps_no_gap_from_being_declared(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nobody(gap: Gap, at: int) -> list[Hi1Record]:
        raise KeyError(gap.liid, at)

    two_tasks(room)
    monkeypatch.setattr(room.spool._owed, "_alarm", nobody)
    room.give_up(1)
    assert of(room, "A") and room.lost == [] and not room.spool.owes
    assert "HI1 is not told of a gap: KeyError at " in caplog.text


def test_content_of_which_nothing_is_known_any_more_is_told_here(room: Room) -> None:
    two_tasks(room)
    room.spool.files.events.database.execute("DELETE FROM meta WHERE name GLOB 'intercept *'")
    room.restart()
    room.give_up(1)
    assert room.lost and {each.liid for each in room.lost} == {"A"} and room.gaps == []


def test_what_waits_for_a_hash_of_which_nothing_is_known_any_more_stops_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path, Integrity())
    room.spool.add(intercept("A"))
    assert room.spool.write_cc(cc(streams("A")[0], 20), T0)
    room.spool.files.events.database.execute("DELETE FROM meta WHERE name GLOB 'intercept *'")
    room.restart()
    room.spool.add(intercept("B"))
    assert room.spool.write_cc(cc(streams("B", 2)[0], 20), T0 + 10 * SECOND)
    assert room.spool.write_iri([], T0 + 20 * SECOND) and room.spool.write_cc([], T0 + 20 * SECOND)
    assert {liid for liid, _ in room.read().checks} == {b"B"}
    room.close()


def test_the_hash_of_a_task_that_was_not_ended_in_time_comes_after_the_restart(tmp_path: Path) -> None:
    room = Room(tmp_path, Integrity())
    room.spool.add(intercept("A"))
    assert room.spool.write_iri([], T0) and room.spool.write_cc(cc(streams("A")[0], 20), T0)
    room.restart()
    for seconds in (10, 20):
        assert room.spool.write_iri([], T0 + seconds * SECOND) and room.spool.write_cc([], T0 + seconds * SECOND)
    ((liid, check),) = room.read().checks
    assert liid == b"A" and check.numbers == tuple(range(20))
    room.close()


def test_a_note_of_another_version_is_passed_over(room: Room) -> None:
    two_tasks(room)
    handle = room.keys.handle("A")
    sealed = room.keys.key(handle).seal(b"\xc1", b"intercept %d" % handle)
    room.spool.files.events.note(f"intercept {handle}", sealed)
    room.restart()
    assert room.spool.knows("B") and not room.spool.knows("A")


def test_what_is_shredded_is_noted_no_more(room: Room) -> None:
    two_tasks(room)
    handle = room.keys.handle("A")
    room.spool.shred("A")
    assert room.spool.write_iri([iri(1, liid="B", cin=2)], T0)
    assert room.keys.handles("A") == [handle], "nobody made another key for it"
    room.restart()
    assert not room.spool.knows("A")


def test_a_new_file_of_events_knows_all_of_them(room: Room) -> None:
    two_tasks(room)
    real, failed = room.spool.files.commit_events, []

    def damaged(*given: Any) -> None:
        if not failed:
            failed.append(given)
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        real(*given)

    room.spool.files.commit_events = damaged  # type: ignore[method-assign]
    assert room.spool.write_iri([iri(1, liid="B", cin=2)], T0)
    room.restart()
    assert room.spool.knows("A") and room.spool.intercepts.about("B") == b"what B is"


def test_of_many_intercepts_one_can_be_added_while_another_is_forgotten() -> None:
    """In two threads; what was added is there at the end."""
    kept = Intercepts(())
    liids = [f"L{n}" for n in range(2_000)]

    def order() -> None:
        for liid in liids:
            kept.release(liid, 0)
            kept.add(Intercept(liid, "xid", "operator", None, None, None, "lemf"))

    for liid in liids:
        kept.add(Intercept(liid, "xid", "operator", None, None, None, "lemf"))
    ordering = threading.Thread(target=order)
    ordering.start()
    while ordering.is_alive():
        for liid in kept.delivered(0):
            kept.forget(liid)
    ordering.join()
    assert set(kept.by_liid) == set(liids)

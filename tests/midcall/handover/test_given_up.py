"""What is given up is declared once, has not gone out, and leaves its room at once, also where a process is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from imswire import hi
from midcall.events import Intercept
from midcall.handover.gaps import together
from midcall.handover.rows import split
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell import spool as spools
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.intercepts import Intercepts
from midcall.handover.shell.owed import Owed
from midcall.handover.shell.reader import Reader
from midcall.handover.shell.spool import FULL, Spool
from midcall.handover.values import INTERFACES, Gap
from tests.midcall.handover.ledger import Ledger
from tests.midcall.handover.world import SECOND, T0, cc, intercept, iri, keys, streams, unavailable

SETTINGS = SpoolSettings(segment_octets=100_000, reserve_octets=0, retry_seconds=0.0)


class Killed(BaseException):
    """The process is no more."""


class Room:
    """A spool with several files of content, and a sender that has begun to read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder / "spool")
        self.keys = keys(folder / "keys")
        self.ledger = Ledger()
        self.lost: list[object] = []
        self.events = 0
        self.spool = self.open()
        self.cursor = Cursor(self.folder.cursor)
        self.readers = {
            each: Reader(self.folder, each, self.keys, self.cursor, self.lost.append) for each in INTERFACES
        }
        for place in range(10):
            self.spool.write_cc(cc(streams()[0], 200, 200 * place), T0)

    def open(self) -> Spool:
        return Spool(self.folder.path, "lemf", self.keys, [intercept()], unavailable, T0, settings=SETTINGS)

    def read(self, octets: int) -> None:
        """Some of the content is sent, and proved."""
        for item in self.readers["hi3"].read(octets):
            self.ledger.take(split(item.octets, item.pdus))
            self.cursor.settle({"hi3": item.row}, [(tag, "hi3", n) for tag, n in item.seen], item.counts)

    def give_up(self) -> None:
        """As a full disk makes the writer do."""
        self.spool._give_up(next(iter(self.folder.segments("hi3").values())), T0)

    def event(self) -> None:
        self.spool.write_iri([iri(self.events)], T0 + self.events * SECOND)
        self.events += 1

    def drain(self) -> None:
        self.read(1 << 30)
        while items := self.readers["hi2"].read(1 << 20):
            for item in items:
                self.ledger.take(split(item.octets, item.pdus))

    def check(self) -> int:
        """How many were declared: each that did not come, once, and no other."""
        declared: Counter[int] = Counter()
        for each in self.ledger.octets(hi.PayloadTag.IRI):
            if b"gap LAB-1 1 " in each:
                for part in each.partition(b": ")[2].partition(b" (")[0].split(b","):
                    first, last = map(int, part.split(b"-"))
                    declared.update(range(first, last + 1))
        missing = {number for _, first, last in self.ledger.gaps for number in range(first, last + 1)}
        assert set(declared) == missing
        assert set(declared.values()) == {1}
        assert self.lost == []
        return len(missing)

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()
        self.cursor.close()
        self.spool.close()
        self.keys.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def test_a_sender_that_is_reading_a_file_lets_go_of_it(room: Room) -> None:
    """It would go on in what has no name any more: content would come that was declared, and its room be kept."""
    room.read(1)
    room.give_up()
    room.event()
    room.drain()
    assert room.check() > 100


def test_a_crash_between_declaring_and_giving_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender passes over what is declared although its file is there still; the writer removes it."""
    room.read(1)
    before = room.folder.segments("hi3")

    def unlink(_: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(spools, "unlink", unlink)
        with pytest.raises(Killed):
            room.give_up()
    assert room.folder.segments("hi3") == before
    room.readers["hi3"].rewind()
    room.read(1)
    room.spool.close()
    room.spool = room.open()
    assert len(room.folder.segments("hi3")) == len(before) - 1
    room.give_up()
    room.event()
    room.drain()
    assert room.check() > 300


def test_what_is_refused_for_long_is_one_gap(tmp_path: Path) -> None:
    """While not even events find room it is told again and again, and is one record of each call in the end."""
    kept = Intercepts([intercept()])
    owed = Owed(kept, unavailable, lambda _gap, _at: [], lambda _: None)
    for second in range(5_000):
        for cin in (1, 2):
            owed.refuse(cc(streams(cin=cin)[0], 3, 50 * second), FULL)
        owed.declare_refused()
    due = owed.due(lambda _: ())
    assert [(each.cin, each.count) for each in due.gaps] == [(1, 15_000), (2, 15_000)]
    assert due.gaps[0].since == T0
    assert due.gaps[0].until == T0 + (50 * 4_999 + 2) * 20_000_000
    assert len(owed.records(due, T0)) == 2


def test_gaps_with_numbers_are_not_put_together() -> None:
    numbered = [Gap("A", 1, FULL, ((n, n),), 1, T0, T0) for n in range(3)]
    other = [Gap("A", 1, FULL, (), 2, T0 + n, T0 + n) for n in range(3)]
    found = together([numbered[0], other[0], numbered[1], other[1], numbered[2], other[2]])
    assert found == [numbered[0], Gap("A", 1, FULL, (), 6, T0, T0 + 2), numbered[1], numbered[2]]


def test_an_intercept_of_which_nobody_knows_is_not_told_of() -> None:
    owed = Owed(Intercepts([intercept()]), unavailable, lambda _gap, _at: [], lambda _: None)
    stranger: Intercept = intercept("LAB-2")
    assert owed.refuse(cc(streams(stranger.liid)[0], 3), FULL) == 3
    owed.declare_refused()
    assert owed.due(lambda _: ()).gaps == []

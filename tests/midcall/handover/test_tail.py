"""What was just written reaches a sender of the same process from memory: the same rows, and the files whenever not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from midcall.handover import Lost
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell import tail as tails
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.reader import DESTROYED, Item, Reader
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.tail import Fresh, Tail
from tests.midcall.handover.world import T0, cc, intercept, iri, keys, streams, unavailable

ONE, OTHER = Path("cc-000001.db"), Path("cc-000002.db")
SETTINGS = SpoolSettings(segment_octets=250_000, reserve_octets=0, retry_seconds=0.0)


def row(number: int, octets: bytes = b"pdu") -> Fresh:
    return Fresh(number, 1, T0, b"", octets)


def joined() -> Tail:
    tail = Tail()
    tail.join(ONE, 6)
    return tail


def test_nobody_has_joined() -> None:
    tail = Tail()
    tail.put(ONE, [row(1)])
    assert tail.take(0, 100) is None


def test_rows_behind_the_one_that_the_sender_has() -> None:
    tail = joined()
    assert tail.take(6, 100) == []
    tail.put(ONE, [row(7), row(8)])
    tail.put(ONE, [row(9)])
    assert tail.take(6, 4) == [row(7), row(8)], "about so many octets: whole rows"
    assert tail.take(8, 100) == [row(9)]
    assert tail.take(9, 100) == []


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        pytest.param(OTHER, [row(7)], id="another file"),
        pytest.param(ONE, [row(8)], id="a row was written before the sender joined"),
        pytest.param(ONE, [row(7, bytes(tails.MOST_OCTETS + 1))], id="too much"),
    ],
)
def test_the_files_tell_what_does_not_follow(path: Path, rows: list[Fresh]) -> None:
    tail = joined()
    tail.put(path, rows)
    assert tail.take(6, 100) is None
    tail.put(ONE, [row(rows[-1].id + 1)])
    assert tail.take(rows[-1].id, 100) is None, "until it joins again"


def test_a_sender_that_has_gone_back_goes_by_the_files() -> None:
    tail = joined()
    tail.put(ONE, [row(7)])
    assert tail.take(3, 100) is None
    assert tail.take(6, 100) is None


class Room:
    """A spool and two senders: one in its process, one that goes by the files alone."""

    def __init__(self, folder: Path) -> None:
        self.keys = keys(folder / "keys")
        self.lost: list[Lost] = []
        spool = self.spool = Spool(
            folder / "spool", "lemf", self.keys, [intercept()], unavailable, T0, settings=SETTINGS
        )
        self.cursor = Cursor(spool.folder.cursor)
        self.here = Reader(spool.folder, "hi3", self.keys, self.cursor, self.lost.append, spool.files.tails["hi3"])
        self.there = Reader(spool.folder, "hi3", self.keys, self.cursor, lambda _: None)
        self.written = 0

    def write(self, count: int = 10) -> None:
        assert self.spool.write_cc(cc(streams()[0], count, self.written), T0)
        self.written += count

    def both(self, octets: int = 1 << 20) -> list[Item]:
        """What they read, which is the same."""
        mine = self.here.read(octets)
        assert mine == self.there.read(octets)
        return mine

    def close(self) -> None:
        self.here.close()
        self.there.close()
        self.cursor.close()
        self.spool.close()
        self.keys.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def test_the_same_rows_as_by_the_files(room: Room) -> None:
    room.write()
    assert [item.pdus for item in room.both()] == [10]
    assert room.both() == []
    for _ in range(3):
        room.write()
    assert room.spool.files.tails["hi3"].take(1, 0) == [], "they come from memory"
    assert sum(item.pdus for item in room.both()) == 30


def test_from_one_file_to_the_next(room: Room) -> None:
    for _ in range(40):
        room.write(20)
        assert sum(item.pdus for item in room.both()) == 20
    assert len(room.spool.folder.segments("hi3")) > 1


def test_what_is_given_up_does_not_go_out_from_memory(room: Room) -> None:
    room.both()
    room.write()
    room.both()
    room.write()
    room.spool.files.roll()
    room.spool._give_up(next(iter(room.spool.folder.segments("hi3").values())), T0)
    assert [item.pdus for item in room.both()] == [0]


def test_what_was_under_a_key_that_is_destroyed_does_not_go_out_from_memory(room: Room) -> None:
    room.both()
    room.write()
    room.both()
    room.write()
    room.spool.shred("LAB-1")
    assert room.spool.files.tails["hi3"].take(1, 1) is None
    assert [(item.octets, item.pdus) for item in room.here.read(1 << 20)] == [(b"", 0)]
    assert [(each.first, each.last, each.reason) for each in room.lost] == [(10, 19, DESTROYED)]


def test_a_connection_that_is_lost(room: Room) -> None:
    room.both()
    room.write()
    first = room.both()
    room.write()
    room.here.rewind()
    room.there.rewind()
    again = room.both()
    assert again[:1] == first
    assert sum(item.pdus for item in again) == 20


def test_events_too(room: Room) -> None:
    here = Reader(room.spool.folder, "hi2", room.keys, room.cursor, room.lost.append, room.spool.files.tails["hi2"])
    there = Reader(room.spool.folder, "hi2", room.keys, room.cursor, room.lost.append)
    assert here.read(1 << 20) == []
    for number in range(3):
        assert room.spool.write_iri([iri(number)], T0)
        assert room.spool.files.tails["hi2"].take(here.after, 0) == [], "they come from memory"
        mine = here.read(1 << 20)
        assert mine == there.read(1 << 20)
        assert mine
        if number == 1:
            room.spool.files.abandon("hi2")
            room.spool._reopen(T0)
            assert room.spool.files.tails["hi2"].take(here.after, 0) is None
            assert here.read(1 << 20) == there.read(1 << 20)
    here.close()
    there.close()


def test_a_file_that_was_left_before_it_had_a_row(room: Room) -> None:
    room.write()
    room.both()
    for count in (1, 2, 3):
        for _ in range(count):
            room.spool.files.roll()
        room.write()
        assert sum(item.pdus for item in room.both()) == 10
    assert room.lost == []

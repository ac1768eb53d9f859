"""The buffer's file: what is in it, who may read it, and what becomes of one that is damaged."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from midcall.base.seal import SealKey
from midcall.base.x2_link import Journal, JournalError
from midcall.base.x2_link.journal import Row
from tests.midcall.base.x2_link.world import KEY, TIME, event, journal

ROWS = [Row(n, TIME + n, 1, event(n)) for n in range(1, 6)]


def filled(folder):
    made = journal(folder)
    made.load()
    made.write(ROWS, 0, 0)
    return made


def test_rows_come_back(folder):
    filled(folder).close()
    again = journal(folder)
    assert again.load() == ROWS and again.last_id() == 5 and again.unreadable == 0
    again.write([], 3, 0)
    again.close()
    again = journal(folder)
    assert again.load() == ROWS[3:]
    again.write([], 5, 0)
    again.close()
    again = journal(folder)
    assert again.load() == [] and again.last_id() == 5, "numbers are never used again"
    again.close()


def test_rows_that_are_too_old_go(folder):
    made = filled(folder)
    made.write([], 0, TIME + 3)
    made.close()
    again = journal(folder)
    assert again.load() == ROWS[2:]
    again.close()


def test_it_is_the_owners_and_sealed(folder):
    made = filled(folder)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert b"cscf-1" not in path.read_bytes()
    made.close()


def test_one_process_at_a_time(folder):
    made = filled(folder)
    with pytest.raises(JournalError, match="locked"):
        journal(folder)
    made.close()


def test_a_foreign_key_opens_nothing_and_destroys_nothing(folder):
    filled(folder).close()
    foreign = journal(folder, bytes(32))
    assert foreign.load() == [] and foreign.unreadable == 5
    row = Row(foreign.last_id() + 1, TIME, 1, event(9))
    foreign.write([row], 0, 0)
    foreign.write([], row.id, 0)
    foreign.close()
    again = journal(folder)
    assert again.load() == ROWS
    again.close()


def test_rows_that_were_changed_or_moved_do_not_open(folder):
    filled(folder).close()
    database = sqlite3.connect(folder / "x2.db")
    with database:
        database.execute("UPDATE rows SET body = (SELECT body FROM rows WHERE id = 2) WHERE id = 1")
        database.execute("UPDATE rows SET time = time + 1 WHERE id = 3")
        database.execute("UPDATE rows SET body = x'00' WHERE id = 4")
    database.close()
    again = journal(folder)
    assert again.load() == [ROWS[1], ROWS[4]] and again.unreadable == 3
    again.close()


@pytest.mark.parametrize("octets", [b"no database at all" * 400, None], ids=["another file", "a damaged page"])
def test_a_damaged_file_is_put_aside(folder, octets):
    made = journal(folder)
    made.load()
    made.write([Row(n, TIME, 1, bytes(3_000)) for n in range(1, 40)], 0, 0)
    made.close()
    path = folder / "x2.db"
    if octets is None:
        whole = bytearray(path.read_bytes())
        whole[4_096:12_288] = b"\xff" * 8_192
        octets = bytes(whole)
    path.write_bytes(octets)
    again = journal(folder)
    assert again.moved == folder / "x2.db.damaged" and again.moved.read_bytes() == octets
    assert again.load() == []
    again.write(ROWS, 0, 0)
    again.close()


def test_no_place_for_it(folder):
    with pytest.raises(JournalError, match="No such file"):
        Journal(folder / "nowhere" / "x2.db", SealKey(KEY))


def test_all_or_nothing(folder):
    made = filled(folder)
    with pytest.raises(sqlite3.IntegrityError):
        made.write([Row(9, TIME, 1, b"x"), ROWS[4]], 3, 0)
    made.write([], 1, 0)
    made.close()
    again = journal(folder)
    assert again.load() == ROWS[1:]
    again.close()

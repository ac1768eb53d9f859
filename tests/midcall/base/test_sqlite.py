"""Databases of services: whose they are, and that what is on the disk is on the disk."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from midcall.base.sqlite import connect, connect_in_place, insert, transaction


@pytest.fixture(autouse=True)
def open_to_all():
    former = os.umask(0)
    yield
    os.umask(former)


@pytest.mark.parametrize("opened", [lambda path: connect(path, "rwc"), connect_in_place])
def test_a_new_database_is_its_owners_alone_with_all_that_stands_beside_it(tmp_path, opened):
    database = opened(tmp_path / "some.db")
    with transaction(database):
        database.execute("CREATE TABLE some(value)")
        database.execute("INSERT INTO some VALUES(1)")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    database.close()


def test_one_that_is_there_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "some.db"
    connect(path, "rwc").close()
    path.chmod(0o640)
    connect(path, "rwc").close()
    connect(path, "rw").close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_every_commit_waits_for_the_disk(tmp_path: Path):
    database = connect(tmp_path / "some.db", "rwc")
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_what_cannot_be_opened_is_said_by_sqlite(tmp_path: Path):
    for path, mode in ((tmp_path / "missing" / "some.db", "rwc"), (tmp_path / "some.db", "rw")):
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            connect(path, mode)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 37, 300, 1_000])
def test_rows_that_go_in_together_are_all_there_in_their_order(tmp_path: Path, count):
    database = connect(tmp_path / "some.db", "rwc")
    database.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, body BLOB, total INTEGER)")
    again = "ON CONFLICT(id) DO UPDATE SET total = total + excluded.total"
    for _ in range(2):
        insert(database, "rows", [each for n in range(count) for each in (n, b"%d" % n, n)], 3, again)
    found = database.execute("SELECT * FROM rows ORDER BY id").fetchall()
    assert found == [(n, b"%d" % n, 2 * n) for n in range(count)]
    database.close()

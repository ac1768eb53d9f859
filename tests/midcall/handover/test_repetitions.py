"""A producer that gives a record a second time makes no second record, and none of its records is taken for written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from imswire import hi
from midcall.handover.shell import files
from tests.midcall.handover.test_spool import Site, fill
from tests.midcall.handover.world import T0, cc, iri, streams


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.spool.close()
    made.keys.close()


def test_the_same_record_again_is_no_second_record(site: Site) -> None:
    fill(site, 3, 0)
    site.restart()
    assert site.spool.last_key("LAB-1") == 2
    site.spool.write_iri([iri(n) for n in range(1, 5)], T0)
    assert site.spool.repeated == 2
    assert site.read().count(hi.PayloadTag.IRI) == 5


def test_a_record_that_is_known_by_what_made_it_is_written_once(site: Site) -> None:
    marked = [structs.replace(iri(0), mark=bytes((number,)) * 16) for number in (1, 2, 2, 1, 3)]
    site.spool.write_iri(marked[:3], T0)
    site.restart()
    site.spool.write_iri(marked, T0)
    assert site.spool.repeated == 4
    assert site.read().count(hi.PayloadTag.IRI) == 3


def test_only_the_newest_marks_are_remembered(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MARKS", 2)
    for number in (1, 2, 3, 3, 2, 1):
        site.spool.write_iri([structs.replace(iri(0), mark=bytes((number,)) * 16)], T0)
    assert site.spool.repeated == 2
    assert site.read().count(hi.PayloadTag.IRI) == 4


def test_an_event_that_found_no_room_is_not_noted_as_written_with_what_comes_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [iri(7), structs.replace(iri(0), mark=b"m" * 16)]
    with monkeypatch.context() as full:
        full.setattr(site.spool.files, "commit_events", no_room)
        full.setattr(site.spool, "_make_room", lambda *_: False)
        assert not site.spool.write_iri(events, T0)
    site.spool.refuse(cc(streams()[0], 1), T0)
    assert site.spool.write_iri(events, T0)
    assert site.spool.repeated == 0
    assert site.read().count(hi.PayloadTag.IRI) == 1 + len(events)


def test_an_event_for_which_content_is_given_up_is_written(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes room for it is declared first: the event is not noted with that."""
    fill(site, 0, 3_000)
    real, failed = site.spool.files.commit_events, []

    def commit(*given: Any) -> None:
        if not failed:
            failed.append(no_room)
            no_room()
        real(*given)

    with monkeypatch.context() as full:
        full.setattr(site.spool.files, "commit_events", commit)
        assert site.spool.write_iri([iri(7), structs.replace(iri(0), mark=b"m" * 16)], T0)
    assert site.spool.repeated == 0 and site.spool.last_key("LAB-1") == 7
    events = site.read().octets(hi.PayloadTag.IRI)
    assert sum(b"gap LAB-1" in each for each in events) == 1 and sum(b"event " in each for each in events) == 2


def no_room(*_: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error

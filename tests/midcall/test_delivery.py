"""The spool of a replay where the disk does not take what it is given."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from midcall import config, delivery
from midcall.base.tls_end import TlsEnd
from midcall.delivery import Delivery
from midcall.events import EventRecord
from midcall.handover import Kind
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.spool import FULL, Left
from tests.midcall.handover.world import T0, cc, intercept, iri, streams, unavailable


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """A delivery to nobody, which gives up after a second; its sender does not run."""
    peer = Peer("127.0.0.1", 9, TlsEnd(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None))
    chosen = config.replay("[delivery]\ngive_up_seconds = 1\n")
    with Delivery(tmp_path, intercept(), chosen, unavailable, peer) as opened:
        yield opened


def test_events_wait_for_room(made: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    right, tried = made._spool.take_iri, []

    def full(records: Sequence[EventRecord], now: int) -> Left:
        tried.append(len(records))
        if len(tried) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        if len(tried) == 3:
            right(records[:1], now)
            return Left([*records[1:]], FULL)
        return right(records, now) if len(tried) > 3 else Left([*records], FULL)

    monkeypatch.setattr(delivery, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(made._spool, "take_iri", full)
    made.iri([iri(0), iri(1)], T0)
    assert tried == [2, 2, 2, 1], "what is on the disk is not given again"
    monkeypatch.undo()
    outcome = made.finish()
    assert (outcome.lost, outcome.completeness[0].observed, outcome.missing) == (0, 2, 2)


def test_events_that_found_no_room_are_missing(made: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made._spool, "take_iri", lambda records, _: Left([*records[-1:]], FULL))
    made.iri([iri(0), iri(1)], T0)
    made.iri([iri(2)], T0)
    outcome = made.finish()
    assert (outcome.lost, outcome.missing) == (2, 2), "of two, one was taken"
    assert "1 events were lost: no room on the disk" in outcome.faults


def test_closing_checks_wait_for_room(made: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    right, full = made._spool.end, iter([False, False])
    monkeypatch.setattr(delivery, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(made._spool, "end", lambda *given: next(full, True) and right(*given))
    made.iri([iri(0)], T0)
    made.end("LAB-1", T0)
    assert made._spool.next_number("LAB-1", 1, Kind.INTEGRITY) == 1
    assert not any("integrity checks" in each for each in made._faults)


def test_content_that_cannot_even_be_refused_is_missing(made: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(made._spool, "try_cc", broken)
    monkeypatch.setattr(made._spool, "write_cc", broken)
    made.cc(cc(streams()[0], 1), T0)
    outcome = made.finish()
    assert outcome.missing == 1
    assert "content was lost: disk I/O error" in outcome.faults


def test_content_waits_as_long_as_something_is_delivered(made: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces, each as it finds room; only when nothing moves for the whole time does the oldest go."""
    right, shed, settled = made._spool.try_cc, [], iter([(1, 0), (1, 1), (1, 2)])
    full = iter([False] * 4 + [True] * 3 + [False] * 1_000)
    monkeypatch.setattr(delivery, "POLL_SECONDS", 0.4)
    monkeypatch.setattr(delivery, "PIECE_RECORDS", 2)
    monkeypatch.setattr(made, "_settled", lambda: next(settled, (1, 2)))
    monkeypatch.setattr(made._spool, "try_cc", lambda *given: next(full) and right(*given))
    monkeypatch.setattr(made._spool, "write_cc", lambda *given: shed.append(given))
    made.cc(cc(streams()[0], 6), T0)
    assert shed == [], "more than the time to give up has passed, but something moved"
    made.cc(cc(streams()[0], 2, 6), T0)
    made.cc(cc(streams()[0], 2, 8), T0)
    assert [[each.payload[-1] for each in records] for records, _ in shed] == [[6, 7], [8, 9]]
    assert made.finish().completeness[1].observed == 6


@pytest.mark.parametrize("part", ["KeyStore", "Spool", "Cursor"])
def test_another_place_when_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    right, other = getattr(delivery, part), tmp_path / "other"
    other.mkdir()

    def full(path: Path, *arguments: Any, **named: Any) -> Any:
        if other not in path.parents:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return right(path, *arguments, **named)

    monkeypatch.setattr(delivery, part, full)
    monkeypatch.setattr(delivery, "_places", lambda folder: [folder, other])
    peer = Peer("127.0.0.1", 9, TlsEnd(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None))
    (tmp_path / "out").mkdir()
    with Delivery(tmp_path / "out", intercept(), config.replay(""), unavailable, peer) as opened:
        assert opened.folder.parent == other
        assert list((tmp_path / "out").iterdir()) == []
    assert list(other.iterdir()) == []
    monkeypatch.setattr(delivery, "_places", lambda folder: [folder])
    with pytest.raises(OSError, match="no room for what waits"):
        Delivery(tmp_path / "out", intercept(), config.replay(""), unavailable, peer)
    assert list((tmp_path / "out").iterdir()) == []

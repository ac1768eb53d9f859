"""The spool on a real disk: what is taken is there after any end, with the same numbers, once."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imswire import hi
from midcall.base.seal import SealKey
from midcall.config import Integrity
from midcall.events import Intercept
from midcall.handover import Kind, Lost
from midcall.handover.rows import split
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell import bell
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.reader import DESTROYED, FOREIGN, UNREADABLE, Reader
from midcall.handover.shell.segments import SpoolInUse
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.status import backlog, completeness
from midcall.handover.values import INTERFACES, Interface
from tests.midcall.handover.ledger import Ledger
from tests.midcall.handover.world import SECOND, T0, cc, intercept, iri, keys, streams, unavailable

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
SMALL = SpoolSettings(segment_octets=200_000, reserve_octets=0, retry_seconds=0.0)


class Site:
    """A folder with keys and a spool, and a way to read as the sender does."""

    def __init__(self, folder: Path, liids: tuple[str, ...] = ("LAB-1",), **options: object) -> None:
        self.folder = folder
        self.options = {"settings": SMALL, **options}
        self.intercepts: list[Intercept] = [intercept(liid) for liid in liids]
        self.keys = keys(folder / "keys", liids)
        self.spool = self.open()
        self.lost: list[Lost] = []
        self.read()

    def open(self, now: int = T0) -> Spool:
        return Spool(self.folder / "spool", "lemf", self.keys, self.intercepts, unavailable, now, **self.options)  # type: ignore[arg-type]

    def restart(self, now: int = T0) -> None:
        self.spool.close()
        self.keys.close()
        self.keys = keys(self.folder / "keys", tuple(each.liid for each in self.intercepts))
        self.spool = self.open(now)

    def read(self, settle: bool = True, ledger: Ledger | None = None, keystore: KeyStore | None = None) -> Ledger:
        """Everything behind the cursor, as it would be delivered; ``settle`` moves the cursor."""
        ledger = ledger or Ledger()
        cursor = Cursor(Folder(self.folder / "spool").cursor)
        for interface in INTERFACES:
            reader = Reader(Folder(self.folder / "spool"), interface, keystore or self.keys, cursor, self.lost.append)
            while items := reader.read(1 << 16):
                for item in items:
                    ledger.take(split(item.octets, item.pdus))
                    if settle:
                        cursor.settle({interface: item.row}, [(tag, interface, n) for tag, n in item.seen], item.counts)
            reader.close()
        cursor.close()
        return ledger

    def segments(self, interface: Interface = "hi3") -> list[Path]:
        return list(Folder(self.folder / "spool").segments(interface).values())

    def equation(self, liid: str = "LAB-1") -> list[tuple[int, int, int, dict[str, int]]]:
        found = completeness(Folder(self.folder / "spool"), self.keys, liid)
        assert all(each.holds for each in found), found
        return [(each.observed, each.delivered, each.queued, each.refused) for each in found]


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(*arguments: Any, **options: Any) -> Site:
        made.append(Site(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()
        each.keys.close()


@pytest.fixture
def site(sites: Callable[..., Site]) -> Site:
    return sites()


def fill(site: Site, events: int = 5, content: int = 3_000, first: int = 0, step: int = 500) -> None:
    there, back = streams()
    assert site.spool.write_iri([iri(first + n) for n in range(events)], T0)
    for at in range(0, content, step):
        batch = [*cc(there, step // 2, first + at), *cc(back, step // 2, first + at + step // 2)]
        assert site.spool.write_cc(batch, T0 + at)


def test_a_segment_that_is_only_just_begun_does_not_hide_what_others_hold(site: Site) -> None:
    fill(site)
    before = site.equation()
    folder = Folder(site.folder / "spool")
    folder.segment("hi3", max(folder.segments("hi3")) + 1).touch()
    assert site.equation() == before and before[1][0] == 3_000


def test_what_was_written_is_read_in_order(site: Site) -> None:
    fill(site)
    site.spool.end("LAB-1", T0)
    ledger = site.read()
    ledger.assert_whole()
    assert (ledger.count(hi.PayloadTag.IRI), ledger.count(hi.PayloadTag.CC)) == (5, 3_000)
    assert [len(check.numbers) for _, check in ledger.checks] == [5, 1_000, 1_000, 1_000]
    assert site.equation() == [(5, 5, 0, {}), (3_000, 3_000, 0, {})]


def test_numbers_and_chains_go_on_after_a_restart(site: Site) -> None:
    ledger = Ledger()
    for at in range(0, 1_500, 150):
        fill(site, 2, 150, at, 150)
        site.restart()
        site.read(ledger=ledger)
    assert site.spool.next_number("LAB-1", 1, Kind.CC) == 1_500
    site.spool.end("LAB-1", T0)
    site.read(ledger=ledger)
    ledger.assert_whole()
    assert [len(check.numbers) for _, check in ledger.checks if check.data == hi.DataType.CC] == [1_000, 500]


def test_signatures_go_on_after_a_restart(sites: Callable[..., Site]) -> None:
    site = sites(integrity=Integrity(hash_pdus=10, signature_hashes=4), sign=SIGNER.sign)
    for at in range(0, 100, 20):
        fill(site, 0, 20, at, 20)
        site.restart()
    ledger = site.read()
    ledger.assert_whole()
    signatures = [check for _, check in ledger.checks if check.kind == hi.CheckType.SIGNATURE]
    assert [each.numbers for each in signatures] == [(0, 1, 2, 3), (5, 6, 7, 8)]
    checks = {hi.parse(each).header.sequence: each for each in ledger.octets(hi.PayloadTag.TRI)}
    for each in signatures:
        SIGNER.public_key().verify(each.value, b"".join(checks[number] for number in each.numbers))


def test_a_deadline_is_kept_by_writing_nothing(site: Site) -> None:
    fill(site, 1, 0)
    assert site.spool.next_deadline() == T0 + SECOND
    assert site.spool.write_iri([], T0 + SECOND)
    assert len(site.read().checks) == 1


def test_delivered_segments_are_removed_and_undelivered_ones_stay(site: Site) -> None:
    fill(site, content=6_000)
    assert len(site.segments()) > 3
    fill(site, 1, 500, 6_000)
    before = len(site.segments())
    assert before > 4
    site.read()
    site.spool.write_cc([], T0 + SECOND)
    assert len(site.segments()) == 1
    (rows,) = site.spool.files.events.database.execute("SELECT count(*) FROM rows").fetchone()
    assert rows == 2, "they wait for their hash"
    assert site.equation()[1][:3] == (6_500, 6_500, 0)


def test_what_waits_for_a_hash_is_not_removed(site: Site) -> None:
    """A restart could not go on with the chain."""
    there, _ = streams()
    other, _ = streams(cin=2)
    site.spool.write_cc(cc(other, 5), T0)
    for at in range(0, 3_000, 500):
        site.spool.write_cc(cc(there, 500, at), T0 + 10)
    ledger = site.read()
    site.spool.write_cc([], T0 + 20)
    assert len(site.segments()) > 1
    site.restart(T0 + 30)
    site.spool.end("LAB-1", T0 + 40)
    site.read(ledger=ledger)
    ledger.assert_whole()
    assert {len(check.numbers) for _, check in ledger.checks} == {5, 1_000}


def test_numbers_of_idle_calls_outlive_segments_and_restarts(sites: Callable[..., Site]) -> None:
    site = sites(settings=SpoolSettings(segment_octets=100_000, reserve_octets=0, retry_seconds=0.0))
    idle, _ = streams(cin=7)
    site.spool.write_cc(cc(idle, 3), T0)
    ledger = site.read()
    later = T0 + 3_600 * SECOND
    there, _ = streams()
    for at in range(0, 3_000, 500):
        site.spool.write_iri([], later + at * SECOND)
        site.spool.write_cc(cc(there, 500, at), later + at * SECOND)
        site.read(ledger=ledger)
    assert site.spool.files.content.next_of(b"") is None
    assert site.equation()[1][0] == 3_003
    site.restart(later)
    site.spool.write_cc(cc(idle, 2, 3), later)
    site.read(ledger=ledger)
    ledger.assert_whole()
    assert site.equation()[1][0] == 3_005


def test_every_commit_is_on_the_disk_before_it_is_done(site: Site) -> None:
    for store in (site.spool.files.events, site.spool.files.content):
        assert store.database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_one_process_writes(site: Site) -> None:
    with pytest.raises(SpoolInUse):
        site.open()


def test_nothing_on_the_disk_can_be_read(site: Site) -> None:
    there, _ = streams()
    site.spool.write_iri([iri(1, text=b"CANARY")], T0)
    site.spool.write_cc([record._replace(payload=b"CANARY" * 30) for record in cc(there, 50)], T0)
    for path in site.folder.rglob("*"):
        if path.is_file():
            octets = path.read_bytes()
            assert b"CANARY" not in octets, path
            assert b"LAB-1" not in octets, path


def test_destroying_a_key_destroys_its_backlog_and_nothing_else(sites: Callable[..., Site]) -> None:
    site = sites(("LAB-1", "LAB-2"))
    other, _ = streams("LAB-2")
    fill(site, 2, 100, step=100)
    site.spool.write_iri([iri(1, "LAB-2")], T0)
    site.spool.write_cc(cc(other, 20), T0)
    wrapped = site.keys._database.execute("SELECT wrapped FROM keys WHERE id = 1").fetchone()[0]
    site.spool.shred("LAB-1")
    assert all(wrapped not in path.read_bytes() for path in (site.folder / "keys").iterdir())
    ledger = site.read()
    assert (ledger.count(hi.PayloadTag.IRI), ledger.count(hi.PayloadTag.CC)) == (0, 0)
    assert (ledger.count(hi.PayloadTag.IRI, b"LAB-2"), ledger.count(hi.PayloadTag.CC, b"LAB-2")) == (1, 20)
    assert [(each.liid, each.interface, each.first, each.last, each.reason) for each in site.lost] == [
        ("LAB-1", "hi2", 0, 1, DESTROYED),
        ("LAB-1", "hi3", 0, 99, DESTROYED),
    ]
    assert site.equation("LAB-1") == [(2, 0, 0, {DESTROYED: 2}), (100, 0, 0, {DESTROYED: 100})]
    assert site.equation("LAB-2") == [(1, 1, 0, {}), (20, 20, 0, {})]


def test_another_process_lets_go_of_a_destroyed_key(site: Site) -> None:
    fill(site, 2, 0)
    elsewhere = keys(site.folder / "keys")
    assert site.read(settle=False, keystore=elsewhere).count(hi.PayloadTag.IRI) == 2
    site.spool.shred("LAB-1")
    assert site.read(settle=False, keystore=elsewhere).count(hi.PayloadTag.IRI) == 0
    elsewhere.close()


def test_the_keys_of_another_site_open_nothing_and_say_what_is_lost(site: Site) -> None:
    fill(site, 2, 100, step=100)
    foreign = KeyStore(site.folder / "keys" / "keys.db", SealKey(bytes(32)), ("LAB-1",))
    ledger = site.read(settle=False, keystore=foreign)
    assert ledger.count(hi.PayloadTag.CC) == 0
    assert [(each.liid, each.interface, each.kind, each.first, each.last, each.reason) for each in site.lost] == [
        ("LAB-1", "hi2", Kind.IRI, 0, 1, FOREIGN),
        ("LAB-1", "hi3", Kind.CC, 0, 99, FOREIGN),
    ]
    site.spool.close()
    site.keys.close()
    site.keys = foreign
    site.spool = site.open()
    site.spool.write_iri([iri(9)], T0)
    assert site.read(settle=False).count(hi.PayloadTag.IRI) == 1, "new records get a key of their own"


def test_the_backlog_tells_its_age(site: Site) -> None:
    fill(site, 2, 1_000)
    found = backlog(Folder(site.folder / "spool"))
    assert (found["hi2"].pdus, found["hi2"].oldest) == (2, T0)
    assert (found["hi3"].pdus, found["hi3"].oldest) == (1_001, T0)
    site.read()
    assert backlog(Folder(site.folder / "spool"))["hi3"].oldest is None


# Damage


def damage(path: Path, row: int, change: bytes) -> None:
    """Change the sealed octets of a row."""
    database = sqlite3.connect(path)
    with database:
        (body,) = database.execute("SELECT body FROM rows WHERE id = ?", (row,)).fetchone()
        database.execute("UPDATE rows SET body = ? WHERE id = ?", (body[: -len(change)] + change, row))
    database.close()


def lost(site: Site) -> list[tuple[str, str, int | None, int, int | None]]:
    return [(each.liid, each.interface, each.cin, each.first, each.last) for each in site.lost]


def test_a_damaged_row_costs_its_own_numbers_and_no_others(site: Site) -> None:
    fill(site, 3, 3_000)
    damage(site.segments()[0], 2, bytes(4))
    ledger = site.read()
    missing = [(first, last) for _, first, last in ledger.gaps]
    assert lost(site) == [("LAB-1", "hi3", 1, *missing[0])]
    assert len(missing) == 1
    count = missing[0][1] - missing[0][0] + 1
    assert site.equation()[1] == (3_000, 3_000 - count, 0, {UNREADABLE: count})


def test_spans_that_lie_are_found_out_by_the_next_row(site: Site) -> None:
    fill(site, 0, 3_000)
    database = sqlite3.connect(site.segments()[0])
    with database:
        database.execute("UPDATE rows SET spans = ? WHERE id = 2", (bytes(24),))
    database.close()
    ledger = site.read()
    assert lost(site) == [("LAB-1", "hi3", 1, first, last) for _, first, last in ledger.gaps]


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_segment_is_reported_by_its_numbers(site: Site, which: int) -> None:
    fill(site, 1, 4_000)
    site.spool.close()
    for each in site.folder.glob(f"spool/{site.segments()[which].name}*"):
        each.unlink()
    if which == -1:
        site.spool = site.open(T0)
        assert site.spool.files.lost == {"hi3"}
        fill(site, 0, 500, step=500)
        assert site.read().resets == 1
        return
    ledger = site.read()
    assert lost(site) == [("LAB-1", "hi3", 1, first, last) for _, first, last in ledger.gaps]
    assert len(lost(site)) == 1
    site.spool = site.open()
    assert site.equation()[1][2] == 0


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_segment_that_was_cut_gives_what_it_still_has(site: Site, share: float) -> None:
    fill(site, 1, 4_000, step=100)
    site.spool.close()
    path = site.segments()[0]
    octets = path.read_bytes()
    path.write_bytes(octets[: int(len(octets) * share)])
    ledger = site.read()
    assert lost(site) == [("LAB-1", "hi3", 1, first, last) for _, first, last in ledger.gaps]
    assert lost(site)
    assert ledger.count(hi.PayloadTag.CC) + sum(each.count for each in site.lost) == 4_000
    if share == 0.9:
        assert ledger.count(hi.PayloadTag.CC) > 3_400, "its beginning is there"


@pytest.mark.parametrize("seed", range(4))
def test_ruined_pages_cost_what_stands_on_them(site: Site, seed: int) -> None:
    fill(site, 1, 4_000, step=100)
    site.spool.close()
    path = site.segments()[seed % 2]
    octets = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(3):
        page = draw.randrange(12, len(octets) // 4_096)
        octets[page * 4_096 : page * 4_096 + 64] = draw.randbytes(64)
    path.write_bytes(octets)
    ledger = site.read()
    assert lost(site) == [("LAB-1", "hi3", 1, first, last) for _, first, last in ledger.gaps]
    assert ledger.count(hi.PayloadTag.CC) + sum(each.count for each in site.lost) == 4_000
    assert ledger.count(hi.PayloadTag.CC) > 2_500


class Ruined(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_file_found_ruined_while_writing_is_left_and_another_begun(site: Site, interface: Interface) -> None:
    fill(site, 2, 500, step=500)
    store = site.spool.files.events if interface == "hi2" else site.spool.files.content
    before = store.path.stat().st_ino

    def ruined(*_: object) -> None:
        raise Ruined("database disk image is malformed")

    store.append = ruined  # type: ignore[method-assign, assignment]
    fill(site, 2, 500, 500, 500)
    ledger = site.read()
    assert ledger.resets == 1, "its numbers are not trusted any more"
    assert ledger.doubled == []
    after = site.spool.files.events if interface == "hi2" else site.spool.files.content
    assert after.path.stat().st_ino != before


def test_another_error_of_the_database_comes_out(site: Site) -> None:
    def wrong(*_: object) -> None:
        raise sqlite3.OperationalError("no such table")

    site.spool.files.commit_events = wrong  # type: ignore[method-assign, assignment]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        site.spool.write_iri([iri(1)], T0)


def test_what_a_killed_maker_left_is_made_anew(site: Site) -> None:
    fill(site, 1, 3_000)
    site.spool.close()
    folder = Folder(site.folder / "spool")
    number = max(folder.segments("hi3"))
    sqlite3.connect(folder.segment("hi3", number + 1)).close()
    site.spool = site.open()
    fill(site, 1, 500, 3_000, 500)
    site.read().assert_whole()
    assert site.lost == []


def test_events_whose_file_is_ruined_begin_anew_and_say_so(site: Site) -> None:
    fill(site, 3, 100, step=100)
    site.spool.close()
    path = site.folder / "spool" / "iri.db"
    path.write_bytes(b"ruin" * 4_096)
    site.spool = site.open()
    site.spool.write_iri([iri(n) for n in range(10, 12)], T0)
    ledger = site.read()
    assert ledger.resets == 1
    assert ledger.count(hi.PayloadTag.IRI) == 2
    assert [path.name for path in site.segments("hi2")] == ["iri-000001.db"]


def test_the_end_of_a_file_that_is_lost_is_told_by_the_writers_count(site: Site) -> None:
    fill(site, 0, 500, step=500)
    database = sqlite3.connect(site.segments()[0])
    with database:
        database.execute("UPDATE rows SET spans = x'', body = x'' WHERE id = (SELECT max(id) FROM rows)")
    database.close()
    ledger = site.read()
    arrived = ledger.count(hi.PayloadTag.CC)
    assert lost(site) == [("LAB-1", "hi3", 1, arrived, 499)]


def test_a_new_cursor_beside_an_old_spool_reports_nothing_that_was_delivered(site: Site) -> None:
    fill(site, 2, 3_000)
    site.read()
    site.spool.write_cc([], T0 + SECOND)
    for each in site.folder.glob("spool/cursor.db*"):
        each.unlink()
    fill(site, 2, 500, 3_000)
    assert site.read().count(hi.PayloadTag.CC) > 0
    assert site.lost == []


def test_records_of_nobody_are_counted(site: Site) -> None:
    there, _ = streams("X")
    site.spool.write_cc(cc(there, 3), T0)
    site.spool.write_iri([iri(1, "X")], T0)
    assert site.spool.unknown == 4


def test_an_intercept_may_come_later(site: Site) -> None:
    site.spool.add(intercept("LAB-2"))
    site.spool.write_iri([iri(1, "LAB-2")], T0)
    assert site.read().count(hi.PayloadTag.IRI, b"LAB-2") == 1


def test_nothing_in_its_folder_is_anybody_elses(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        site = Site(tmp_path, settings=SpoolSettings(reserve_octets=1 << 16))
        with bell.listen(site.spool.folder.bell):
            site.spool.write_iri([iri(0)], T0)
            names = {each.name: each.stat().st_mode & 0o777 for each in site.spool.folder.path.iterdir()}
        site.spool.close()
        site.keys.close()
    finally:
        os.umask(former)
    assert {"lock", "bell", "reserve", "iri.db", "iri.db-wal", "cursor.db", "cc-000001.db"} <= set(names)
    assert set(names.values()) == {0o600}

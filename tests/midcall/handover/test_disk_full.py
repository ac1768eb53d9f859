"""A disk that is full, at any point: events survive, lost content is declared, and all goes on by itself."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from imswire import hi
from midcall.base.link_report import LinkEvent
from midcall.events import EventRecord
from midcall.handover.rows import split
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.reader import Reader
from midcall.handover.shell.reserve import Reserve
from midcall.handover.shell.segments import drop_oldest
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.status import completeness
from midcall.handover.values import INTERFACES
from tests.midcall.handover.ledger import Ledger
from tests.midcall.handover.world import SECOND, T0, cc, intercept, iri, keys, streams, unavailable

SIZE = 8 << 20
SETTINGS = SpoolSettings(segment_octets=1 << 20, reserve_octets=512 << 10, retry_seconds=0.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", place], capture_output=True)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"no tmpfs can be mounted here: {done.stderr.decode()}")
        pytest.skip("a small file system needs the right to mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


class Site:
    def __init__(self, disk: Path, keys_folder: Path) -> None:
        self.disk = disk
        self.keys_folder = keys_folder
        self.events: list[LinkEvent] = []
        self.ledger = Ledger()
        self.key = self.place = self.refused = 0
        self.stream = streams()[0]
        self.reopen()

    def reopen(self) -> None:
        """As a process does that begins."""
        folder = Folder(self.disk / "spool")
        self.keys = keys(self.keys_folder)
        self.spool = self.open()
        self.cursor = Cursor(folder.cursor)
        self.readers = [Reader(folder, each, self.keys, self.cursor, self.lost) for each in INTERFACES]

    def lost(self, lost: object) -> None:
        raise AssertionError(f"lost without a word: {lost}")

    def open(self) -> Spool:
        return Spool(
            self.disk / "spool", "lemf", self.keys, [intercept()], unavailable, T0,
            settings=SETTINGS, report=self.events.append,
        )  # fmt: skip

    def restart(self) -> None:
        self.spool.close()
        self.spool = self.open()

    def step(self, content: int = 500) -> None:
        """An event and some content, a second later."""
        now = T0 + self.key * SECOND
        assert self.spool.write_iri([iri(self.key)], now), "an event found no room"
        self.key += 1
        if not self.spool.write_cc(cc(self.stream, content, self.place), now):
            self.refused += content
        self.place += content

    def drain(self) -> None:
        for interface, reader in zip(INTERFACES, self.readers, strict=True):
            while items := reader.read(1 << 18):
                for item in items:
                    self.ledger.take(split(item.octets, item.pdus))
                    self.cursor.settle(
                        {interface: item.row}, [(tag, interface, n) for tag, n in item.seen], item.counts
                    )

    def check(self) -> dict[str, int]:
        """Every event is there; every gap of content is declared; the equation holds. Returns what was refused."""
        events = self.ledger.octets(hi.PayloadTag.IRI)
        texts = [each for each in events if b"event " in each]
        assert len(texts) == self.key
        declared: set[tuple[int, int]] = set()
        told = 0
        for each in events:
            if b"gap LAB-1 1 " in each:
                text = each[each.index(b"gap LAB-1 1 ") :].decode()
                ranges, _, count = text.partition(": ")[2].partition(" (")
                told += int(count.rstrip(")"))
                declared |= {
                    (int(first), int(last))
                    for part in filter(None, ranges.split(","))
                    for first, last in [part.split("-")]
                }
        assert self.ledger.doubled == []
        covered = {number for first, last in declared for number in range(first, last + 1)}
        missing = {number for _, first, last in self.ledger.gaps for number in range(first, last + 1)}
        assert missing <= covered
        found = completeness(Folder(self.disk / "spool"), self.keys, "LAB-1")
        assert all(each.holds for each in found), found
        assert found[1].queued == 0
        assert found[1].observed == self.place
        assert told >= found[1].refused.get("disk full", 0) - 0
        return found[1].refused

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.cursor.close()
        self.spool.close()
        self.keys.close()


@pytest.fixture
def site(disk: Path, tmp_path: Path) -> Iterator[Site]:
    made = Site(disk, tmp_path / "keys")
    yield made
    made.close()


def states(site: Site) -> list[str]:
    return [each.state for each in site.events]


def test_a_long_outage_costs_the_oldest_content_and_no_event(site: Site) -> None:
    for _ in range(150):
        site.step()
    assert states(site)[0] == "fault"
    site.drain()
    for _ in range(3):
        site.step(50)
    site.drain()
    refused = site.check()
    assert refused["disk full"] > 10_000
    assert site.ledger.count(hi.PayloadTag.CC) > 5_000
    assert site.ledger.octets(hi.PayloadTag.CC)[-1].find((site.place - 1).to_bytes(8, "big")) > 0, "the newest is kept"
    assert states(site) == ["fault", "cleared"] * (len(site.events) // 2)


@pytest.mark.parametrize("left", [0, 4_096, 65_536, 400_000, 1_000_000, 2_000_000])
def test_a_disk_that_others_fill(site: Site, left: int) -> None:
    for _ in range(5):
        site.step()
    other = site.disk / "other"
    with other.open("wb", buffering=0) as file:
        room = os.statvfs(site.disk).f_bavail * 4_096 - left
        for _ in range(0, max(room, 0), 65_536):
            try:
                file.write(bytes(65_536))
            except OSError:
                break
    for _ in range(25):
        site.step()
    other.unlink()
    for _ in range(5):
        site.step()
    site.drain()
    site.step(1)
    site.drain()
    site.check()
    assert states(site) == ["fault", "cleared"] * (len(site.events) // 2)


def test_a_restart_on_a_full_disk(site: Site) -> None:
    for step in range(100):
        site.step()
        if step % 20 == 19:
            site.restart()
    site.drain()
    site.step(1)
    site.drain()
    site.check()


def fill_up(site: Site) -> Path:
    """Another's file that takes all the room there is."""
    other = site.disk / "other"
    with other.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            pass
    return other


def test_a_start_on_a_disk_without_any_room(site: Site) -> None:
    for _ in range(5):
        site.step()
    site.spool.close()
    other = fill_up(site)
    site.spool = site.open()
    for _ in range(3):
        site.step()
    other.unlink()
    for _ in range(3):
        site.step()
    site.drain()
    site.step(1)
    site.drain()
    site.check()


def test_a_start_on_a_disk_that_content_has_filled(site: Site) -> None:
    """The reserves are spent: what opens the files is made by giving up the oldest content, which is declared."""
    for _ in range(25):
        site.step()
    site.spool.close()
    site.spool.folder.reserve.unlink()
    site.spool.folder.last.unlink()
    other = fill_up(site)
    before = len(site.spool.folder.segments("hi3"))
    site.spool = site.open()
    assert 1 <= len(site.spool.folder.segments("hi3")) < before
    other.unlink()
    for _ in range(3):
        site.step()
    site.drain()
    site.step(1)
    site.drain()
    assert site.check()["disk full"] > 0


def test_nothing_is_given_up_for_a_start_that_fails_for_another_reason(site: Site) -> None:
    for _ in range(10):
        site.step()
    segments = site.spool.folder.segments("hi3")
    assert len(segments) > 1
    assert drop_oldest(site.spool.folder, site.keys, 0) is None, "there is room"
    assert site.spool.folder.segments("hi3") == segments


def test_the_only_segment_goes_when_there_is_no_room_for_another(site: Site) -> None:
    for _ in range(3):
        site.step()

    def no_room() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    site.spool.files.roll = no_room  # type: ignore[method-assign]
    other = fill_up(site)
    for _ in range(10):
        site.step()
    del site.spool.files.roll
    other.unlink()
    for _ in range(3):
        site.step()
    site.drain()
    site.step(1)
    site.drain()
    assert site.check()["disk full"] > 0
    site.restart()
    site.step()
    site.drain()
    site.check()


def test_a_file_system_that_cannot_allocate_gets_its_reserve_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    reserve = Reserve(tmp_path / "reserve", 1 << 17)
    assert not reserve.keep(1 << 17)
    assert reserve.keep(1 << 20)
    assert (tmp_path / "reserve").stat().st_size == 1 << 17
    assert reserve.release()
    assert not reserve.release()
    assert not Reserve(tmp_path / "missing" / "reserve", 1 << 17).keep(1 << 20)


def test_what_the_sender_empties_makes_room(site: Site) -> None:
    for step in range(100):
        site.step()
        if step % 10 == 9:
            site.drain()
    site.drain()
    assert site.check() == {}
    site.ledger.assert_whole()
    assert site.events == []


def test_events_wait_when_there_is_room_for_nothing_and_are_taken_afterwards(site: Site) -> None:
    site.spool.folder.reserve.unlink()
    other = fill_up(site)
    many = [iri(n, text=bytes(2_000)) for n in range(200)]
    assert not site.spool.write_iri(many, T0)
    assert not site.spool.write_cc(cc(site.stream, 500), T0)
    other.unlink()
    assert site.spool.write_iri(many, T0)
    assert site.spool.write_cc(cc(site.stream, 500), T0)
    site.drain()
    site.ledger.assert_whole()
    assert site.ledger.count(hi.PayloadTag.CC) == 500
    assert site.ledger.count(hi.PayloadTag.IRI) >= 201, "the refused content is declared"


@pytest.mark.parametrize("left", [0, 80_000, 400_000])
@pytest.mark.parametrize("count", [50, 800])
def test_of_many_events_as_many_survive_as_there_is_room_for(site: Site, left: int, count: int) -> None:
    """Declaring content that goes for them writes none of them down, and what is refused is refused to its producer."""
    for _ in range(5):
        site.step()
    other = site.disk / "other"
    other.write_bytes(bytes(max(os.statvfs(site.disk).f_bavail * 4_096 - left, 0)))
    many = [iri(site.key + n, text=b"event " + bytes(2_000)) for n in range(count)]
    rest, why = site.spool.take_iri(many, T0 + site.key * SECOND)
    assert rest == many[len(many) - len(rest) :] and bool(rest) == bool(why)
    assert site.spool.last_key("LAB-1") == site.key + count - len(rest) - 1
    other.unlink()
    assert site.spool.take_iri(rest, T0 + site.key * SECOND) == ([], "")
    site.key += count
    assert site.spool.repeated == 0
    for _ in range(3):
        site.step()
    site.drain()
    site.step(1)
    site.drain()
    site.check()


def test_what_was_delivered_before_content_was_given_up_stays_under_a_hash(site: Site) -> None:
    """No hash was due yet; then its file goes, and all that is known is forgotten and read anew."""
    site.step(300)
    site.drain()
    site.step(200)
    other = fill_up(site)
    for _ in range(5):
        site.step()
    other.unlink()
    site.spool.files.reload(T0)
    site.step(400)
    assert site.spool.end("LAB-1", T0 + site.key * SECOND)
    site.drain()
    covered = [
        number for _, check in site.ledger.checks if check.data == hi.DataType.CC and check.kind == hi.CheckType.HASH
        for number in check.numbers
    ]  # fmt: skip
    assert len(covered) == len(set(covered)), "none twice"
    delivered = {hi.parse(each).header.sequence for each in site.ledger.octets(hi.PayloadTag.CC)}
    assert set(range(300)) < delivered <= set(covered)


def test_who_can_wait_loses_nothing(site: Site) -> None:
    """Four times what the disk holds, of which most is another's; and all of it is under a hash."""
    other = site.disk / "other"
    other.write_bytes(bytes(4 << 20))
    waited = 0
    for place in range(0, 40_000, 250):
        records = cc(site.stream, 250, place)
        while not site.spool.try_cc(records, T0 + place * SECOND // 50):
            waited += 1
            assert waited < 1_000
            site.drain()
    site.place = 40_000
    site.drain()
    assert site.spool.try_cc([], T0 + 900 * SECOND) and site.spool.end("LAB-1", T0 + 900 * SECOND)
    site.drain()
    assert waited > 2 and site.check() == {}
    site.ledger.assert_whole()
    assert sum(len(check.numbers) for _, check in site.ledger.checks if check.data == hi.DataType.CC) == 40_000


def test_who_can_wait_waits_where_nobody_takes_anything(site: Site) -> None:
    site.step()
    other = fill_up(site)
    records = cc(site.stream, 3_000, site.place)
    assert not any(site.spool.try_cc(records, T0) for _ in range(5))
    site.drain()
    other.unlink()
    assert site.spool.try_cc(records, T0)
    site.place += 3_000
    site.drain()
    assert site.check() == {}


def test_events_alone_fill_the_disk_and_a_restart_delivers_them(site: Site) -> None:
    def fill() -> None:
        left: Sequence[EventRecord] = []
        while not left:
            asked = [iri(key) for key in range(site.key, site.key + 1_000)]
            left = site.spool.take_iri(asked, T0 + site.key * SECOND).records
            site.key += len(asked) - len(left)
        with pytest.raises(OSError), (site.disk / "others").open("ab", buffering=0) as others:
            while others.write(bytes(4096)):
                pass

    for _ in range(2):
        fill()
        site.close()
        site.reopen()
    assert site.key > 30_000
    site.drain()
    for _ in range(300):
        site.step()
        site.drain()
    (site.disk / "others").unlink()
    site.step()
    site.drain()
    site.check()

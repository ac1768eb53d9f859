"""The files of a spool as its writer has them open, and the assembler that goes on where they end.

There is one way to begin and to go on after any error: close everything, open what is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field

from imswire import hi
from midcall.base.seal import SealError
from midcall.base.sqlite import CHECKPOINT_PAGES, PAGE_OCTETS, read_only, transaction, unlink
from midcall.handover.assembler import Assembler, Recall
from midcall.handover.integrity import Chain
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyForeign, KeyGone, KeyStore
from midcall.handover.shell.segments import given_up, trim
from midcall.handover.shell.store import LARGE_PAGE_OCTETS, KnownContext, Store, Unborn, encode_key
from midcall.handover.shell.tail import Tail
from midcall.handover.values import INTERFACES, NUMBERS, ContextKey, Gap, Interface, Kind, Run

# Row numbers of files behind one whose last row cannot be told begin anew, far behind it.
_GENERATION = 1 << 40
_LARGE_SEGMENT = 8 << 20
# What the events' file notes of interceptions under this name and their handle.
_ACTIVE = "active "
# And of intercepts.
_INTERCEPT = "intercept "
# Marks of records that a repetition is known by: more than producers have under way.
MARKS = 65_536


class Debts(Struct):
    """What the next commit of events is to write with them. ``refused``: by LIID, interface and reason."""

    gaps: list[Gap] = field(default_factory=list)
    gone: list[tuple[int, int, bytes, bytes]] = field(default_factory=list)
    refused: dict[tuple[str, str, str], int] = field(default_factory=dict)


class Notes(Struct):
    """What stands on the disk with the records that it tells of, and never without them: the highest keys of
    producers and whether the LEMF was told that an interception is active, both by handle, and marks of records.
    """

    producers: dict[int, int] = field(default_factory=dict)
    marks: dict[bytes, None] = field(default_factory=dict)
    active: dict[int, bool] = field(default_factory=dict)


class Files:
    """``events`` is iri.db, ``content`` the newest cc-NNNNNN.db; ``lost`` names interfaces whose numbers are gone, and
    ``tails`` are for a sender of this process.
    """

    events: Store
    content: Store
    assembler: Assembler

    def __init__(
        self,
        folder: Folder,
        keys: KeyStore,
        make: Callable[[Recall], Assembler],
        chained: bool,
        signed: bool,
        settings: SpoolSettings,
    ) -> None:
        self.folder = folder
        self.number = 0
        self.tails: dict[Interface, Tail] = {each: Tail() for each in INTERFACES}
        self.lost: set[Interface] = set()
        self._keys = keys
        self._make = make
        self._chained = chained
        self._signed = signed
        self._open = False
        # A file without any row has six pages.
        self._page = LARGE_PAGE_OCTETS if settings.segment_octets >= _LARGE_SEGMENT else PAGE_OCTETS
        # What no hash covered yet of content that is no more on the disk, and the first row behind it.
        self._kept: tuple[int, dict[ContextKey, Chain]] = 0, {}
        # The log of events must fit into what is reserved for them; that of content is not to fill a small disk.
        most = CHECKPOINT_PAGES * PAGE_OCTETS
        self._log_octets = min(most, settings.reserve_octets // 4) or most

    def open(self, now: int) -> None:
        self.close()
        self.leave_tails()
        self.events = self._open_events()
        self.content = self._open_content()
        self._checkpoint()
        self.content.total_of = self._archived
        self._open = True
        self._go_on(now)
        self._remove_declared()

    def _checkpoint(self) -> None:
        for store in (self.events, self.content):
            store.set_log(self._log_octets)

    def reload(self, now: int) -> None:
        """Go on from what is on the disk, without opening anything: on a full disk nothing opens."""
        self.events.reload()
        self.content.reload()
        self._go_on(now)

    def _go_on(self, now: int) -> None:
        self.assembler = self._make(self._recall)
        if self._chained:
            self._replay(now)

    def close(self) -> None:
        if self._open:
            self._open = False
            self.events.close()
            self.content.close()

    # Opening

    def _store(self, path: Path, interface: Interface) -> Store:
        return Store(path, interface, self._keys, self._chained, self._signed)

    def _open_events(self) -> Store:
        path = self.folder.events
        aside = self.folder.segments("hi2")
        if path.exists():
            try:
                return self._store(path, "hi2")
            except Unborn:
                unlink(path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                number = max(aside, default=0) + 1
                _rename(path, self.folder.segment("hi2", number))
                aside[number] = path
        if aside or self.folder.segments("hi3"):
            self.lost.add("hi2")
        Store.create(path, "hi2", len(aside) * _GENERATION + 1)
        self.folder.sync()
        return self._store(path, "hi2")

    def _wanted(self, segments: dict[int, Path]) -> int:
        """The newest segment that ever had a row; 0: there was none yet."""
        try:
            return self.events.meta("segment")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            return max(segments, default=0) if "hi2" in self.lost else 0

    def _open_content(self) -> Store:
        """The newest segment; a new one when it is missing or damaged."""
        segments = self.folder.segments("hi3")
        wanted = self._wanted(segments)
        self.number = max(segments, default=0)
        if self.number >= wanted and segments:
            try:
                store = self._store(segments[self.number], "hi3")
                if self.number > wanted:
                    with transaction(self.events.database):
                        self.events.set_meta("segment", self.number)
                return store
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                if isinstance(error, Unborn) or self.number > wanted:  # a crash came between making it and using it
                    unlink(segments[self.number])
                    return self._open_content()
        if wanted:
            self.lost.add("hi3")
        number = max(self.number, wanted)
        return self._new_segment(number + 1, number * _GENERATION + 1 if wanted else 1, None)

    def _new_segment(self, number: int, first: int, old: Store | None) -> Store:
        """A segment that goes on with the live contexts of ``old``; of the others the archive keeps the numbers."""
        contexts: list[KnownContext] = []
        if old is not None:
            tags = {self._keys.tag(encode_key(key)) for key in self.assembler.live()}
            known = list(old.known())
            contexts = [context for context in known if context.tag in tags]
            # What the archive says is never ahead of what a segment says, so it may be written before.
            with transaction(self.events.database):
                self.write_archive([context for context in known if context.tag not in tags])
        else:
            with transaction(self.events.database):
                self.events.database.execute("DELETE FROM archive")
        path = self.folder.segment("hi3", number)
        try:
            self._create(path, first, old, contexts)
            with transaction(self.events.database):
                self.events.set_meta("segment", number)
            store = self._store(path, "hi3")
        except sqlite3.Error:
            unlink(path)
            raise
        self.number = number
        return store

    def _create(self, path: Path, first: int, old: Store | None, contexts: list[KnownContext]) -> None:
        kept = {context.id for context in contexts}
        waiting = [] if old is None else [each for each in old.unsigned() if each[0] in kept]
        following = 1 if old is None else old.next_context
        low = first if old is None else old.low
        Store.create(path, "hi3", first, following, contexts, waiting, low, self._page)
        self.folder.sync()

    def _recall(self, key: ContextKey) -> int:
        """What comes next in a context, by whatever file knows it best."""
        tag = self._keys.tag(encode_key(key))
        found: list[int | None] = []
        if key.kind is not Kind.CC:
            found.append(self.events.next_of(tag))
        if key.kind is not Kind.IRI:
            found.append(self.content.next_of(tag))
            row = self.events.database.execute("SELECT next FROM archive WHERE tag = ?", (tag,)).fetchone()
            found.append(None if row is None else int(row[0]))
        best = 0
        for number in found:
            if number is not None and (number - best) % NUMBERS < NUMBERS // 2:
                best = number
        return best

    def _archived(self, tag: bytes) -> int:
        found = self.events.database.execute("SELECT total FROM archive WHERE tag = ?", (tag,)).fetchone()
        return 0 if found is None else int(found[0])

    def _replay(self, now: int) -> None:
        for store in (self.events, self.content):
            store.replay_hashes(self.assembler, now)
        self.events.replay(self.events.database, self.assembler, self.events.low, now)
        first, chains = self._kept
        for chain in chains.values():
            self.assembler.resume_chain(chain, now)
        low = max(self.content.low, first)
        for path in list(self.folder.segments("hi3").values())[:-1] if low < self.content.first else []:
            try:
                older = read_only(path, closed=True)
            except sqlite3.DatabaseError:
                continue  # the sender reports it
            try:
                self.content.replay(older, self.assembler, low, now)
            except sqlite3.DatabaseError:
                continue
            finally:
                older.close()
        self.content.replay(self.content.database, self.assembler, low, now)

    # Writing

    def commit_events(
        self, runs: list[Run], debts: Debts, notes: Notes, intercepts: Mapping[str, bytes | None], now: int
    ) -> None:
        """``intercepts``: what is to be noted of them, by LIID; None: nothing any more."""
        database = self.events.database
        with transaction(database):
            fresh = self.events.append(runs, now)
            database.executemany("INSERT OR REPLACE INTO producers VALUES(?,?)", notes.producers.items())
            if notes.marks:
                database.executemany("INSERT INTO marks(mark) VALUES(?)", [(mark,) for mark in notes.marks])
                database.execute("DELETE FROM marks WHERE id <= (SELECT max(id) FROM marks) - ?", (MARKS,))
            database.executemany("INSERT OR REPLACE INTO gone VALUES(?,?,?,?)", debts.gone)
            database.executemany(
                "INSERT INTO refused VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                [(self._keys.handle(liid), *which, count) for (liid, *which), count in debts.refused.items()],
            )
            for liid, note in intercepts.items():
                handle = self._keys.handle(liid)
                sealed = None if note is None else self._keys.key(handle).seal(note, _intercept(handle))
                self.events.note(f"{_INTERCEPT}{handle}", sealed)
            for handle, active in notes.active.items():
                self.events.note(f"{_ACTIVE}{handle}", 1 if active else None)
        self.tails["hi2"].put(self.events.path, fresh)

    def commit_content(self, runs: list[Run], now: int) -> None:
        with transaction(self.content.database):
            fresh = self.content.append(runs, now)
        self.tails["hi3"].put(self.content.path, fresh)
        for run in runs if self._kept[1] else ():
            if run.data is not None and run.check == hi.CheckType.HASH:
                self._kept[1].pop(run.data, None)

    def leave_tails(self) -> None:
        """Whoever sends goes by what is in the files."""
        for tail in self.tails.values():
            tail.leave()

    def keep_chains(self) -> None:
        """Content is about to be given up that may have been delivered: what no hash covers yet is kept in memory.

        Only between two commits: the assembler then has what is on the disk, and nothing more.
        """
        self.tails["hi3"].leave()
        if self._chained:
            self._kept = self.content.next_row, self.assembler.uncovered(Kind.CC)

    def _remove_declared(self) -> None:
        """Content that was given up goes, where a crash came between declaring it and that."""
        declared = given_up(self.events.database)
        if declared >= self.content.low:
            self.keep_chains()
        trim(self.folder, declared)

    def write_archive(self, contexts: list[KnownContext]) -> None:
        self.events.database.executemany(
            "INSERT OR REPLACE INTO archive VALUES(?,?,?,?,?)",
            [(each.tag, each.handle, each.kind, each.next, each.total) for each in contexts],
        )

    def roll(self) -> None:
        """Go on in a new segment."""
        old = self.content
        self.content = self._new_segment(self.number + 1, old.next_row, old)
        self._checkpoint()
        self.content.share_uncovered(old)
        self.content.total_of = self._archived
        with suppress(sqlite3.Error):  # no room: then the log stays beside the file
            old.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        old.close()

    def replace(self) -> None:
        """Give the only segment up and make another: the last that can be done on a full disk.

        For a moment its numbers stand in memory alone; a crash there is told by cINReset.
        """
        old = self.content
        number, first = self.number + 1, old.next_row
        contexts, waiting, following = list(old.known()), old.unsigned(), old.next_context
        old.close()
        unlink(old.path)
        path = self.folder.segment("hi3", number)
        Store.create(path, "hi3", first, following, contexts, waiting, page_octets=self._page)
        self.folder.sync()
        self.content = self._store(path, "hi3")
        self._checkpoint()
        self.content.total_of = self._archived
        self.number = number

    def abandon(self, interface: Interface) -> None:
        """A file is damaged where it is written: leave it to the sender and go on in a new one."""
        if interface == "hi3":
            self.content.close()
            self.lost.add("hi3")
            self.content = self._new_segment(self.number + 1, self.number * _GENERATION + 1, None)
        else:
            self.events.close()
            _rename(self.folder.events, self.folder.segment("hi2", max(self.folder.segments("hi2"), default=0) + 1))

    def producer(self, handle: int) -> int:
        """The highest key of a producer that is on the disk."""
        found = self.events.database.execute("SELECT key FROM producers WHERE handle = ?", (handle,)).fetchone()
        return -1 if found is None else int(found[0])

    def marked(self, mark: bytes) -> bool:
        """Whether a record with this mark is on the disk, as far as is remembered."""
        found = self.events.database.execute("SELECT 1 FROM marks WHERE mark = ?", (mark,)).fetchone()
        return found is not None

    def intercepts(self) -> Iterator[bytes]:
        """What is noted of intercepts, as far as it can be opened."""
        query = "SELECT substr(name, ?), value FROM meta WHERE name GLOB ?"
        found = self.events.database.execute(query, (len(_INTERCEPT) + 1, f"{_INTERCEPT}*")).fetchall()
        for number, sealed in found:
            with suppress(SealError, KeyGone, KeyForeign):
                yield self._keys.key(int(number)).open(sealed, _intercept(int(number)))

    def active(self, handle: int) -> bool:
        """Whether the LEMF was told that an interception is active, and of no end since."""
        return self.events.noted(f"{_ACTIVE}{handle}")

    def all_active(self) -> list[int]:
        """Handles of all these."""
        query = "SELECT substr(name, ?) FROM meta WHERE name GLOB ?"
        found = self.events.database.execute(query, (len(_ACTIVE) + 1, f"{_ACTIVE}*"))
        return [int(handle) for (handle,) in found]


def _intercept(handle: int) -> bytes:
    return b"intercept %d" % handle


def _rename(path: Path, new: Path) -> None:
    for suffix in ("-shm", "-wal", ""):
        each = path.with_name(path.name + suffix)
        if each.exists():
            each.rename(new.with_name(new.name + suffix))

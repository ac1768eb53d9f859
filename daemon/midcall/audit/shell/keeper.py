"""The log while it is written: groups of notes are added, sealed, synced by a thread of their own, then answered.

A group that the disk does not take has not happened. What was written is looked at again: somebody else's hand on a
file of the log stops the audit, and with it all that needs it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from midcall.audit import lines, opening
from midcall.audit.checking import Checked, Checker, LogFile, first_bad
from midcall.audit.comparing import Against, kept
from midcall.audit.heads import HeadError, Key, Sign, Signer
from midcall.audit.ledger import Ledger, Place, Writer
from midcall.audit.lines import Entry, HeadLine
from midcall.audit.opening import BadLog
from midcall.audit.reviewing import REASONS
from midcall.audit.shell import files
from midcall.audit.shell.eye import Eye
from midcall.audit.shell.files import FolderError, LogWriter, Stands
from midcall.base import owner_only
from midcall.base.audit_link.values import RUN_OCTETS, Act, Note, Outcome, Phase, Role
from midcall.events import Instant

li_log = logging.getLogger("midcall.li.audit")


ANCHOR_OCTETS = 65_536
"""Of an anchor that are read at a start: some hundred heads."""
CHANGED = "the log was changed by somebody else"
REMARKS = 10_000
HOUR = 3_600_000_000_000


class _Foreign(Exception):
    """A file is not as this process has left it."""


class NotWritten(Exception):
    """Notes are not kept; one line."""


class Group(Struct, frozen=True):
    """Notes of one writer that belong together; ``starts``: the writer has started anew, and these runs are there."""

    writer: Writer
    notes: Sequence[Note]
    starts: frozenset[bytes] | None = None


def clock() -> Instant:
    return Instant(time.time_ns(), time.monotonic_ns())


class Keeper:
    """One log. Its methods are called in one loop; the disk is waited for elsewhere."""

    def __init__(
        self,
        folder: Path,
        key: Key,
        sign: Sign,
        *,
        file_octets: int,
        anchors: Sequence[Path] = (),
        now: Callable[[], Instant] = clock,
    ) -> None:
        """Open the log, or begin one. FolderError; BadLog: it is not what was written, or less than was anchored."""
        self.writable = True
        self.changed = ""
        self._remarked: deque[int] = deque(maxlen=REMARKS)
        self._now = now
        self._key = key
        self._sign = sign
        self._anchors = anchors
        self._anchored = 0
        self._turn = asyncio.Lock()
        self._own = Writer(Role.AUDIT, 1, secrets.token_bytes(RUN_OCTETS))
        self._files = LogWriter(folder, file_octets)
        self._thread = ThreadPoolExecutor(1, "audit")
        try:
            place, tail = self._open()
            self._against_anchors(place)
            self._stands: dict[str, Stands] = {name: files.stands(folder / name) for name in files.names(folder)}
        except OSError as error:
            self._files.close()
            raise FolderError(f"{folder}: {error.strerror or error}") from None
        except BaseException:
            self._files.close()
            raise
        self._tail = tail

    def _open(self) -> tuple[Place, int]:
        names = files.names(self._files.folder)
        left: tuple[Entry, ...] = ()
        if not names:
            place, tail = Place(secrets.token_hex(16)), 0
        else:
            # The last but one for its intents: in a file that has just begun there are none.
            found = opening.opened(self._key, *files.read(self._files.folder, names[-2:]))
            place, tail, left = found.place, found.tail, found.checked.unresolved
            self._files.resume(names[-1], tail)
        signer = Signer(place.log, self._key.raw, self._sign)
        self._ledger = Ledger(place, signer, secrets.token_hex(16))
        for each in left:
            self._ledger.remember(each)
        return place, tail

    @property
    def place(self) -> Place:
        return self._ledger.place

    async def start(self) -> None:
        """The first entries of this run. NotWritten."""
        notes = [Note(Act.AUDIT_START, Phase.EVENT, self._now().wall, outcome=Outcome.DONE)]
        if self._tail:
            torn = Note(Act.AUDIT_TORN, Phase.EVENT, self._now().wall, outcome=Outcome.DONE, count=self._tail)
            notes.insert(0, torn)
            li_log.warning("the log ended with %d octets that nobody was told of; they are gone", self._tail)
        await self.write([Group(self._own, notes)])

    def is_scarce(self, octets: int) -> bool:
        """Whether less than that is left on the disk."""
        try:
            found = os.statvfs(self._files.folder)
        except OSError:
            return True
        return found.f_bavail * found.f_frsize < octets

    # Writing

    async def note(self, *notes: Note) -> None:
        """What the audit has to say itself. NotWritten."""
        await self.write([Group(self._own, notes)])

    async def write(self, groups: Sequence[Group]) -> list[int]:
        """Keep all of it; the sequence number of the first note of each group. NotWritten: none of it is kept.

        One after the other; who does not wait for it any more changes nothing of that.
        """
        return await asyncio.shield(asyncio.ensure_future(self._in_turn(groups)))

    async def _in_turn(self, groups: Sequence[Group]) -> list[int]:
        async with self._turn:
            return await self._written(groups)

    async def _written(self, groups: Sequence[Group]) -> list[int]:
        if self.changed:
            raise NotWritten(CHANGED)
        ledger, now = self._ledger, self._now()
        numbers: list[int] = []
        for group in groups:
            if group.starts is not None:
                ledger.resolve(group.writer, now, group.starts)
            number = ledger.place.size + ledger.waiting
            for note in group.notes:
                ledger.add(note, group.writer, now)
            numbers.append(number)
        if ledger.waiting or not self.writable:
            await self._sync(ledger.seal(now))
        return numbers

    async def _sync(self, octets: bytes) -> None:
        place = self._ledger.place
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, octets, place)
        except _Foreign as found:
            self._ledger.undo()
            self._is_changed(str(found))
            raise NotWritten(CHANGED) from None
        except OSError as error:
            self._ledger.undo()
            if self.writable:
                li_log.error("the audit cannot be written: %s", error.strerror or type(error).__name__)
            self.writable = False
            raise NotWritten(error.strerror or type(error).__name__) from None
        self._ledger.sealed()
        if not self.writable:
            li_log.warning("the audit can be written again")
        self.writable = True

    def _write(self, octets: bytes, place: Place) -> None:
        """In the thread."""
        before = self._files.stands()
        if before is not None and self._stands[before[0]] != before[1]:
            raise _Foreign(f"{before[0]}: somebody else has written it")
        try:
            self._files.write(octets, place)
        except OSError:
            self._dropped(None if before is None else before[0])
            raise
        after = self._files.stands()
        if after is not None:
            if before is not None and before[0] != after[0]:
                self._stands[before[0]] = before[1]
            self._stands[after[0]] = after[1]

    def _dropped(self, name: str | None) -> None:
        """What was written in part is gone again, and perhaps a file with it that had just begun."""
        there = files.names(self._files.folder)
        for each in {name, *there[-1:]} - {None}:
            assert each is not None
            try:
                self._stands[each] = files.stands(self._files.folder / each)
            except OSError:
                self._stands.pop(each, None)

    # Looking after it

    async def look(self) -> str:
        """Whether all files are as this process has left them; what is wrong, or nothing."""
        if not self.changed:
            wrong = await asyncio.get_running_loop().run_in_executor(self._thread, self._look)
            if wrong:
                self._is_changed(wrong)
        return self.changed

    def _look(self) -> str:
        """In the thread that writes: nothing is being written."""
        folder = self._files.folder
        try:
            names = files.names(folder)
        except FolderError as error:
            return str(error)
        if names != sorted(self._stands):
            other = sorted(set(names) ^ set(self._stands))
            return f"{other[0]}: is not there any more, or was not made by this process"
        for name, expected in self._stands.items():
            try:
                if files.stands(folder / name) == expected:
                    continue
            except OSError as error:
                return f"{name}: {error.strerror or error}"
            return f"{name}: somebody else has written it"
        return ""

    async def check_all(self) -> str:
        """Read the whole log, files that are written no more and the one that is, up to where it was; what is wrong."""
        upto = self.place
        found = await asyncio.to_thread(self._check_all, upto)
        if found and not self.changed:
            self._is_changed(found)
        return found

    def _check_all(self, upto: Place) -> str:
        try:
            checked = Checker(self._key).check(self._until(upto))
        except FolderError as error:
            return str(error)
        place = checked.place
        if place is not None and place.heads >= upto.heads:
            return ""
        return "" if checked.found is None else first_bad(checked.found)

    def _until(self, upto: Place) -> list[LogFile]:
        names = files.names(self._files.folder)
        return list(files.read(self._files.folder, [name for name in names if int(name[:20]) <= upto.size]))

    def _is_changed(self, wrong: str) -> None:
        self.changed = wrong
        li_log.critical("THE AUDIT WAS CHANGED: %s; nothing new is activated: midcall audit verify", wrong)

    async def review(self, eye: Eye) -> None:
        """What roles have said since it was looked at last, beside each other; what does not agree is written down."""
        if self.changed:
            return
        found = await asyncio.to_thread(eye.look, self.place.heads)
        if found.wrong:
            self._is_changed(found.wrong)
        for remark in found.remarks:
            li_log.error("entry %d: %s: midcall audit review", remark.n, remark.reason)
        self._remarked.extend([self._now().mono] * len(found.remarks))
        wall = self._now().wall
        notes = [
            Note(
                Act.AUDIT_DISAGREE,
                Phase.EVENT,
                wall,
                outcome=Outcome.FAILED,
                code=REASONS.index(each.reason) + 1,
                of=each.n,
            )
            for each in found.remarks
        ]
        if notes:
            with suppress(NotWritten):
                await self.note(*notes)

    @property
    def remarks(self) -> int:
        """Entries that were found within the hour, and that others do not bear out."""
        since = self._now().mono - HOUR
        while self._remarked and self._remarked[0] < since:
            self._remarked.popleft()
        return len(self._remarked)

    # Anchors

    def _against_anchors(self, place: Place) -> None:
        """What was anchored has to be there. BadLog."""
        for path in self._anchors:
            if not path.exists():
                if place.heads:
                    li_log.error("%s: there is no anchor, although the log has %d heads", path, place.heads)
                continue
            heads = kept(self._key, _heads(self._key, path))
            if not heads:
                continue
            against = Against(heads)
            last = heads[-1].head
            found = against.end(_at(place))
            if found is None and last.number == place.heads and heads[-1].text != place.head:
                raise BadLog(f"{path}: the anchor has another head {last.number}: two histories under one key")
            if found is None and last.log != place.log:
                raise BadLog(f"{path}: the anchor is of another log: {last.log}")
            if found is not None:
                raise BadLog(f"{path}: {first_bad(found)}")

    async def anchor(self) -> int:
        """Keep the last head elsewhere too, if it is a new one; how many anchors have it."""
        place = self.place
        if place.heads == self._anchored or self.changed:
            return 0
        line = lines.encode(HeadLine(place.head)) + b"\n"
        done = 0
        for path in self._anchors:
            try:
                await asyncio.to_thread(_put, path, line)
                done += 1
            except OSError as error:
                li_log.error("%s: the head is not anchored there: %s", path, error.strerror or error)
        if done == len(self._anchors):
            self._anchored = place.heads
        return done

    async def close(self) -> None:
        """The last entry of this run, and its head to the anchors."""
        note = Note(Act.AUDIT_STOP, Phase.EVENT, self._now().wall, outcome=Outcome.DONE)
        with suppress(NotWritten):
            await self.write([Group(self._own, [note])])
            await self.anchor()
        self._thread.shutdown()
        self._files.close()


def _at(place: Place) -> Checked:
    return Checked(place, None, 0)


def _heads(key: Key, path: Path) -> list[str]:
    """The last ones of an anchor, which say how far the log has been. BadLog, FolderError."""
    try:
        with path.open("rb") as file:
            begin = max(0, path.stat().st_size - ANCHOR_OCTETS)
            file.seek(begin)
            if begin:
                file.readline()
            return list(opening.heads_of(key, file))
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror or error}") from None
    except (BadLog, HeadError) as error:
        raise BadLog(f"{path}: {error}") from None


def _put(path: Path, line: bytes) -> None:
    with owner_only.append(path) as file:
        file.write(line)
        file.flush()
        os.fdatasync(file.fileno())

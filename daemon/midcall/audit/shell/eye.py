"""The audit's own look at what it has written: read from the files, as anybody else would, piece by piece.

Each piece has to go on from the one before, under heads of the key; and what roles say in it has to agree with what
others have said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from msgspec import Struct

from midcall.audit import lines
from midcall.audit.checking import Checker, LogFile, first_bad
from midcall.audit.diagnosis import GROUP
from midcall.audit.heads import Key
from midcall.audit.lines import MAX_LINE, Entry, HeadLine, LineError
from midcall.audit.reviewing import UNKNOWN, Remark, Review
from midcall.audit.shell import files
from midcall.audit.shell.files import FolderError
from midcall.base.audit_link.values import Act, Role, head_at

MOST = 2_000_000
"""Of what is remembered to weigh entries by; beyond, somebody has to do it elsewhere."""
TOGETHER = 256
"""Remarks of one look; the others are of the next."""
_HEAD = b'{"head":'
li_log = logging.getLogger("midcall.li.audit")


class Found(Struct, frozen=True):
    """``wrong``: how the files are not what was written; empty: they are."""

    wrong: str = ""
    remarks: tuple[Remark, ...] = ()


class Eye:
    """One log, from its beginning on. In one thread at a time."""

    def __init__(self, folder: Path, key: Key) -> None:
        self._folder = folder
        self._checker = Checker(key, on_entry=self._entry)
        self._review: Review | None = Review()
        self._told: set[int] = set()
        self._file, self._offset, self._lines = "", 0, 0

    def look(self, heads: int) -> Found:
        """What is there that was not before, up to the head of that number: what is behind may not stay."""
        try:
            for name in files.names(self._folder):
                if name < self._file:
                    continue
                if name > self._file:
                    self._file, self._offset, self._lines = name, 0, 0
                wrong = self._piece(name, heads)
                if wrong:
                    return Found(wrong)
        except (FolderError, OSError) as error:
            return Found(str(error))
        return Found("", tuple(self._new()))

    def _piece(self, name: str, heads: int) -> str:
        """One file, from where it was read until; what is wrong."""
        pieces = self._covered(self._folder / name, heads)
        first = next(pieces, None)
        if first is None:
            return ""

        skipped = self._lines
        checked = self._checker.check([LogFile(name, int(name[:20]), chain([first], pieces), skipped)])
        return "" if checked.found is None else first_bad(checked.found)

    def _covered(self, path: Path, heads: int) -> Iterator[bytes]:
        """Whole lines up to the last head."""
        group: list[bytes] = []
        with path.open("rb") as file:
            file.seek(self._offset)
            while octets := file.readline(MAX_LINE + 2):
                if not octets.endswith(b"\n") and len(octets) <= MAX_LINE:
                    return
                group.append(octets)
                number = _number(octets)
                if number > heads:
                    return
                if number or len(group) > GROUP:
                    self._offset += sum(map(len, group))
                    yield from group
                    self._lines += len(group)
                    group = []

    def _entry(self, entry: Entry, leaf: bytes) -> None:
        if entry.role is Role.AUDIT and entry.act is Act.AUDIT_DISAGREE and entry.of is not None:
            self._told.add(entry.of)
        if self._review is None:
            return
        self._review.entry(entry, leaf)
        if self._review.size > MOST:
            self._review = None
            li_log.error("what roles say is weighed here no more, there is too much of it: midcall audit review")

    def _new(self) -> Iterator[Remark]:
        """What was not told before, in a former run neither. That a role was killed in the middle of an act stands in
        the log by itself.
        """
        if self._review is None:
            return
        found = [each for each in self._review.remarks() if each.n not in self._told and each.reason != UNKNOWN]
        for each in found[:TOGETHER]:
            self._told.add(each.n)
            yield each


def _number(octets: bytes) -> int:
    """Of a head; 0: it is none, or one that the checker will find fault with."""
    try:
        line = lines.decode(octets[:-1]) if octets.startswith(_HEAD) else None
    except LineError:
        return 0
    found = head_at(line.head) if isinstance(line, HeadLine) else None
    return 0 if found is None else found[1]

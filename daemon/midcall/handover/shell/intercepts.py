"""The intercepts of a spool: those that are ordered, and those that are over while content of theirs waits.

What is given up of these is declared as it is of the others, in a later run too: each stands in the file of the
events, under its own data key, until nothing of it can be given up any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from midcall.events import Intercept


class Kept(Struct, frozen=True):
    """An intercept, and what its owner wants to be told with its gaps (:class:`midcall.handover.values.Gap`)."""

    intercept: Intercept
    about: bytes = b""


class Intercepts:
    """``add`` and ``release`` are called in any thread, the others in that of the writer.

    ``by_liid`` is what the assembler numbers by; it changes at any time, so nobody goes through it.
    """

    def __init__(self, given: Iterable[Intercept]) -> None:
        self.by_liid: dict[str, Intercept] = {}
        self._kept: dict[str, Kept] = {}
        # The last row of content that may be of an intercept which is over.
        self._over: dict[str, int] = {}
        # What the file says, and where that is not what is kept.
        self._noted: dict[str, Kept] = {}
        self._stale: set[str] = set()
        self._lock = threading.Lock()
        for each in given:
            self.add(each)

    def add(self, intercept: Intercept, about: bytes = b"") -> None:
        """It is ordered, or ordered otherwise than before."""
        with self._lock:
            self._over.pop(intercept.liid, None)
            self._keep(Kept(intercept, about))

    def release(self, liid: str, last: int) -> None:
        """It is over: nothing of it comes behind row ``last`` of the content."""
        with self._lock:
            if liid in self._kept:
                self._over[liid] = last

    def is_over(self, liid: str) -> bool:
        """Not ordered: it has ended, or is not known at all."""
        with self._lock:
            return liid in self._over or liid not in self._kept

    def about(self, liid: str) -> bytes:
        """What was given with it."""
        kept = self._kept.get(liid)
        return b"" if kept is None else kept.about

    def delivered(self, passed: int) -> list[str]:
        """LIIDs that are over, and of whose content nothing is left when all rows up to ``passed`` are done with."""
        with self._lock:
            return [liid for liid, last in self._over.items() if last <= passed]

    def forget(self, liid: str) -> bool:
        """Nothing of an intercept that is over is left. False: it was ordered again meanwhile."""
        with self._lock:
            if liid not in self._over:
                return False
            self._drop(liid)
            return True

    def remove(self, liid: str) -> None:
        """It is no more, and its data key is about to go, so that what is noted of it opens for nobody."""
        with self._lock:
            self._noted.pop(liid, None)
            self._drop(liid)

    def first(self) -> Intercept | None:
        """Any of them."""
        with self._lock:
            return next(iter(self.by_liid.values()), None)

    # The file of the events

    def load(self, notes: Iterable[bytes], last: int) -> None:
        """What a former run has left, with content up to row ``last``; it is over until it is ordered again."""
        for note in notes:
            try:
                kept = msgspec.msgpack.decode(note, type=Kept)
            except msgspec.MsgspecError:
                continue  # of another version
            liid = kept.intercept.liid
            with self._lock:
                self._noted[liid] = kept
                if liid in self._kept:
                    self._mark(liid)
                else:
                    self._keep(kept)
                    self._over[liid] = last

    def notes(self) -> dict[str, bytes | None]:
        """What is to be written with the next commit of events: by LIID, None for what is to be said no more."""
        with self._lock:
            found = {liid: self._kept.get(liid) for liid in self._stale}
        return {liid: None if kept is None else msgspec.msgpack.encode(kept) for liid, kept in found.items()}

    def noted(self, notes: Mapping[str, bytes | None]) -> None:
        """These are on the disk."""
        with self._lock:
            for liid, note in notes.items():
                if note is None:
                    self._noted.pop(liid, None)
                else:
                    self._noted[liid] = msgspec.msgpack.decode(note, type=Kept)
                self._mark(liid)

    def lost_notes(self) -> None:
        """The file of the events is a new one."""
        with self._lock:
            self._noted.clear()
            self._stale = set(self._kept)

    def _keep(self, kept: Kept) -> None:
        liid = kept.intercept.liid
        self._kept[liid] = kept
        self.by_liid[liid] = kept.intercept
        self._mark(liid)

    def _drop(self, liid: str) -> None:
        for each in (self._over, self._kept, self.by_liid):
            each.pop(liid, None)
        self._mark(liid)

    def _mark(self, liid: str) -> None:
        if self._kept.get(liid) == self._noted.get(liid):
            self._stale.discard(liid)
        else:
            self._stale.add(liid)

"""The log that grows: entries in, lines out, a signed head behind each group of them.

A core: what it returns is to be written and synced before anybody is answered; ``undo`` forgets what could not be.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from midcall.audit import lines
from midcall.audit.heads import Head, Signer
from midcall.audit.lines import FIRST, Begin, Entry, HeadLine
from midcall.audit.merkle import Frontier
from midcall.base.audit_link.values import Note, Outcome, Phase, Role
from midcall.events import Instant

MAX_OPEN = 100_000
"""Intents whose outcome is waited for; of more the oldest is no longer looked after."""


class Place(Struct, frozen=True):
    """How far a log has come: edge of its tree, hash of its last entry, its last head (empty: none yet)."""

    log: str
    size: int = 0
    edge: tuple[bytes, ...] = ()
    previous: str = FIRST
    heads: int = 0
    head: str = ""

    def begin(self) -> bytes:
        """The first line of a file that goes on from here."""
        edge = tuple(each.hex() for each in self.edge)
        begin = Begin(self.log, lines.VERSION, self.size, self.previous, edge, self.head)
        return lines.encode(begin) + b"\n"


class Writer(Struct, frozen=True):
    """Who an entry is of; ``run``: another one at each start."""

    role: Role
    instance: int
    run: bytes


class Ledger:
    """One log, from ``place`` on. ``boot`` is this run's own name."""

    def __init__(self, place: Place, signer: Signer, boot: str) -> None:
        self.place = place
        self._signer = signer
        self._boot = boot
        self._edge = Frontier(place.size, place.edge)
        self._previous = place.previous
        self._lines: list[bytes] = []
        self._opened: dict[int, tuple[Writer, Note]] = {}
        self._open: dict[int, tuple[Writer, Note]] = {}
        self._closed: list[int] = []

    @property
    def waiting(self) -> int:
        """Entries that are not sealed yet."""
        return len(self._lines)

    def add(self, note: Note, writer: Writer, now: Instant) -> int:
        """One more entry; its sequence number."""
        sequence = self._edge.size
        octets = lines.encode(_entry(note, sequence, now, self._boot, writer, self._previous))
        leaf = lines.entry_hash(octets)
        self._edge.append(leaf)
        self._previous = leaf.hex()
        self._lines.append(octets)
        if note.phase is Phase.INTENT:
            self._opened[sequence] = (writer, note)
        elif note.phase is Phase.OUTCOME and note.of is not None:
            self._closed.append(note.of)
        return sequence

    def resolve(self, writer: Writer, now: Instant, alive: Collection[bytes] = ()) -> int:
        """Intents of a former run of a writer that starts anew: nobody knows what became of them; how many.

        ``alive``: runs that are still there, as others may have the same role and number.
        """
        left = [
            (sequence, note)
            for sequence, (owner, note) in self._open.items()
            if (owner.role, owner.instance) == (writer.role, writer.instance)
            and owner.run != writer.run
            and owner.run not in alive
        ]
        for sequence, note in left:
            self.add(
                Note(
                    note.act,
                    Phase.OUTCOME,
                    now.wall,
                    note.object,
                    note.warrant,
                    None,
                    Outcome.UNKNOWN,
                    of=sequence,
                ),
                writer,
                now,
            )
        return len(left)

    def remember(self, entry: Entry) -> None:
        """An intent of a former run of the audit, without an outcome."""
        held, warrant = bytes.fromhex(entry.object) or None, bytes.fromhex(entry.warrant) or None
        note = Note(entry.act, Phase.INTENT, entry.at, held, warrant)
        self._open[entry.n] = (Writer(entry.role, entry.instance, bytes.fromhex(entry.run)), note)

    def seal(self, now: Instant) -> bytes:
        """The lines since the last seal, and a head over all; they count once ``sealed`` is called."""
        head = self._head(now)
        self._sealing = Place(
            self.place.log,
            self._edge.size,
            tuple(self._edge.nodes),
            self._previous,
            self.place.heads + 1,
            self._signer.sign(head),
        )
        self._lines.append(lines.encode(HeadLine(self._sealing.head)))
        return b"\n".join(self._lines) + b"\n"

    def _head(self, now: Instant) -> Head:
        last = None if self._edge.size == 0 else bytes.fromhex(self._previous)
        return Head(self.place.log, self._edge.size, self._edge.root(), self.place.heads + 1, last, now.wall)

    def sealed(self) -> Place:
        """What ``seal`` gave is on the disk."""
        self.place = self._sealing
        self._open.update(self._opened)
        for sequence in self._closed:
            self._open.pop(sequence, None)
        while len(self._open) > MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._forget()
        return self.place

    def undo(self) -> None:
        """It is not: nothing since the last seal has happened."""
        self._edge = Frontier(self.place.size, self.place.edge)
        self._previous = self.place.previous
        self._forget()

    def _forget(self) -> None:
        self._lines, self._opened, self._closed = [], {}, []


def _entry(note: Note, sequence: int, now: Instant, boot: str, writer: Writer, previous: str) -> Entry:
    return Entry(
        sequence,
        now.wall,
        now.mono,
        boot,
        writer.role,
        writer.instance,
        writer.run.hex(),
        note.act,
        note.phase,
        note.at,
        _hex(note.object),
        _hex(note.warrant),
        _hex(note.actor),
        note.outcome,
        note.code,
        note.count,
        note.of,
        previous,
    )


def _hex(digest: bytes | None) -> str:
    return "" if digest is None else digest.hex()

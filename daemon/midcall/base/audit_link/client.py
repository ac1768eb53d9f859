"""Who acts tells the audit first: an intent is on its disk before the act, an outcome follows.

Acts that open something (a task, keys, a view) wait for their intent, a second at most, and are refused without it.
Acts that end something never wait: what is said of them goes when the audit is there again, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections import deque
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from midcall.base.audit_link.values import (
    MAX_NOTES,
    MAX_PACKET,
    RUN_OCTETS,
    VERSION,
    Act,
    Ask,
    Hello,
    Kept,
    Kind,
    Note,
    Outcome,
    Phase,
    Role,
    answer,
    digest,
    head_at,
    packet,
)

WAIT_SECONDS: Final = 0.8
"""How long an act waits for its intent."""
PAUSE_SECONDS: Final = 0.2
PROBE_SECONDS: Final = 2.0
"""How often the audit is asked whether it can write, when nothing else is asked."""
LOOK_SECONDS: Final = 4.0
SEEN_SECONDS: Final = 1.0
"""Between two looks for the operator's plane, and after which of it what was seen is told there: the same however much
is done, so that nobody sees there when something is."""
ANSWER_SECONDS: Final = 5.0
WAITING: Final = 65_536
"""Notes that nobody waits for, until the audit is there; of more the oldest are given up, and counted."""
ROLLED_BACK: Final = "it has gone back behind what it has answered"
GRACE_SECONDS: Final = 900.0
OFTEN_SECONDS: Final = 1.0
OFTEN_APART: Final = 64
"""Acts, codes and actors of what is refused that are told apart within that time; other actors are told of together."""
li_log = logging.getLogger("midcall.li.audit")


def log_unaudited(role: Role) -> None:
    """A role works without an audit, which nobody is to find out by what is missing there."""
    li_log.warning("no [%s.audit]: NOTHING THAT IS DONE HERE IS AUDITED", role)


class NotAudited(Exception):
    """The audit does not keep an intent: what it was for is not to be done."""

    def __init__(self, reason: str = "the audit cannot be written") -> None:
        super().__init__(reason)


class AuditLink(Struct, frozen=True, kw_only=True):
    """Where the audit is, and who writes; ``salt``: the site's, 32 octets. ``grace``: seconds without it."""

    path: Path
    role: Role
    salt: bytes
    instance: int = 1
    grace: float = GRACE_SECONDS

    def __repr__(self) -> str:
        return f"AuditLink({str(self.path)!r}, {self.role!r}, {self.instance!r})"


class _Waiting:
    """A note, and who waits for it (None: nobody)."""

    __slots__ = ("kept", "note", "opens")

    def __init__(self, note: Note, kept: asyncio.Future[int] | None, opens: Intent | None = None) -> None:
        self.note = note
        self.kept = kept
        self.opens = opens


class Intent:
    """An act that has been announced; exactly one of its ends is to be told."""

    __slots__ = ("_act", "_client", "_ended", "_later", "_object", "_warrant", "sequence")

    def __init__(self, client: AuditClient, act: Act, held: bytes | None, warrant: bytes | None) -> None:
        self.sequence: int | None = None
        self._client = client
        self._act = act
        self._object = held
        self._warrant = warrant
        self._ended = False
        self._later: Note | None = None

    def done(self, count: int = 0) -> None:
        self.end(Outcome.DONE, count=count)

    def refused(self, code: int = 0) -> None:
        self.end(Outcome.REFUSED, code)

    def failed(self, code: int = 0) -> None:
        self.end(Outcome.FAILED, code)

    def end(self, outcome: Outcome, code: int = 0, count: int = 0) -> None:
        """Tell how it ended; nobody waits for that."""
        if self._ended:
            return
        self._ended = True
        note = Note(self._act, Phase.OUTCOME, time.time_ns(), self._object, self._warrant, None, outcome, code, count)
        if self.sequence is None:
            self._later = note
        else:
            self._client.put(msgspec.structs.replace(note, of=self.sequence))

    def kept(self, sequence: int) -> None:
        """Its intent is on the disk under this number."""
        self.sequence = sequence
        if self._later is not None:
            self._client.put(msgspec.structs.replace(self._later, of=sequence))
            self._later = None


_Often = tuple[Act, int, bytes | None]


class AuditClient:
    """One writer. ``start`` before, ``close`` after use, both in the loop that uses it.

    ``head``: the last signed head that the audit has answered with; ``remarks``: entries that it has found within the
    hour, and that others do not bear out. ``counts``: ``kept``, ``given_up``, ``refused``.
    """

    def __init__(self, link: AuditLink) -> None:
        self.link = link
        self.head = ""
        self.remarks = 0
        self.counts = {"kept": 0, "given_up": 0, "refused": 0}
        self._run = secrets.token_bytes(RUN_OCTETS)
        self._queue: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._lost: float | None = time.monotonic()
        self._told = False
        self._often: dict[_Often, int] = {}
        self._at: tuple[str, int] | None = None
        self._rolled_back = False
        self._looker: asyncio.Task[None] | None = None
        self._looks = False
        self._seen = self._answers = True

    # Acts

    async def intent(
        self,
        act: Act,
        held: bytes | None = None,
        *,
        warrant: bytes | None = None,
        actor: bytes | None = None,
        count: int = 0,
    ) -> Intent:
        """Announce an act; it may be done once this returns. NotAudited."""
        kept: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        opened = Intent(self, act, held, warrant)
        waiting = _Waiting(Note(act, Phase.INTENT, time.time_ns(), held, warrant, actor, count=count), kept, opened)
        self._put(waiting)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await kept
        except TimeoutError:
            waiting.kept = None
            with contextlib.suppress(ValueError):
                # What was not sent is not to be said later: it is not going to happen.
                self._queue.remove(waiting)
            opened.refused()
            self.counts["refused"] += 1
            raise NotAudited from None
        except NotAudited:
            self.counts["refused"] += 1
            raise
        return opened

    def begin(
        self, act: Act, held: bytes | None = None, *, warrant: bytes | None = None, actor: bytes | None = None
    ) -> Intent:
        """Announce an act that does not wait: one that ends something."""
        opened = Intent(self, act, held, warrant)
        self._put(_Waiting(Note(act, Phase.INTENT, time.time_ns(), held, warrant, actor), None, opened))
        return opened

    def event(
        self,
        act: Act,
        held: bytes | None = None,
        *,
        warrant: bytes | None = None,
        actor: bytes | None = None,
        outcome: Outcome = Outcome.DONE,
        code: int = 0,
        count: int = 0,
    ) -> None:
        """Tell of something that nobody waits for."""
        self.put(Note(act, Phase.EVENT, time.time_ns(), held, warrant, actor, outcome, code, count))

    def refused(
        self,
        act: Act,
        held: bytes | None = None,
        *,
        warrant: bytes | None = None,
        actor: bytes | None = None,
        code: int = 0,
    ) -> None:
        """Tell of something that was refused: of many by one actor in one second the first, then how many more.

        Who is refused could otherwise fill the disk of the audit.
        """
        key = act, code, actor
        if key not in self._often and len(self._often) >= OFTEN_APART:
            key = act, code, None
        if key in self._often:
            self._often[key] += 1
            return
        self._often[key] = 0
        self.event(act, held, warrant=warrant, actor=actor, outcome=Outcome.REFUSED, code=code)
        asyncio.get_running_loop().call_later(OFTEN_SECONDS, self._more_refused, key)

    def _more_refused(self, key: _Often) -> None:
        act, code, actor = key
        count = self._often.pop(key)
        if count:
            self.event(act, actor=actor, outcome=Outcome.REFUSED, code=code, count=count)

    def put(self, note: Note) -> None:
        self._put(_Waiting(note, None))

    def digest(self, kind: Kind, identifier: str | bytes) -> bytes:
        """What stands for an identifier in the audit."""
        return digest(self.link.salt, kind, identifier)

    # How it stands

    @property
    def writable(self) -> bool:
        """Whether the audit has kept what it was given last, or said that it can."""
        return self._lost is None

    @property
    def answers(self) -> bool:
        """Whether it could at the last look: of the clock alone, and not of what is done here."""
        return self._answers

    @property
    def waiting(self) -> int:
        """Notes that are not kept yet."""
        return len(self._queue)

    @property
    def overdue(self) -> bool:
        """Whether it could not for longer than the grace: what runs is to end."""
        return self._lost is not None and time.monotonic() - self._lost >= self.link.grace

    # Running

    async def start(self) -> bool:
        """Begin; whether the audit is there at once. Where it is not, nobody waits for it here."""
        self._task = asyncio.create_task(self._keep_connected())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while self._lost is not None and not self._told:
                    await asyncio.sleep(0.005)
        self._seen = self._answers = self.writable
        self._looker = asyncio.create_task(self._look())
        return self.writable

    async def close(self, seconds: float = 0.3) -> None:
        """Say what is still to be said, as far as that is quick."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._queue:
                    await asyncio.sleep(0.005)
        for task in (self._task, self._looker):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._queue:
            li_log.error("%d notes never reached the audit", len(self._queue))

    def _put(self, waiting: _Waiting) -> None:
        if len(self._queue) >= WAITING:
            gone = self._queue.popleft()
            self.counts["given_up"] += 1
            if gone.kept is not None and not gone.kept.done():
                gone.kept.set_exception(NotAudited())
        self._queue.append(waiting)
        self._more.set()

    async def _keep_connected(self) -> None:
        while True:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                    connection.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(connection, os.fspath(self.link.path))
                    await self._talk(connection)
            except (OSError, TimeoutError, EOFError, msgspec.MsgspecError) as error:
                self._is_lost(error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        """What the next answer says, or that there is none, is told when its time has come."""
        while True:
            await asyncio.sleep(LOOK_SECONDS - SEEN_SECONDS)
            self._looks = True
            self._more.set()
            await asyncio.sleep(SEEN_SECONDS)
            self._answers = self._seen

    def _is_seen(self, there: bool) -> None:
        if self._looks:
            self._looks, self._seen = False, there

    async def _talk(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        hello = Hello(VERSION, self.link.role, self.link.instance, self._run)
        await loop.sock_sendall(connection, packet(hello))
        number = 0
        await self._asked(connection, Ask(number))
        while True:
            if not self._queue:
                self._more.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROBE_SECONDS):
                        await self._more.wait()
            number += 1
            sent = [self._queue[place] for place in range(min(len(self._queue), MAX_NOTES))]
            kept = await self._asked(connection, Ask(number, tuple(each.note for each in sent)))
            if kept is not None:
                self._are_kept(sent, kept)
            elif sent:
                self._are_not_kept(sent)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _asked(self, connection: socket.socket, ask: Ask) -> Kept | None:
        """What the audit answers; None: it cannot write."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_SECONDS):
            await loop.sock_sendall(connection, packet(ask))
            octets = await loop.sock_recv(connection, MAX_PACKET)
        if not octets:
            raise EOFError("closed")
        found = answer(octets)
        if found.number != ask.number:
            raise EOFError("answers something else")
        if isinstance(found, Kept):
            if self._is_rolled_back(found.head):
                # Nothing is given to it, and it is asked again: it may be begun anew.
                raise EOFError(ROLLED_BACK)
            self._is_there(found)
            self._is_seen(True)
            return found
        self._is_lost(NotAudited(found.reason))
        return None

    def _are_kept(self, sent: list[_Waiting], kept: Kept) -> None:
        for place, each in enumerate(sent):
            # Some may have been given up meanwhile, from the front.
            if self._queue and self._queue[0] is each:
                self._queue.popleft()
            else:
                with contextlib.suppress(ValueError):
                    self._queue.remove(each)
            sequence = kept.sequence + place
            if each.opens is not None:
                each.opens.kept(sequence)
            if each.kept is not None and not each.kept.done():
                each.kept.set_result(sequence)
        self.counts["kept"] += len(sent)

    def _are_not_kept(self, sent: list[_Waiting]) -> None:
        """Acts that wait are refused at once; the others are said again."""
        for each in sent:
            if each.kept is None:
                continue
            with contextlib.suppress(ValueError):
                self._queue.remove(each)
            if not each.kept.done():
                each.kept.set_exception(NotAudited())

    def _is_rolled_back(self, text: str) -> bool:
        """Whether the log has once been further than it says now: for good, or it would only have to grow again.

        Another log goes on, since that is how one begins anew after somebody had his hands on the former one; that it
        is another one stands in it.
        """
        if (now := head_at(text)) is None:
            return False
        log, number = now
        former, self._at = self._at, now
        if former is None or former[0] != log:
            self._rolled_back = False
            if former is not None:
                li_log.critical("the audit goes on with another log, %s; it was %s", log, former[0])
                self.event(Act.ALARM)
        elif number < former[1]:
            if not self._rolled_back:
                li_log.critical(
                    "THE AUDIT WAS ROLLED BACK: it has head %d, and has answered with %d", number, former[1]
                )
            self._rolled_back, self._at = True, former
        return self._rolled_back

    def _is_there(self, kept: Kept) -> None:
        if self._told:
            li_log.warning("the audit can be written again")
        self._lost, self._told = None, False
        self.head, self.remarks = kept.head, kept.remarks

    def _is_lost(self, error: Exception) -> None:
        self._is_seen(False)
        if self._lost is None:
            self._lost = time.monotonic()
        if not self._told and not self._closed:
            self._told = True
            why = error.strerror if isinstance(error, OSError) else str(error) or type(error).__name__
            li_log.error("the audit cannot be written (%s): nothing new is activated until it can", why)

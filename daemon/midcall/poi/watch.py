"""The armed tasks, and which calls and forks are intercepted under which of them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from midcall.events import Side, Task
from midcall.poi.dialog import Call, Dialog, Match, Subject
from midcall.poi.identity import Hashes, IdentityHasher


class Watched(Struct, frozen=True, gc=False):
    """One subject under one task: the identity that matched, as the task names it, and its side."""

    xid: str
    identity: str
    target: Side | None


def _plays(role: str, hashed: bytes, match: Match, diverting: frozenset[bytes]) -> bool:
    """Whether a party has the part of a task's callPartyRole (TS 103 221-1).

    Forwarded to is a called party of a call that somebody else has diverted.
    """
    if role == "originating":
        return match is Match.CALLER
    return match is Match.CALLEE and (role == "terminating" or bool(diverting) and hashed not in diverting)


class _Part(Struct, frozen=True, eq=False, gc=False):
    """A fork that is intercepted, or the call itself (None), and under which task."""

    dialog: Dialog | None
    watched: Watched


class _Followed(Struct, eq=False, gc=False):
    """All of a call that is."""

    parts: tuple[_Part, ...] = ()

    def of(self, dialog: Dialog | None) -> tuple[Watched, ...]:
        return tuple(each.watched for each in self.parts if each.dialog is dialog)


class Watch:
    """Tasks by the hashes of their targets; interceptions by subject."""

    def __init__(self, hasher: IdentityHasher) -> None:
        self._hasher = hasher
        self._tasks: dict[str, Task] = {}
        self._targets: dict[bytes, dict[str, str]] = {}
        self._roles: dict[str, str] = {}
        # What is intercepted of each call, and under each task. The collector need not look at any of it.
        self._calls: dict[Call, _Followed] = {}
        self._under: dict[str, dict[Call, None]] = {}

    def arm(self, task: Task) -> dict[bytes, str]:
        """Note a task; returns the hashes that stand for its targets. ValueError: a target is no identity."""
        hashed: dict[bytes, str] = {}
        for target in task.targets:
            forms = self._hasher.of_target(target)
            if not forms:
                raise ValueError(f"task {task.xid}: a target is not a SIP, TEL or URN identity")
            hashed.update(dict.fromkeys(forms, target))
        self._tasks[task.xid] = task
        if task.role is not None:
            self._roles[task.xid] = task.role
        for form, target in hashed.items():
            self._targets.setdefault(form, {})[task.xid] = target
        return hashed

    def disarm(self, xid: str) -> list[Subject]:
        """Drop a task; returns what was intercepted under it."""
        task = self._tasks.pop(xid, None)
        self._roles.pop(xid, None)
        for target in () if task is None else task.targets:
            for form in self._hasher.of_target(target):
                tasks = self._targets.get(form, {})
                tasks.pop(xid, None)
                if not tasks:
                    self._targets.pop(form, None)
        subjects = []
        for call in self._under.pop(xid, _NO_CALLS):
            followed = self._calls[call]
            subjects += [Subject(call, each.dialog) for each in followed.parts if each.watched.xid == xid]
            self._keep(call, followed, tuple(each for each in followed.parts if each.watched.xid != xid))
        return subjects

    def wants(self, hashes: Hashes) -> bool:
        """Whether one of these identities is a target's, in whatever part."""
        return not self._targets.keys().isdisjoint(hashes)

    def matches(self, hashes: Hashes, match: Match, diverting: frozenset[bytes] = frozenset()) -> Iterator[Watched]:
        """Tasks that one of the hashed identities of a party is a target of, in the part that the task asks for."""
        for hashed in hashes:
            for xid, target in self._targets.get(hashed, _NO_TASKS).items():
                role = self._roles.get(xid)
                if role is None or _plays(role, hashed, match, diverting):
                    yield Watched(xid, target, match.side)

    def start(self, subject: Subject, watched: Watched) -> bool:
        """Intercept ``subject``; False when that task already does."""
        call, dialog = subject
        followed = self._calls.get(call)
        if followed is None:
            followed = self._calls[call] = _Followed()
        elif any(each.dialog is dialog and each.watched.xid == watched.xid for each in followed.parts):
            return False
        followed.parts += (_Part(dialog, watched),)
        self._under.setdefault(watched.xid, {})[call] = None
        return True

    def follows(self, call: Call) -> bool:
        """Whether a call, or a fork of it, is intercepted under any task."""
        return call in self._calls

    def under(self, call: Call, dialog: Dialog | None = None) -> tuple[Watched, ...]:
        """The tasks under which a fork is intercepted, or, without one, the call itself."""
        followed = self._calls.get(call)
        return () if followed is None else followed.of(dialog)

    def release(self, subject: Subject) -> tuple[Watched, ...]:
        """The subject is over."""
        call, dialog = subject
        followed = self._calls.get(call)
        if followed is None:
            return ()
        under = followed.of(dialog)
        self._keep(call, followed, tuple(each for each in followed.parts if each.dialog is not dialog))
        for xid in {each.xid for each in under} - {each.watched.xid for each in followed.parts}:
            calls = self._under[xid]
            del calls[call]
            if not calls:
                del self._under[xid]
        return under

    def _keep(self, call: Call, followed: _Followed, parts: tuple[_Part, ...]) -> None:
        """What is left of what is intercepted of a call."""
        followed.parts = parts
        if not parts:
            del self._calls[call]


_NO_TASKS: dict[str, str] = {}
_NO_CALLS: dict[Call, None] = {}

"""The armed tasks, and which calls and forks are intercepted under which of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from midcall.events import Side, Task
from midcall.poi.dialog import Match
from midcall.poi.identity import IdentityHasher
from midcall.poi.tracker import Subject


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


class Watch:
    """Tasks by the hashes of their targets; interceptions by subject."""

    def __init__(self, hasher: IdentityHasher) -> None:
        self._hasher = hasher
        self._tasks: dict[str, Task] = {}
        self._targets: dict[bytes, dict[str, str]] = {}
        self._roles: dict[str, str] = {}
        self._subjects: dict[Subject, dict[str, Watched]] = {}

    def arm(self, task: Task) -> dict[bytes, str]:
        """Note a task; returns the hashes that stand for its targets. ValueError: a target is no identity."""
        hashed: dict[bytes, str] = {}
        for target in task.targets:
            forms = self._hasher.of_uri(target)
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
        self._tasks.pop(xid, None)
        self._roles.pop(xid, None)
        for form in [form for form, tasks in self._targets.items() if xid in tasks]:
            del self._targets[form][xid]
            if not self._targets[form]:
                del self._targets[form]
        subjects = [subject for subject, watched in self._subjects.items() if xid in watched]
        for subject in subjects:
            self._release_one(subject, xid)
        return subjects

    @property
    def armed(self) -> bool:
        return bool(self._targets)

    def matches(
        self, identities: Iterable[tuple[bytes, Match]], diverting: frozenset[bytes] = frozenset()
    ) -> Iterator[Watched]:
        """Tasks that one of the hashed identities is a target of, in the part that the task asks for."""
        if not self._targets:
            return
        for hashed, match in identities:
            for xid, target in self._targets.get(hashed, {}).items():
                role = self._roles.get(xid)
                if role is None or _plays(role, hashed, match, diverting):
                    yield Watched(xid, target, match.side)

    def start(self, subject: Subject, watched: Watched) -> bool:
        """Intercept ``subject``; False when that task already does."""
        under = self._subjects.setdefault(subject, {})
        if watched.xid in under:
            return False
        under[watched.xid] = watched
        return True

    def follows(self, subject: Subject) -> bool:
        """Whether ``subject`` is intercepted under any task."""
        return subject in self._subjects

    def under(self, subject: Subject) -> tuple[Watched, ...]:
        return tuple(self._subjects.get(subject, {}).values())

    def release(self, subject: Subject) -> tuple[Watched, ...]:
        """The subject is over."""
        return tuple(self._subjects.pop(subject, {}).values())

    def _release_one(self, subject: Subject, xid: str) -> None:
        under = self._subjects[subject]
        del under[xid]
        if not under:
            del self._subjects[subject]

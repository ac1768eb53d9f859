"""What roles say of one thing, beside each other: each writes for itself, under the same digests.

A POI that taps what no DF was told of, a KMS that gives what nobody has asked for: in Athens such a thing stood in no
log, because there was one alone, under the hand of who did it. What is found here was done, or was left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from midcall.audit.lines import Entry
from midcall.base.audit_link.values import Act, Outcome, Phase, Role


class Remark(Struct, frozen=True):
    """An entry that the others do not bear out."""

    n: int
    reason: str


class _Rule(Struct, frozen=True):
    """An entry of a role needs one of another kind before it, on the same object."""

    role: Role
    act: Act
    needs: Role
    before: Act
    reason: str


RULES = (
    _Rule(
        Role.POI, Act.TASK_ACTIVATE, Role.ADMF, Act.TASK_ACTIVATE, "a task is ordered at the POI, and not by the ADMF"
    ),
    _Rule(Role.DF, Act.TASK_ACTIVATE, Role.ADMF, Act.TASK_ACTIVATE, "a task is ordered at the DF, and not by the ADMF"),
    _Rule(Role.POI, Act.TASK_ARM, Role.POI, Act.TASK_ACTIVATE, "the POI arms a task that nobody has activated there"),
    _Rule(Role.DF, Act.TASK_ARM, Role.DF, Act.TASK_ACTIVATE, "the DF arms a task that nobody has activated there"),
    _Rule(Role.POI, Act.TASK_ARM, Role.DF, Act.TASK_ARM, "the POI arms a task that the DF has not"),
    _Rule(Role.DF, Act.KEYS_ASK, Role.DF, Act.TASK_ARM, "the DF asks for keys of a task that is not armed there"),
    _Rule(Role.KMS, Act.KEYS_GIVE, Role.DF, Act.KEYS_ASK, "the KMS gives keys that the DF has not asked for"),
)
UNSIGNED = "a task is armed without a warrant"
UNKNOWN = "nobody knows how it ended: who did it was started again"


class Review:
    """Entries in their order; ``remarks`` at the end. Roles that are not in the log are not missed."""

    def __init__(self) -> None:
        self._roles: set[Role] = set()
        self._seen: set[tuple[Role, Act, str]] = set()
        self._kept: list[tuple[Remark, Role | None]] = []

    def entry(self, entry: Entry, _leaf: bytes = b"") -> None:
        """For ``Checker``."""
        self._roles.add(entry.role)
        if entry.outcome is Outcome.UNKNOWN:
            of = entry.n if entry.of is None else entry.of
            self._kept.append((Remark(of, UNKNOWN), None))
        if not entry.object or entry.phase is Phase.OUTCOME or entry.outcome is Outcome.REFUSED:
            return
        for rule in RULES:
            known = (rule.needs, rule.before, entry.object) in self._seen
            if (rule.role, rule.act) == (entry.role, entry.act) and not known:
                self._kept.append((Remark(entry.n, rule.reason), rule.needs))
        if entry.act is Act.TASK_ARM and not entry.warrant:
            self._kept.append((Remark(entry.n, UNSIGNED), None))
        self._seen.add((entry.role, entry.act, entry.object))

    def remarks(self) -> Iterator[Remark]:
        """In the order of entries."""
        found = (remark for remark, needs in self._kept if needs is None or needs in self._roles)
        yield from sorted(found, key=lambda each: each.n)

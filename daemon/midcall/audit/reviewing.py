"""What roles say of one thing, beside each other: each writes for itself, under the same digests.

A POI that taps what no DF was told of, a KMS that gives what nobody has asked for: in Athens such a thing stood in no
log, because there was one alone, under the hand of who did it. What is found here was done, or was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from midcall.audit.lines import Entry
from midcall.base.audit_link.values import Act, Outcome, Phase, Role
from midcall.base.warrant.clock import SLEW, TOLERANCE

SLACK_NS = 10_000_000_000
"""How long after its outcome an order, or a question, may still have an echo elsewhere: who asked may have given up."""


SKEW_NS = 5_000_000_000
"""How far apart the clocks of two hosts, each with a log of its own, may be."""


class Remark(Struct, frozen=True, omit_defaults=True):
    """An entry that the others do not bear out; ``log``: of which of the logs, from 0."""

    n: int
    reason: str
    log: int = 0


class _Rule(Struct, frozen=True):
    """An entry of a role needs one of another kind before it, on the same object; with ``open`` one that is being done
    at that moment: what was ordered or asked once is no leave to do it again.
    """

    role: Role
    act: Act
    needs: Role
    before: Act
    reason: str
    open: bool = False


_AT_POI, _AT_DF = (
    "a task is ordered at the POI, and not by the ADMF",
    "a task is ordered at the DF, and not by the ADMF",
)
RULES = (
    _Rule(Role.POI, Act.TASK_ACTIVATE, Role.ADMF, Act.TASK_ACTIVATE, _AT_POI, open=True),
    _Rule(Role.DF, Act.TASK_ACTIVATE, Role.ADMF, Act.TASK_ACTIVATE, _AT_DF, open=True),
    _Rule(Role.POI, Act.TASK_MODIFY, Role.ADMF, Act.TASK_MODIFY, _AT_POI, open=True),
    _Rule(Role.DF, Act.TASK_MODIFY, Role.ADMF, Act.TASK_MODIFY, _AT_DF, open=True),
    _Rule(Role.POI, Act.TASK_ARM, Role.POI, Act.TASK_ACTIVATE, "the POI arms a task that nobody has activated there"),
    _Rule(Role.DF, Act.TASK_ARM, Role.DF, Act.TASK_ACTIVATE, "the DF arms a task that nobody has activated there"),
    _Rule(Role.POI, Act.TASK_ARM, Role.DF, Act.TASK_ARM, "the POI arms a task that the DF has not"),
    _Rule(Role.DF, Act.KEYS_ASK, Role.DF, Act.TASK_ARM, "the DF asks for keys of a task that is not armed there"),
    _Rule(
        Role.KMS, Act.KEYS_GIVE, Role.DF, Act.KEYS_ASK, "the KMS gives keys that the DF has not asked for", open=True
    ),
)
_ORDERS = tuple(rule for rule in RULES if rule.needs is Role.ADMF)
"""What was refused was given all the same: by the ADMF, or by who has its certificate."""
_OPENS = frozenset((rule.needs, rule.before) for rule in RULES if rule.open)
_ENDS = (Act.TASK_DEACTIVATE, Act.TASK_DEACTIVATE_ALL)
_ENDED = frozenset({Act.TASK_ACTIVATE, Act.TASK_ARM})
"""What has to come again after an element was told that a task has ended."""
ALONE = "the ADMF orders a task under a warrant that no administrator has activated"
UNWRITTEN = "more elements have carried out this order than have written it: one works without its audit"
CLOCK = "the clock of this host was set: by it windows of time begin and end"
UNSIGNED = "a task is armed without a warrant"
UNKNOWN = "nobody knows how it ended: who did it was started again"
REASONS = tuple(dict.fromkeys((*(rule.reason for rule in RULES), ALONE, UNWRITTEN, CLOCK, UNSIGNED, UNKNOWN)))
"""In the order of their numbers, from 1, in what the audit writes of them; more are put at the end."""


class Review:
    """Entries in their order; ``remarks`` at the end. Roles that are not in the log are not missed.

    ``skew``: how much (ns) later than what an entry needs the end of that may have been noted.
    """

    def __init__(self, skew: int = 0) -> None:
        self._skew = skew
        self._gone: dict[tuple[Role, Act, str], int] = {}
        self._roles: set[Role] = set()
        self._seen: set[tuple[Role, Act, str]] = set()
        self._open: dict[tuple[Role, Act, str], int] = {}
        self._closed: dict[tuple[Role, Act, str], int] = {}
        self._intents: dict[tuple[int, int], tuple[Role, Act, str]] = {}
        self._activated: set[str] = set()
        self._clocks: dict[int, Entry] = {}
        self._orders: dict[tuple[int, int], Entry] = {}
        self._carried_out: dict[str, dict[str, Remark]] = {}
        self._writers: dict[str, set[str]] = {}
        self._activates = False
        self._kept: list[tuple[Remark, Role | None]] = []

    @property
    def size(self) -> int:
        """How much is remembered: an entry has a few of these at most."""
        tables = (self._gone, self._seen, self._open, self._closed, self._intents, self._activated)
        return sum(map(len, tables)) + len(self._orders) + len(self._carried_out) + len(self._writers) + len(self._kept)

    def entry(self, entry: Entry, _leaf: bytes = b"") -> None:
        """For ``Checker``, of one log."""
        self.weigh(entry)
        self.note(entry)

    def weigh(self, entry: Entry, log: int = 0) -> None:
        """Whether what was noted until now bears it out."""
        if entry.phase is Phase.OUTCOME or not entry.object:
            return
        for rule in _ORDERS if entry.outcome is Outcome.REFUSED else RULES:
            if (rule.role, rule.act) == (entry.role, entry.act) and not self._bears_out(rule, entry):
                self._kept.append((Remark(entry.n, rule.reason, log), rule.needs))

    def note(self, entry: Entry, log: int = 0) -> None:
        """What it says, for others, and by itself."""
        self._look_at_clock(entry, log)
        self._roles.add(entry.role)
        # What was to be destroyed when a POI was killed its next run announces, and destroys.
        if entry.outcome is Outcome.UNKNOWN and entry.act is not Act.KEYS_DESTROY:
            of = entry.n if entry.of is None else entry.of
            self._kept.append((Remark(of, UNKNOWN, log), None))
        if entry.phase is Phase.OUTCOME:
            self._over(entry, log)
            return
        if not entry.object or entry.outcome is Outcome.REFUSED:
            return
        ordered = entry.warrant if (entry.role, entry.act) == (Role.ADMF, Act.TASK_ACTIVATE) else ""
        if ordered and self._activates and ordered not in self._activated:
            self._kept.append((Remark(entry.n, ALONE, log), None))
        if entry.act is Act.TASK_ARM and not entry.warrant:
            self._kept.append((Remark(entry.n, UNSIGNED, log), None))
        if entry.act is Act.TASK_ACTIVATE:
            if entry.role is Role.ADMF:
                self._orders[log, entry.n] = entry
            else:
                self._writers.setdefault(entry.object, set()).add(entry.run)
        key = entry.role, entry.act, entry.object
        self._seen.add(key)
        if entry.phase is Phase.INTENT and key[:2] in _OPENS:
            self._open[key] = self._open.get(key, 0) + 1
            self._intents[log, entry.n] = key

    def _look_at_clock(self, entry: Entry, log: int) -> None:
        """Wall time never goes back, and within one run of the audit goes as the monotonic count does."""
        former = self._clocks.get(log)
        self._clocks[log] = entry
        if former is None:
            return
        passed, counted = entry.wall - former.wall, entry.mono - former.mono
        jumped = entry.boot == former.boot and abs(passed - counted) > TOLERANCE + abs(counted) // SLEW
        if passed < -TOLERANCE or jumped:
            self._kept.append((Remark(entry.n, CLOCK, log), None))

    def _bears_out(self, rule: _Rule, entry: Entry) -> bool:
        key = rule.needs, rule.before, entry.object
        if not rule.open:
            return key in self._seen or entry.wall - self._skew <= self._gone.get(key, -1)
        return key in self._open or abs(entry.wall - self._closed.get(key, -SLACK_NS)) < SLACK_NS

    def _over(self, entry: Entry, log: int) -> None:
        """What was being done has been done; a task that was ended has to be ordered anew."""
        key = None if entry.of is None else self._intents.pop((log, entry.of), None)
        if key is not None:
            self._open[key] -= 1
            self._closed[key] = entry.wall
            if not self._open[key]:
                del self._open[key]
        order = None if entry.of is None else self._orders.pop((log, entry.of), None)
        if order is not None and entry.outcome is Outcome.DONE:
            self._carried_out.setdefault(order.object, {})[order.actor] = Remark(order.n, UNWRITTEN, log)
        if entry.role is Role.ADMF and entry.outcome is Outcome.DONE:
            if entry.act in (Act.WARRANT_ACTIVATE, Act.WARRANT_EXTEND):
                self._activates = True
                self._activated.add(entry.object)
            elif entry.act is Act.WARRANT_REVOKE:
                self._activated.discard(entry.object)
        if entry.act in _ENDS and entry.role is not Role.ADMF:
            gone: set[tuple[Role, Act, str]] = {(entry.role, act, entry.object) for act in _ENDED}
            if entry.act is Act.TASK_DEACTIVATE_ALL:
                gone = {each for each in self._seen if each[0] is entry.role and each[1] in _ENDED}
            self._seen -= gone
            if self._skew:
                self._gone.update(dict.fromkeys(gone, entry.wall))

    def remarks(self) -> Iterator[Remark]:
        """In the order of entries."""
        found = [remark for remark, needs in self._kept if needs is None or needs in self._roles]
        if {Role.POI, Role.DF} <= self._roles:
            for subject, elements in self._carried_out.items():
                if len(elements) > len(self._writers.get(subject, ())):
                    found.append(max(elements.values(), key=lambda each: each.n))
        yield from sorted(found, key=lambda each: (each.log, each.n))


def joined(logs: Sequence[Iterable[Entry]]) -> list[Remark]:
    """What the logs of several hosts say beside each other: each entry is weighed by what was noted anywhere until a
    little after it, since it is their clocks that say what was first."""
    steps: list[tuple[int, int, int, Entry]] = []
    for log, entries in enumerate(logs):
        latest = 0
        for entry in entries:
            # Within one log the order is sure, whatever its clock did.
            latest = max(latest, entry.wall)
            steps += [(latest, 0, log, entry), (latest + SKEW_NS, 1, log, entry)]
    review = Review(2 * SKEW_NS)
    for _, weighs, log, entry in sorted(steps, key=lambda each: each[:2]):
        (review.weigh if weighs else review.note)(entry, log)
    return list(review.remarks())

"""An ADMF, a POI and a DF as cores in memory, with a network that a test breaks and a clock that it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imswire import x1
from midcall.admf.book import Limits
from midcall.admf.core import Act, Admf, Changes, Memory
from midcall.admf.link import Ask
from midcall.admf.plan import At
from midcall.admf.reconcile import Keep
from midcall.admf.roles import Person, Role
from midcall.admf.values import Alarm, AlarmKind, Record
from midcall.base.warrant import Revocation, TrustList, Warrant, envelope
from midcall.base.x1_element import Step
from midcall.events import Instant
from tests.midcall import warrants
from tests.midcall.admf.lab import draft, signature
from tests.midcall.base.x1_element import world as x1_world

LEA, LEO = Person("Lea", Role.ADMINISTRATOR), Person("Leo", Role.ADMINISTRATOR)
ANN, BEN = Person("Ann", Role.APPROVER), Person("Ben", Role.APPROVER)
POI, DF = x1_world.NE, x1_world.DF
SECOND = 10**9


def x2_of(ne: str) -> str:
    """Where a DF that shares tasks takes X2."""
    return f"{ne}.example.com:9992"


class Disk:
    """What the ADMF has kept."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.keeps: dict[tuple[str, str], Keep] = {}
        self.alarms: dict[object, Alarm] = {}
        self.activations: tuple[int, ...] = ()

    def keep(self, changes: Changes) -> None:
        self.records.update((each.id, each) for each in changes.records)
        self.records = {name: each for name, each in self.records.items() if not each.is_nothing}
        for keep in changes.keeps:
            self.keeps[keep.ne, keep.xid] = keep
            if keep.digest is None and not keep.lost:
                del self.keeps[keep.ne, keep.xid]
        for key, alarm in changes.alarms:
            self.alarms.pop(key, None)
            if alarm is not None:
                self.alarms[key] = alarm

    def memory(self) -> Memory:
        return Memory(
            tuple(self.records.values()), self.activations, tuple(self.keeps.values()), tuple(self.alarms.values())
        )


class World:
    """``down``: elements that cannot be reached; ``deaf``: those that hear, and whose answers are lost.

    ``shared``: DFs that share tasks, by identifier their name in warrants, in place of the one.
    """

    def __init__(self, trust: TrustList | None = None, limits: Limits | None = None, **changed: Any) -> None:
        self.now = changed.pop("now", None) or warrants.at()
        self.read_every = changed.pop("read_every", 60 * SECOND)
        self.trust = trust or warrants.trust()
        self.limits = limits or Limits()
        self.shared: dict[str, str] = changed.pop("shared", {})
        self.elements = {
            ne: x1_world.World(x1_world.df_settings(**{"ne": ne, "element": name} | changed), self.now)
            for ne, name in (self.shared or {DF: DF}).items()
        } | {
            POI: x1_world.World(x1_world.settings(**changed), self.now),
        }
        self.down: set[str] = set()
        self.deaf: set[str] = set()
        self.disk = Disk()
        self.steps: list[tuple[str, str]] = []
        self.told: Callable[[str, Step], None] = lambda _ne, _step: None
        self.begin()

    def begin(self) -> None:
        shared = tuple(At("df", ne, f"https://{ne}:1", x2_of(ne), name) for ne, name in self.shared.items())
        at = (
            *(shared or (At("df", DF, "https://df:1", "", DF),)),
            At("poi", POI, "https://poi:1", "" if shared else "192.0.2.9:9992", POI),
        )
        memory = self.disk.memory()
        self.core = Admf(at, self.trust, self.limits, self.now, memory, read_every=self.read_every)

    def restart(self) -> None:
        """What was not kept is gone."""
        self.keep()
        self.begin()

    def keep(self) -> None:
        self.disk.keep(self.core.changes())
        self.disk.activations = self.core.book.activations

    # Time and network

    def go(self, ns: int, mono: int | None = None) -> None:
        self.now = Instant(self.now.wall + ns, self.now.mono + (ns if mono is None else mono))
        for ne, element in self.elements.items():
            element.now = self.now
            self.told(ne, element.look())
        self.core.deadline(self.now)

    def step(self, ne: str) -> Ask | None:
        """One request and its answer, if there is something to be asked."""
        ask = self.core.next(ne, self.now)
        if ask is None:
            return None
        self.steps.append((ne, ask.kind.__name__.removesuffix("Request")))
        if ne in self.down:
            self.core.unreachable(ne, "no answer", self.now)
            return ask
        element = self.elements[ne]
        element.now = self.now
        self.told(ne, element.look())
        done = element.ask(ask.kind, *ask.members)
        self.told(ne, done)
        assert done.response is not None
        if ne in self.deaf:
            self.core.unreachable(ne, "no answer", self.now)
        else:
            # Through the octets, as on the wire.
            (response,) = x1.parse_response(x1.build_response([done.response]))
            assert isinstance(response, x1.Response)
            self.core.answered(ne, ask, response, self.now)
        return ask

    def settle(self, most: int = 500) -> None:
        """Until nobody is to be asked anything now."""
        for _ in range(most):
            asked = [ne for ne in self.elements if self.step(ne) is not None]
            self.keep()
            if not asked:
                return
        raise AssertionError("it never comes to an end")

    def minute(self) -> None:
        """Reconciliation."""
        self.go(60 * SECOND)
        self.settle()

    # People

    def enter(self, act: Act, *, activates: bool = False) -> Act:
        self.core.enter(act, self.now)
        if activates and not act.record.asked:
            self.core.restore(act.record.id, self.now)
        self.keep()
        return act

    def draft(self, signed: Warrant | Revocation, person: Person = LEA) -> Act:
        return self.enter(self.core.draft(draft(signed), person, self.now))

    def approve(self, signed: Warrant | Revocation, person: Person, key: str | None = None) -> Act:
        octets = draft(signed)
        made = signature(octets, key or person.name)
        return self.enter(self.core.approve(signed.id, signed.version, made, person, self.now))

    def approved(self, signed: Warrant | Revocation) -> None:
        self.draft(signed)
        self.approve(signed, ANN)
        self.approve(signed, BEN)

    def activate(self, identifier: str = "W-1", person: Person = LEA) -> Act:
        act = self.core.activate(identifier, person, self.now)
        return self.enter(act, activates=True)

    def active(self, signed: Warrant | None = None) -> Warrant:
        signed = signed or warrants.make()
        self.approved(signed)
        self.activate(signed.id)
        self.settle()
        return signed

    def revoke(self, identifier: str = "W-1") -> Act:
        return self.enter(self.core.revoke(identifier))

    # What there is

    def held(self, ne: str) -> set[str]:
        return set(self.elements[ne].element.tasks)

    def armed(self, ne: str) -> set[str]:
        return set(self.elements[ne].element.orders)

    def alarms(self) -> set[tuple[AlarmKind, str, str]]:
        return {(each.kind, each.element, each.subject) for each in self.core.alarms.standing}

    def kinds(self) -> list[str]:
        """What was asked, but to read."""
        return [f"{ne} {kind}" for ne, kind in self.steps if kind not in ("GetAllDetails", "Keepalive")]

    def file(self, identifier: str = "W-1") -> bytes:
        """A warrant's file as it stands in the book."""
        record = self.core.book.records[identifier]
        paper = record.paper(record.last)
        assert paper is not None
        assert envelope.read(paper.octets)
        return paper.octets

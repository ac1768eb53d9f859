"""People, X1, calls, clocks, crashes and thieves in any order, on the cores in memory, against a small model.

No product without a task that is armed at POI and DF. No armed task without a warrant that holds. What an element has
acknowledged it holds exactly as it was ordered. And when all are well again, armed is what people have activated.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from imswire import x1
from midcall.admf.link import Ask
from midcall.admf.values import Denied, Status
from midcall.base import warrant as verifier
from midcall.base.warrant import Revocation, Verified, Warrant
from midcall.base.x1_element import Armed, Changed, Disarmed, Step
from midcall.config import Network, Profile
from midcall.df2 import Agency, Communications, IriMediation
from midcall.events import SipSeen, Terms, X2Event
from midcall.poi import PointOfInterception
from tests.midcall import warrants
from tests.midcall.admf.world import ANN, BEN, DF, LEA, LEO, POI, SECOND, World
from tests.midcall.base.x1_element.world import PEER, place

HOUR = 3_600 * SECOND
IDS = ("W-1", "W-2")
XIDS = {"W-1": warrants.XID, "W-2": warrants.OTHER_XID}
TARGET = "sip:alice@example.com"
"""Of both: two agencies that do not know of each other."""
ends = ("2026-07-02T02:00:00Z", "2026-07-02T06:00:00Z", "2026-07-04T00:00:00Z")
starts = ("2026-07-01T00:00:00Z", "2026-07-02T01:00:00Z")


def drawn(identifier: str, version: int, start: str, end: str) -> Warrant:
    targets = [{"liid": f"L-{identifier}", "xid": XIDS[identifier], "identity": TARGET}]
    supersedes = version - 1 if version > 1 else None
    changed = {"id": identifier, "version": version, "supersedes": supersedes, "targets": targets}
    return warrants.make(**changed, start=start, end=end)


class Function:
    """What POI and DF do with what X1 says: copies of SIP in, records for agencies out."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.poi_begins()
        self.df_begins()

    def poi_begins(self) -> None:
        self.poi = PointOfInterception(bytes(32), bytes(32))

    def df_begins(self) -> None:
        self.iri = IriMediation(Communications())
        self.terms: dict[str, Terms] = {}

    def told(self, ne: str, step: Step) -> None:
        for each in step.follows:
            (self.at_poi if ne == POI else self.at_df)(each)

    def at_poi(self, each: object) -> None:
        now = self.machine.world.now
        if isinstance(each, Armed):
            self.events(self.poi.arm(each.order.task, now))
        elif isinstance(each, Changed):
            one, other = each.order.task, each.former.task
            if structs.replace(one, start=other.start, end=other.end) != other:
                self.events(self.poi.disarm(other.xid, now))
                self.events(self.poi.arm(one, now))
        elif isinstance(each, Disarmed):
            self.events(self.poi.disarm(each.xid, each.at or now))

    def at_df(self, each: object) -> None:
        if isinstance(each, Armed | Changed):
            terms = each.order.mediated[0].terms
            self.terms[each.order.task.xid] = terms
            self.iri.order(each.order.task.xid, Agency(terms, Profile(), Network()))
        elif isinstance(each, Disarmed):
            self.terms.pop(each.xid, None)

    def seen(self, octets: bytes) -> None:
        self.events(self.poi.sip_seen(SipSeen(octets, "192.0.2.1:5060", "192.0.2.2:5060", self.machine.world.now)))

    def events(self, events: list[X2Event]) -> None:
        for each in events:
            terms = self.terms.get(each.xid)
            if terms is None:
                continue
            for record in self.iri.x2(each):
                self.machine.product(each.xid, terms, record.at)


def message(method: str, call: int, status: str = "") -> bytes:
    first = f"SIP/2.0 {status}" if status else f"{method} sip:bob@example.com SIP/2.0"
    tag = ";tag=b" if status or method in ("ACK", "BYE") else ""
    lines = [
        first,
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call}{method}",
        f"From: <{TARGET}>;tag=a{call}",
        f"To: <sip:bob@example.com>{tag}",
        f"Call-ID: {call}@192.0.2.1",
        f"CSeq: {2 if method == 'BYE' else 1} {method}",
        "Contact: <sip:x@192.0.2.1>",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Machine(RuleBasedStateMachine):
    """The model: what people have approved (``papers``), activated (``ordered``) and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.papers: dict[str, list[Warrant]] = {each: [] for each in IDS}
        self.ordered: dict[str, set[int]] = {each: set() for each in IDS}
        self.suspended: set[str] = set()
        self.over: set[str] = set()
        self.calls = 0
        self.jumped = False
        self.acknowledged: dict[tuple[str, str], x1.TaskDetails] = {}
        self.products: list[int] = []
        """When each record for an agency says that it happened."""

    @initialize(end=st.sampled_from(ends))
    def begin(self, end: str) -> None:
        self.world = World(fail_safe=False)
        self.function = Function(self)
        self.world.told = self.function.told
        self.approve("W-1", starts[0], end)
        self.activate("W-1", LEA)
        self.world.settle()

    # People

    @rule(identifier=st.sampled_from(IDS), start=st.sampled_from(starts), end=st.sampled_from(ends))
    def approve(self, identifier: str, start: str, end: str) -> None:
        """The next version, by two."""
        known = self.world.core.book.records.get(identifier)
        version = 1 if known is None or known.known is None else known.known.version + 1
        signed = drawn(identifier, version, start, end)
        try:
            self.world.approved(signed)
        except Denied as denied:
            assert denied.code == "ended", denied.code
            return
        self.papers[identifier].append(signed)

    @rule(identifier=st.sampled_from(IDS))
    def approve_alone(self, identifier: str) -> None:
        known = self.world.core.book.records.get(identifier)
        version = 1 if known is None or known.known is None else known.known.version + 1
        signed = drawn(identifier, version, starts[0], ends[2])
        try:
            self.world.draft(signed)
            self.world.approve(signed, ANN)
            self.world.approve(signed, ANN)
        except Denied as denied:
            assert denied.code in ("twice", "ended"), denied.code

    @rule(identifier=st.sampled_from(IDS), person=st.sampled_from((LEA, LEO)))
    def activate(self, identifier: str, person: Any) -> None:
        try:
            self.world.activate(identifier, person)
        except Denied as denied:
            assert denied.code in ("unknown", "ended", "approvals", "clock"), denied.code
            return
        self.suspended.discard(identifier)
        self.ordered[identifier].add(self.papers[identifier][-1].version)

    @rule(identifier=st.sampled_from(IDS))
    def end_tasks(self, identifier: str) -> None:
        try:
            self.world.revoke(identifier)
        except Denied:
            return
        self.suspended.add(identifier)

    @rule(identifier=st.sampled_from(IDS), alone=st.booleans())
    def revoke(self, identifier: str, alone: bool) -> None:
        record = self.world.core.book.records.get(identifier)
        if record is None or record.known is None:
            return
        version = record.known.version + 1
        signed = Revocation(id=identifier, version=version, supersedes=version - 1, reference="x")
        try:
            self.world.draft(signed)
            self.world.approve(signed, ANN)
            if not alone:
                self.world.approve(signed, BEN)
                self.over.add(identifier)
        except Denied as denied:
            assert denied.code in ("ended", "twice"), denied.code

    # Network, crashes, time

    @rule(ne=st.sampled_from((POI, DF)), count=st.integers(1, 4))
    def steps(self, ne: str, count: int) -> None:
        for _ in range(count):
            self.asked(ne, self.world.step(ne))

    def asked(self, ne: str, ask: Ask | None) -> None:
        """What was acknowledged."""
        if ask is None or ne in self.world.down | self.world.deaf:
            return
        link = self.world.core.links[ne]
        if ask.kind in (x1.ActivateTaskRequest, x1.ModifyTaskRequest) and link.held is not None:
            (details,) = ask.members
            if link.held.get(details.xid) == details:
                self.acknowledged[ne, details.xid] = details
        elif ask.kind is x1.DeactivateTaskRequest:
            self.acknowledged.pop((ne, ask.subject), None)

    @rule(down=st.sets(st.sampled_from((POI, DF))), deaf=st.sets(st.sampled_from((POI, DF))))
    def network(self, down: set[str], deaf: set[str]) -> None:
        self.world.down, self.world.deaf = down, deaf

    @rule(kept=st.booleans())
    def admf_crashes(self, kept: bool) -> None:
        if kept:
            self.world.keep()
        self.world.begin()

    @rule(ne=st.sampled_from((POI, DF)))
    def element_crashes(self, ne: str) -> None:
        (self.function.poi_begins if ne == POI else self.function.df_begins)()
        element = self.world.elements[ne]
        element.now = self.world.now
        self.function.told(ne, element.restart())

    @rule(ns=st.sampled_from((SECOND, 60 * SECOND, HOUR, 3 * HOUR)))
    def wait(self, ns: int) -> None:
        self.world.go(ns)
        self.world.keep()

    @rule(ns=st.sampled_from((-2 * HOUR, -2 * SECOND, 2 * SECOND, HOUR, 4 * HOUR)))
    def jump(self, ns: int) -> None:
        self.world.go(ns, 1_000)
        self.jumped = True

    @rule(identifier=st.sampled_from(IDS), edge=st.sampled_from(("start", "end")), ms=st.sampled_from((-1, 0, 1)))
    def at_an_edge(self, identifier: str, edge: str, ms: int) -> None:
        """A millisecond before a window begins or ends, at that moment, a millisecond after."""
        for warrant in self.papers[identifier]:
            moment = warrant.start_ns if edge == "start" else warrant.end_ns
            ahead = moment + ms * 1_000_000 - self.world.now.wall
            if 0 <= ahead < 8 * HOUR:
                self.world.go(ahead)
        self.say("MESSAGE")

    # Thieves

    @rule(ne=st.sampled_from((POI, DF)), identifier=st.sampled_from(IDS), half=st.booleans())
    def stolen_certificate(self, ne: str, identifier: str, half: bool) -> None:
        """Somebody orders as the ADMF does, with whatever file he has found."""
        element = self.world.elements[ne]
        element.now = self.world.now
        self.function.told(ne, element.look())
        for warrant in self.papers[identifier][-2:]:
            octets = warrants.signed(warrant, *(("Ann",) if half else ("Ann", "Ben")))
            details = x1.TaskDetails(
                XIDS[identifier],
                (x1.SipUri(TARGET),),
                x1.DeliveryType.X2_ONLY,
                x1.ListOfDids(tuple(each.did for each in element.element.destinations[:1])),
                extensions=(x1.warrant_extension(octets),),
            )
            self.function.told(ne, element.send(x1.ActivateTaskRequest(element.header(), details), PEER))

    @rule(ne=st.sampled_from((POI, DF)), identifier=st.sampled_from(IDS))
    def stolen_certificate_ends(self, ne: str, identifier: str) -> None:
        element = self.world.elements[ne]
        element.now = self.world.now
        self.function.told(ne, element.look())
        self.function.told(ne, element.send(x1.DeactivateTaskRequest(element.header(), XIDS[identifier]), PEER))
        self.acknowledged.pop((ne, XIDS[identifier]), None)

    @rule(port=st.integers(9_001, 9_003))
    def stolen_certificate_redirects(self, port: int) -> None:
        element = self.world.elements[POI]
        for each in element.element.destinations[:1]:
            element.now = self.world.now
            self.function.told(POI, element.look())
            request = x1.ModifyDestinationRequest(element.header(), place(each.did, port=port))
            self.function.told(POI, element.send(request, PEER))

    # Calls

    @rule(method=st.sampled_from(("MESSAGE", "INVITE", "OPTIONS")))
    def say(self, method: str) -> None:
        self.looked()
        self.calls += 1
        self.function.seen(message(method, self.calls))
        if method == "INVITE":
            self.function.seen(message("INVITE", self.calls, "200 OK"))

    @precondition(lambda self: self.calls)
    @rule()
    def hang_up(self) -> None:
        self.looked()
        self.function.seen(message("BYE", self.calls))

    def looked(self) -> None:
        """Elements look at their clocks before anything later is done."""
        for ne, element in self.world.elements.items():
            element.now = self.world.now
            self.function.told(ne, element.look())

    # What always holds

    def product(self, xid: str, terms: Terms, at: int) -> None:
        """A record for an agency."""
        orders = [element.element.orders.get(xid) for element in self.world.elements.values()]
        assert all(each is not None for each in orders), "product of a task that is not armed"
        assert terms.start is not None and terms.end is not None
        assert terms.start <= at < terms.end, "outside of the window"
        self.products.append(at)

    @invariant()
    def armed_is_under_a_warrant_that_holds(self) -> None:
        for element in self.world.elements.values():
            self.looked()
            for xid, armed in element.element.orders.items():
                octets = armed.order.warrant
                assert octets is not None
                outcome = verifier.verify(octets, warrants.trust(), self.world.now, element.settings.element, {})
                assert isinstance(outcome, Verified) and outcome.warrant.target(xid) is not None
                assert outcome.warrant in self.papers[outcome.warrant.id], "never approved by two"

    @invariant()
    def what_was_acknowledged_is_held_as_ordered(self) -> None:
        for (ne, xid), details in self.acknowledged.items():
            held = self.world.elements[ne].element.tasks.get(xid)
            assert held is not None and held.details == details

    @rule()
    def all_is_well_again(self) -> None:
        """Everybody can be reached, and a minute passes twice: armed is what people have activated, and not more."""
        self.world.down, self.world.deaf = set(), set()
        for _ in range(3):
            self.world.go(61 * SECOND)
            for _ in range(200):
                asked = [(ne, self.world.step(ne)) for ne in self.world.elements]
                for ne, ask in asked:
                    self.asked(ne, ask)
                self.world.keep()
                if not any(ask for _, ask in asked):
                    break
            else:
                raise AssertionError("it never comes to an end")
        allowed = {XIDS[each] for each in IDS if self.is_due(each)}
        for ne in (POI, DF):
            assert self.world.armed(ne) <= allowed, "armed, and nobody has activated it"
        wronged = {subject for kind, _, subject in self.world.alarms() if subject}
        if not self.jumped and not wronged:
            assert self.world.armed(POI) == self.world.armed(DF) == allowed
            for identifier in IDS:
                if XIDS[identifier] in allowed:
                    assert self.world.core.status(identifier) is Status.ACTIVE

    def is_due(self, identifier: str) -> bool:
        now = self.world.now.wall
        ordered = [each for each in self.papers[identifier] if each.version in self.ordered[identifier]]
        inside = any(each.start_ns <= now < each.end_ns for each in ordered)
        return inside and identifier not in self.suspended | self.over


long = bool(os.environ.get("MIDCALL_PROOF"))
TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=500 if long else 6,
    stateful_step_count=50 if long else 15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

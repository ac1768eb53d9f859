"""An element of X1, its ADMF's messages and a clock for tests."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from msgspec import structs

from imswire import x1
from imswire.x1 import DeliveryType, ListOfDids, MediationDeliveryType
from midcall.base.x1_element import Armed, Changed, Disarmed, Element, Held, Peer, Settings, State, Step
from midcall.base.x1_element.values import (
    Change,
    DropDestination,
    DropTask,
    KeepDestination,
    KeepKnown,
    KeepPlaced,
    KeepStops,
    KeepTask,
    Kept,
    Memory,
)
from midcall.events import Instant
from tests.midcall import warrants

ADMF, NE, DF = "admf-1", "poi-1", "df2-1"
PEER = Peer(frozenset((ADMF,)))
XID, OTHER_XID = warrants.XID, warrants.OTHER_XID
DID, OTHER_DID = "0d000000-0000-4000-8000-000000000001", "0d000000-0000-4000-8000-000000000002"
ALICE = "sip:alice@example.com"
MS, SECOND, DAY = 10**6, 10**9, 86_400 * 10**9
X2 = DeliveryType.X2_ONLY


def settings(**changed: Any) -> Settings:
    return Settings(**{"role": "poi", "ne": NE, "admf": ADMF, "element": NE} | changed)


def df_settings(**changed: Any) -> Settings:
    return settings(**{"role": "df", "ne": DF, "element": DF} | changed)


def signed(*names: str, **changed: Any) -> bytes:
    return warrants.signed(warrants.make(**changed), *names)


def extended(octets: bytes | None) -> tuple[x1.Extension, ...]:
    return () if octets is None else (x1.warrant_extension(octets),)


def task(octets: bytes | None = None, **changed: Any) -> x1.TaskDetails:
    """A task under a warrant; ``octets`` b"": under none."""
    warrant = signed() if octets is None else octets or None
    given: dict[str, Any] = {
        "xid": XID,
        "targets": (x1.Impu(ALICE),),
        "delivery": X2,
        "destinations": ListOfDids((DID,)),
        "extensions": extended(warrant),
    }
    return x1.TaskDetails(**given | changed)


def mediation(liid: str = "LI-1", **changed: Any) -> x1.MediationDetails:
    return x1.MediationDetails(**{"liid": liid, "delivery": MediationDeliveryType.HI2_AND_HI3} | changed)


def place(did: str = DID, host: str = "192.0.2.1", port: int = 7443, **changed: Any) -> x1.DestinationDetails:
    address = x1.IpAddressAndPort(ip_address(host), x1.TcpPort(port))
    given: dict[str, Any] = {"did": did, "delivery": DeliveryType.X2_AND_X3, "address": address}
    return x1.DestinationDetails(**given | changed)


def lemf(did: str = DID, **changed: Any) -> x1.DestinationDetails:
    """The destination of the warrants of tests."""
    return place(did, **{"address": x1.Uri("tls://lemf.example.com:7443")} | changed)


class World:
    """Core and disk. ``now`` moves when a test says so; every step is kept, applied and written down."""

    def __init__(self, given: Settings | None = None, now: Instant | None = None, **changed: Any) -> None:
        self.settings = given or settings(**changed)
        self.now = now or warrants.at()
        self.disk = Disk()
        self.trust = warrants.trust()
        self.numbers: Iterator[int] = iter(range(1, 1 << 30))
        self.begin(Memory(heard=self.now.wall))

    def begin(self, memory: Memory) -> Step:
        self.element = Element(self.settings, self.trust, self.now, memory)
        step = self.element.restore(self.now)
        self.disk.keep(step.changes)
        return step

    def restart(self, **changed: Any) -> Step:
        self.settings = structs.replace(self.settings, **changed)
        return self.begin(self.disk.memory(self.element.heard.wall))

    def go(self, ns: int, mono: int | None = None) -> Step:
        """Time passes, on both clocks alike unless it is said otherwise."""
        self.now = Instant(self.now.wall + ns, self.now.mono + (ns if mono is None else mono))
        return self.look()

    def look(self) -> Step:
        step = self.element.deadline(self.now)
        self.disk.keep(step.changes)
        return step

    def header(self, **changed: Any) -> x1.Header:
        number = next(self.numbers)
        given: dict[str, Any] = {
            "admf_identifier": ADMF,
            "ne_identifier": self.settings.ne,
            "timestamp": self.now.wall + number * 1_000,
            "version": x1.VERSION,
            "transaction_id": f"{number:08x}-0000-4000-8000-000000000000",
        }
        return x1.Header(**given | changed)

    def send(self, request: x1.Request, peer: Peer = PEER) -> Step:
        step = self.element.ask(request, peer, self.now)
        self.disk.keep(step.changes)
        self.element.apply(step)
        return step

    def ask(self, kind: type[x1.Request], *members: Any, **header: Any) -> Step:
        return self.send(kind(self.header(**header), *members))

    def answer(self, kind: type[x1.Request], *members: Any, **header: Any) -> Any:
        return self.ask(kind, *members, **header).response

    # Shorter

    def destination(self, details: x1.DestinationDetails | None = None) -> None:
        assert ok(self.ask(x1.CreateDestinationRequest, details or self.whereto()))

    def whereto(self, did: str = DID) -> x1.DestinationDetails:
        return lemf(did) if self.settings.mediates else place(did)

    def activate(self, details: x1.TaskDetails | None = None, **header: Any) -> Step:
        if DID not in {each.did for each in self.element.destinations}:
            self.destination()
        return self.ask(x1.ActivateTaskRequest, details or task(), **header)

    def modify(self, details: x1.TaskDetails, **header: Any) -> Step:
        return self.ask(x1.ModifyTaskRequest, details, **header)

    def deactivate(self, xid: str = XID, **header: Any) -> Step:
        return self.ask(x1.DeactivateTaskRequest, xid, **header)

    def state(self, xid: str = XID) -> State:
        return self.held(xid).state

    def held(self, xid: str = XID) -> Held:
        return self.element.tasks[xid]


class Disk:
    """What was to be kept."""

    def __init__(self) -> None:
        self.tasks: dict[str, Held] = {}
        self.destinations: dict[str, Kept] = {}
        self.known: dict[str, Any] = {}
        self.placed: dict[str, bytes] = {}
        self.stops = 0

    def keep(self, changes: tuple[Change, ...]) -> None:
        for each in changes:
            if isinstance(each, KeepTask):
                self.tasks[each.xid] = each.held
            elif isinstance(each, DropTask):
                self.tasks.pop(each.xid, None)
            elif isinstance(each, KeepDestination):
                self.destinations[each.did] = each.kept
            elif isinstance(each, DropDestination):
                self.destinations.pop(each.did, None)
            elif isinstance(each, KeepKnown):
                self.known[each.warrant] = each.known
            elif isinstance(each, KeepPlaced):
                self.placed[each.digest] = each.octets
            elif isinstance(each, KeepStops):
                self.stops = each.stamp

    def memory(self, heard: int) -> Memory:
        bare = tuple(Held(h.details, h.transaction, h.stamp, h.modified, h.modifications) for h in self.tasks.values())
        destinations, placed = tuple(self.destinations.values()), tuple(self.placed.values())
        return Memory(bare, destinations, dict(self.known), placed, self.stops, heard)


def code(step: Step) -> int:
    """Of an error."""
    assert isinstance(step.response, x1.ErrorResponse), step.response
    return step.response.error.code


def text(step: Step) -> str:
    assert isinstance(step.response, x1.ErrorResponse), step.response
    return step.response.error.description


def ok(step: Step) -> bool:
    return isinstance(step.response, x1.Acknowledgement)


def done(step: Step) -> bool:
    return isinstance(step.response, x1.Acknowledgement) and step.response.ok is x1.Ok.COMPLETED


def armed(step: Step) -> list[Armed]:
    return [each for each in step.follows if isinstance(each, Armed)]


def changed(step: Step) -> list[Changed]:
    return [each for each in step.follows if isinstance(each, Changed)]


def disarmed(step: Step) -> list[Disarmed]:
    return [each for each in step.follows if isinstance(each, Disarmed)]

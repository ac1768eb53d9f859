"""What an element holds, against what it is to hold and what it has acknowledged: each difference is told, and the
smaller set wins.

With many tasks only their names are asked for each time, and some of them looked at; all of them in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from imswire import x1
from midcall.admf.plan import At
from midcall.admf.values import AlarmKind

MANY = 1_000
"""Tasks of an element of which not all details are asked for at once: that would take it, and us, too long."""
LOOKED_AT = 300
"""Of so many tasks, each time."""


class Wanted(Struct, frozen=True):
    """A task as it is to be; ``digest``: of the warrant that it stands under, with where a POI is to send it."""

    details: x1.TaskDetails
    destination: x1.DestinationDetails
    digest: str

    def __repr__(self) -> str:
        return "Wanted(...)"


class Keep(Struct, frozen=True):
    """The element has acknowledged a task under the warrant of that digest; None: it holds it no more. ``lost``: it was
    found without it, or with another one, and does not get it again before a person says so."""

    ne: str
    xid: str
    digest: str | None
    lost: bool = False


class Notice(Struct, frozen=True):
    """An alarm, or with ``over`` the end of one."""

    kind: AlarmKind
    subject: str = ""
    detail: str = ""
    over: bool = False


Outcome = Keep | Notice


class Holdings:
    """``held``: tasks by XID, None where the details have not been seen; as a whole None: nothing has been read.

    ``acknowledged`` and ``lost`` are what was kept of it; ``waiting``: acknowledged, and not begun.
    """

    def __init__(self, at: At) -> None:
        self.at = at
        self.acknowledged: dict[str, str] = {}
        self.lost: set[str] = set()
        self.wanted: dict[str, Wanted] = {}
        self.held: dict[str, x1.TaskDetails | None] | None = None
        self.waiting: set[str] = set()
        self.failed: set[str] = set()
        self.destinations: dict[str, x1.DestinationDetails | None] = {}
        self.todo: dict[str, None] = {}
        self.looks: dict[str, None] = {}
        """Tasks whose details are to be asked for."""
        self._turn: list[str] = []

    @property
    def many(self) -> bool:
        return max(len(self.acknowledged), len(self.wanted)) > MANY

    def compare(self, found: x1.GetAllDetailsResponse) -> Iterator[Outcome]:
        """All that it holds."""
        tasks = {each.task.xid: each for each in found.tasks}
        self.held = {xid: each.task for xid, each in tasks.items()}
        places = {each.destination.did: each for each in found.destinations}
        yield from self._places(tuple(places))
        for did, place in places.items():
            yield from self.place(did, place)
        for xid, each in tasks.items():
            yield from self.task(xid, each)
        faults = found.ne.faults
        yield Notice(AlarmKind.FAULT, "", _faults(faults), over=found.ne.status is x1.NeStatus.OK and not faults)
        yield from self._absent()

    def compare_names(self, found: x1.ListAllDetailsResponse) -> Iterator[Outcome]:
        """The names of all that it holds; what is not known of is asked for, and some of the rest."""
        known = self.held or {}
        self.held = {xid: known.get(xid) for xid in found.xids}
        yield from self._places(found.destinations.dids)
        for xid in found.xids:
            if xid not in self.wanted and xid not in self.acknowledged and xid not in self.lost:
                yield Notice(AlarmKind.STRANGE_TASK, xid)
        if not self._turn:
            self._turn = list(self.wanted)
        turn, self._turn = self._turn[:LOOKED_AT], self._turn[LOOKED_AT:]
        self.looks.update(dict.fromkeys(xid for xid in turn if xid in self.held))
        yield from self._absent()

    def _absent(self) -> Iterator[Outcome]:
        assert self.held is not None
        for xid in [each for each in self.acknowledged if each not in self.held and each not in self.lost]:
            yield from self._missing(xid)
        self.todo.update(dict.fromkeys((*self.held, *self.wanted)))

    def _places(self, dids: tuple[str, ...]) -> Iterator[Outcome]:
        known = self.destinations
        self.destinations = {did: known.get(did) for did in dids}
        for did in known.keys() - self.destinations.keys():
            yield Notice(AlarmKind.DELIVERY, did, over=True)
        used = {each.destination.did for each in self.wanted.values()}
        for did in dids:
            if did not in used and did not in known and not self._leads_somewhere(did):
                yield Notice(AlarmKind.STRANGE_DESTINATION, did)

    def place(self, did: str, found: x1.DestinationResponseDetails) -> Iterator[Outcome]:
        """A destination as it holds it."""
        self.destinations[did] = found.destination
        wanted = next((each.destination for each in self.wanted.values() if each.destination.did == did), None)
        if wanted is not None and not is_place(found.destination, wanted):
            yield Notice(AlarmKind.ALTERED_DESTINATION, did)
        faults = found.status.faults
        yield Notice(AlarmKind.DELIVERY, did, _faults(faults), over=not faults)

    def _leads_somewhere(self, did: str) -> bool:
        """Whether a task that we know of, though it is to end, has product go there."""
        assert self.held is not None
        known = (task for xid, task in self.held.items() if xid in self.acknowledged)
        return any(task is None or did in task.destinations.dids for task in known)

    def task(self, xid: str, each: x1.TaskResponseDetails) -> Iterator[Outcome]:
        """A task as it holds it."""
        assert self.held is not None
        self.held[xid] = each.task
        wanted, digest = self.wanted.get(xid), self.acknowledged.get(xid)
        if wanted is not None and is_task(each.task, wanted.details):
            if digest != wanted.digest and xid not in self.lost:
                yield self.keep(xid, wanted.digest)
        elif digest is None and xid not in self.lost:
            yield Notice(AlarmKind.STRANGE_TASK, xid)
        elif wanted is not None and digest == wanted.digest and xid not in self.lost:
            yield Notice(AlarmKind.ALTERED_TASK, xid)
            yield self._loses(xid)
        status = each.status
        waits = status.provisioning is x1.ProvisioningStatus.AWAITING
        fails = status.provisioning is x1.ProvisioningStatus.FAILED
        (self.waiting.add if waits else self.waiting.discard)(xid)
        (self.failed.add if fails else self.failed.discard)(xid)
        if wanted is not None:
            yield Notice(AlarmKind.FAILED_TASK, xid, _faults(status.faults), over=not fails)

    def _missing(self, xid: str) -> Iterator[Outcome]:
        if xid in self.wanted:
            yield Notice(AlarmKind.MISSING_TASK, xid)
            yield self._loses(xid)
        else:
            del self.acknowledged[xid]
            yield Keep(self.at.ne, xid, None)

    def _loses(self, xid: str) -> Keep:
        """The smaller set wins: it does not get again by itself what it has not as it was ordered."""
        self.lost.add(xid)
        self.todo[xid] = None
        return Keep(self.at.ne, xid, self.acknowledged.get(xid), lost=True)

    def keep(self, xid: str, digest: str) -> Keep:
        self.acknowledged[xid] = digest
        return Keep(self.at.ne, xid, digest)


def is_task(found: x1.TaskDetails | None, wanted: x1.TaskDetails) -> bool:
    """Whether a task is the one that was ordered. Elements of others may give back none of its extensions."""
    if found is None or found == wanted:
        return found is not None
    return not found.extensions and structs.replace(wanted, extensions=()) == found


def is_place(found: x1.DestinationDetails, wanted: x1.DestinationDetails) -> bool:
    """The same of a destination, whatever an element calls it."""
    return (found.did, found.delivery, found.address) == (wanted.did, wanted.delivery, wanted.address)


def _faults(faults: tuple[x1.Fault, ...]) -> str:
    """Codes alone: the words are another's."""
    return ", ".join(str(each.code) for each in faults[:8])

"""What follows from a request, from a fault or from time: for the element's own function, and for the ADMF."""

from __future__ import annotations

import enum

from msgspec import Struct

from imswire.x1 import (
    DeliveryType,
    DestinationDetails,
    ErrorCode,
    NeIssueType,
    Request,
    Response,
    ServiceType,
    TaskDetails,
    TaskReportType,
)
from midcall.base.warrant import Known
from midcall.events import Instant, Task, Terms


class Refusal(Exception):
    """A request is not carried out; ``detail`` names a member or a rule, and nothing that was said."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class ClockRefusal(Refusal):
    """Nothing is known to be wrong but the clock."""


class RevokedRefusal(Refusal):
    """A revocation came in place of a warrant; ``warrant`` is the id of what it ends."""

    def __init__(self, code: ErrorCode, detail: str, warrant: str) -> None:
        super().__init__(code, detail)
        self.warrant = warrant


class Reason(enum.StrEnum):
    """Why a task is armed no longer."""

    ORDERED = "deactivated"
    ALL = "all tasks deactivated"
    SILENCE = "the ADMF is silent"
    ENDED = "the window has ended"
    WARRANT = "its warrant does not hold any more"
    FAULT = "a terminating fault"
    CLOCK = "the clock has jumped, and the end of the window is near"
    CLOCK_BACK = "the clock went back over the beginning of the window"
    STORE = "its end could not be stored"
    MODIFIED = "modified: its window has not begun"


class Mediated(Struct, frozen=True):
    """One LIID of a task at a DF: what may be disclosed, of which services, whereto.

    ``pins``: SHA-256 of the certificate of each destination, in their order; None: no warrant says it.
    """

    terms: Terms
    services: tuple[ServiceType, ...]
    destinations: tuple[DestinationDetails, ...]
    pins: tuple[str | None, ...]


class Order(Struct, frozen=True):
    """A task, all of which is honoured.

    ``warrant``: the signed octets, which a KMS wants to see (None: unsigned); ``digest``: SHA-256 of what is signed in
    them; ``warrant_id``: the warrant's own identifier.
    """

    task: Task
    delivery: DeliveryType
    destinations: tuple[DestinationDetails, ...]
    mediated: tuple[Mediated, ...] = ()
    warrant: bytes | None = None
    digest: str = ""
    warrant_id: str = ""

    def __repr__(self) -> str:
        return f"Order({self.task.xid!r}, {self.delivery!r}, warrant={self.digest!r})"


class Armed(Struct, frozen=True):
    """Intercept from now on."""

    order: Order


class Changed(Struct, frozen=True):
    """An armed task is another one from now on."""

    order: Order
    former: Order


class Disarmed(Struct, frozen=True):
    """Intercept no more from ``at`` on."""

    xid: str
    at: Instant
    reason: Reason


class DestinationSet(Struct, frozen=True):
    """A destination is there, or has changed."""

    details: DestinationDetails


class DestinationGone(Struct, frozen=True):
    did: str


class TaskIssue(Struct, frozen=True, tag=True):
    """To be reported to the ADMF (TS 103 221-1 6.5.2)."""

    xid: str
    report: TaskReportType
    code: int | None = None
    details: str | None = None


class DestinationIssue(Struct, frozen=True, tag=True):
    """To be reported to the ADMF (6.5.3)."""

    did: str
    report: TaskReportType
    code: int | None = None
    details: str | None = None


class NeIssue(Struct, frozen=True, tag=True):
    """To be reported to the ADMF (6.5.4)."""

    issue: NeIssueType
    description: str
    code: int | None = None


class Intercepted(Struct, frozen=True):
    """What a task has given since it was activated here, or since the element was started.

    ``last``: when something was intercepted last (wall ns; None: nothing was); ``x2``, ``x3``: octets of events and of
    content (None: this element has no content).
    """

    last: int | None = None
    x2: int = 0
    x3: int | None = None


Issue = TaskIssue | DestinationIssue | NeIssue
Follow = Armed | Changed | Disarmed | DestinationSet | DestinationGone | Issue


class State(enum.StrEnum):
    """How a task stands. All but ARMED intercept nothing."""

    ARMED = "armed"
    NO_WARRANT = "no warrant is here yet"
    NOT_BEGUN = "its window has not begun"
    UNCONFIRMED = "the ADMF was not heard since the restart"
    ENDED = "its window has ended"
    FAILED = "failed"


class Held(Struct, frozen=True):
    """A task that this element has acknowledged.

    ``stamp`` is the time in the message that ordered it last, ``transaction`` that message's. ``order`` is what it
    comes to; None where no warrant says so yet. ``begins``, ``ends``: its window on both clocks.
    """

    details: TaskDetails
    transaction: str
    stamp: int
    modified: int
    modifications: int = 0
    state: State = State.FAILED
    order: Order | None = None
    begins: Instant | None = None
    ends: Instant | None = None
    why: str = ""

    def __repr__(self) -> str:
        return f"Held({self.details.xid!r}, {self.state!r})"


class Kept(Struct, frozen=True):
    """A destination; ``stamp`` and ``transaction`` as of a task."""

    details: DestinationDetails
    transaction: str
    stamp: int


class KeepTask(Struct, frozen=True):
    xid: str
    held: Held


class DropTask(Struct, frozen=True):
    xid: str


class KeepDestination(Struct, frozen=True):
    did: str
    kept: Kept


class DropDestination(Struct, frozen=True):
    did: str


class KeepKnown(Struct, frozen=True):
    """The highest version of a warrant that was seen."""

    warrant: str
    known: Known


class KeepPlaced(Struct, frozen=True):
    """A warrant that came apart from a task."""

    digest: str
    octets: bytes


class KeepStops(Struct, frozen=True):
    """No task that was ordered up to then (time in the message) is to begin after a restart."""

    stamp: int


Change = KeepTask | DropTask | KeepDestination | DropDestination | KeepKnown | KeepPlaced | KeepStops


class Memory(Struct, frozen=True):
    """What an element knew before it was restarted; ``heard``: when it last heard its ADMF (wall ns; 0: never)."""

    tasks: tuple[Held, ...] = ()
    destinations: tuple[Kept, ...] = ()
    known: dict[str, Known] = {}
    placed: tuple[bytes, ...] = ()
    stops: int = 0
    heard: int = 0


class Step(Struct, frozen=True):
    """What comes of one thing that has happened.

    ``changes`` are to be on the disk before ``response`` is given; ``moves`` are tasks that stand otherwise, which
    needs no disk; ``follows`` in their order. ``request``: what is answered, where it changes something.
    ``prior``: those of ``follows`` that count already, whether the changes can be kept or not.
    """

    response: Response | None = None
    changes: tuple[Change, ...] = ()
    moves: tuple[tuple[str, Held], ...] = ()
    follows: tuple[Follow, ...] = ()
    request: Request | None = None
    prior: tuple[Follow, ...] = ()

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What the ADMF is to be told."""
        return tuple(each for each in self.follows if isinstance(each, Issue))

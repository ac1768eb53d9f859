"""What one network element is on X1, and what it can honour. What it cannot, it refuses."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from imswire.x1 import DeliveryType, HashContext, ServiceType

SECOND = 1_000_000_000
Identifier = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A\S(.*\S)?\Z")]
Count = Annotated[int, Meta(ge=1)]

_DELIVERIES = {
    # A CSCF sees signalling: content is tapped under the DF's task.
    "poi": (DeliveryType.X2_ONLY,),
    # Content always goes with its events: X3Only would have to leave them out.
    "df": (DeliveryType.X2_ONLY, DeliveryType.X2_AND_X3),
}


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One element; times in seconds.

    ``ne`` and ``admf`` are the identifiers on X1 of this element and of the one ADMF that is responsible for it,
    ``element`` is its name in warrants. ``unsigned`` says what becomes of a task without a signed warrant: ``refuse``,
    wait for one that is placed apart (``detached``), or ``accept`` it on the ADMF's word.

    ``deliveries``: delivery types that it gives (default: those of its role). ``services``: what it gives of a target,
    together or apart. ``conditions``: which of callPartyRole and nonLocalIdentifier it looks at. ``hash_contexts``:
    those under which hashed identifiers are understood. ``destinations_of_a_task`` and ``liids_of_a_task``: how many it
    serves at once.

    ``keepalive`` False refuses Keepalive (1070). After ``silence`` without a request of the ADMF (TIME_P2) all tasks
    are dropped; ``fail_safe`` False turns that off. After a restart tasks are armed at once when the ADMF was heard
    within ``grace`` before, else when it is heard. ``deactivate_all``, ``remove_all``: whether those requests are
    enabled. ``places``: hosts and ports of which a destination has to be one; none: it may be any.
    """

    role: Literal["poi", "df"]
    ne: Identifier
    admf: Identifier
    element: Identifier
    unsigned: Literal["refuse", "detached", "accept"] = "refuse"
    deliveries: tuple[DeliveryType, ...] = ()
    services: Annotated[tuple[ServiceType, ...], Meta(min_length=1)] = (ServiceType.VOICE, ServiceType.MESSAGING)
    conditions: tuple[Literal["callPartyRole", "nonLocalIdentifier"], ...] = ()
    hash_contexts: tuple[HashContext, ...] = ()
    destinations_of_a_task: Count = 1
    liids_of_a_task: Count = 1
    tasks: Count = 10_000
    destinations: Count = 1_000
    keepalive: bool = True
    fail_safe: bool = True
    silence: Count = 3_600
    grace: Annotated[int, Meta(ge=0)] = 900
    deactivate_all: bool = True
    remove_all: bool = False
    places: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.fail_safe and self.grace > self.silence:
            raise ValueError("grace: longer than silence, after which there is no task left to arm")

    @property
    def delivered(self) -> tuple[DeliveryType, ...]:
        """The delivery types that a task may have."""
        return self.deliveries or _DELIVERIES[self.role]

    @property
    def mediates(self) -> bool:
        """Whether it hands over under LIIDs."""
        return self.role == "df"

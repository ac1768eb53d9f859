"""A network element's end of X1 (TS 103 221-1), for POI and DF alike: what an ADMF orders, under which warrant.

``Element`` decides and does no I/O; ``shell`` has the door, the store and the client.
"""

from midcall.base.x1_element.destinations import place, spelt
from midcall.base.x1_element.element import CLOCK, Element
from midcall.base.x1_element.peer import BINDING, Peer
from midcall.base.x1_element.settings import Settings
from midcall.base.x1_element.targets import digest
from midcall.base.x1_element.values import (
    Armed,
    Changed,
    DestinationGone,
    DestinationIssue,
    DestinationSet,
    Disarmed,
    Follow,
    Held,
    Intercepted,
    Issue,
    Kept,
    Mediated,
    Memory,
    NeIssue,
    Order,
    Reason,
    Refusal,
    State,
    Step,
    TaskIssue,
)

__all__ = [
    "Armed",
    "BINDING",
    "CLOCK",
    "Changed",
    "DestinationGone",
    "DestinationIssue",
    "DestinationSet",
    "Disarmed",
    "Element",
    "Follow",
    "Held",
    "Intercepted",
    "Issue",
    "Kept",
    "Mediated",
    "Memory",
    "NeIssue",
    "Order",
    "Peer",
    "Reason",
    "Refusal",
    "Settings",
    "State",
    "Step",
    "TaskIssue",
    "digest",
    "place",
    "spelt",
]

"""Which of several mediation functions has a task, where they share what a warrant orders (DESIGN 10: scale-out).

Each is a process with spools, numbers and a tap of its own and knows nothing of the others, so a task is at one of
them alone: its XID and their identifiers choose, the same in every run of the ADMF. Who has it keeps it when another
one is added, for its numbers cannot go over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec import structs

from midcall.admf.link import Link
from midcall.admf.plan import At
from midcall.base.warrant import Warrant


def under(xid: str, warrant: Warrant, links: Iterable[Link]) -> list[Link]:
    """Links to the elements that are to hold a task: those that its warrant names, and of DFs that share tasks one."""
    named = [each for each in links if each.at.element in warrant.elements]
    sharing = [each for each in named if shares(each.at)]
    chosen = mediator(xid, sharing)
    return [each for each in named if each is chosen or each not in sharing]


def shares(at: At) -> bool:
    """A DF for whom it is said where its X2 is has those tasks alone that are put there."""
    return at.role == "df" and bool(at.x2)


def mediator(xid: str, sharing: Sequence[Link]) -> Link | None:
    """The one that has the task already; else by highest random weight: with one more or less few change."""
    having = [each for each in sharing if xid in each.wanted] or [each for each in sharing if xid in each.acknowledged]
    return max(having or sharing, key=lambda each: _weight(xid, each.at.ne), default=None)


def towards(at: At, links: Iterable[Link]) -> At:
    """An element as it is ordered for one task: a POI sends X2 to the DF that has it."""
    df = next((each.at for each in links if shares(each.at)), None)
    return at if at.role != "poi" or df is None else structs.replace(at, x2=df.x2)


def _weight(xid: str, ne: str) -> bytes:
    return blake2b(f"{xid.lower()} {ne}".encode(), digest_size=8).digest()

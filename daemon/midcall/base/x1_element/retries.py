"""Requests that come again, and requests that come late.

The same transaction with the same contents gets the same answer, and does nothing a second time. A task that was ended
does not begin by a request that its ADMF sent before.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from msgspec import Struct

from imswire.x1 import Request, Response
from midcall.base.bounded import BoundedTable

ANSWERS = 1_024
"""What a resending ADMF may still ask for: several minutes of one that sends in bursts."""
STOPS = 16_384
AHEAD = 60_000_000_000
"""ns that an ADMF's clock may be ahead of ours in what is remembered of it."""


class Answers:
    """Answers to requests that change something, by transaction."""

    def __init__(self) -> None:
        self._answers: BoundedTable[str, tuple[bytes, Response]] = BoundedTable("base.x1_element.answers", ANSWERS)

    def find(self, request: Request) -> Response | None:
        """The answer that it got. ValueError: the transaction was another request's."""
        found = self._answers.get(request.header.transaction_id)
        if found is None:
            return None
        if found[0] != mark(request):
            raise ValueError("another request had this transaction")
        return found[1]

    def keep(self, request: Request, response: Response) -> None:
        self._answers.put(request.header.transaction_id, (mark(request), response))


class Stops:
    """When tasks were ended, by the times in the messages; what is forgotten counts for all others."""

    def __init__(self, before: int) -> None:
        self.before = before
        self._stops: BoundedTable[str, int] = BoundedTable("base.x1_element.stops", STOPS)

    def stop(self, xid: str, stamp: int, wall: int) -> int:
        """Returns what is to be remembered over a restart."""
        stamp = max(min(stamp, wall + AHEAD), self._stops.pop(xid) or 0)
        self.before = max(self.before, self._stops.put(xid, stamp) or 0)
        return stamp

    def all(self, stamp: int, wall: int) -> int:
        self.before = max(self.before, min(stamp, wall + AHEAD))
        return self.before

    def late(self, xid: str, stamp: int) -> bool:
        """Whether a request of that time may have been sent before the task was ended."""
        return stamp <= max(self.before, self._stops.get(xid) or 0)


def mark(request: Request) -> bytes:
    """A digest of all that a request says, its time included."""
    taken = sha256()
    _feed(request, taken.update)
    return taken.digest()


def _feed(value: object, feed: Callable[[bytes], None]) -> None:
    kind = type(value).__name__
    if isinstance(value, Struct):
        feed(f"{kind}{{".encode())
        for name in value.__struct_fields__:
            _feed(getattr(value, name), feed)
    elif isinstance(value, tuple):
        feed(f"({len(value)}".encode())
        for each in value:
            _feed(each, feed)
    else:
        octets = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        feed(f"{kind}:{len(octets)}:".encode())
        feed(octets)

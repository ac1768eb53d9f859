"""Transactions (RFC 3261 17 with RFC 6026): what a retransmission means, and when it is over.

Server INVITE           PROCEEDING -1xx-> PROCEEDING -2xx-> ACCEPTED -L-> OVER
                        PROCEEDING -300..699-> COMPLETED -ACK-> CONFIRMED -I-> OVER;  COMPLETED -H-> OVER
Server, other methods   PROCEEDING -1xx-> PROCEEDING -final-> COMPLETED -J-> OVER
Client INVITE           CALLING -1xx-> PROCEEDING;  either -2xx-> ACCEPTED -M-> OVER
                        either -300..699-> COMPLETED -D-> OVER;  CALLING -B-> OVER;  PROCEEDING -C-> (CANCEL)
Client, other methods   CALLING -1xx-> PROCEEDING;  either -final-> COMPLETED -K-> OVER;  either -F-> OVER

A server transaction and the clients of its branches are the response context of RFC 3261 16.2.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from imswire.sip import SipMessage
from midcall.cscf.routing import Destination, Plan
from midcall.cscf.timers import LONG, T1, T4
from midcall.cscf.top_via import Key
from midcall.cscf.values import Hop


class Phase(enum.IntEnum):
    CALLING = 0
    PROCEEDING = 1
    ACCEPTED = 2
    COMPLETED = 3
    CONFIRMED = 4
    OVER = 5


class Server:
    """One request that came, and what becomes of it.

    ``via`` is the topmost Via with where it came from (None: it says so itself); ``hop``: where responses go. ``last``:
    the response that answers a retransmission. ``clients``: its branches; ``waiting``: groups of targets that are tried
    when those before have failed (RFC 3261 16.6). ``unresolved``: targets whose addresses are not known yet.
    ``hears``: the sender keeps to what it is told of our load; ``held``: a target is overloaded (RFC 7339).
    ``recurses``: 3xx of the targets that are tried now are followed, and ``redirects`` are the URIs that were.
    ``breadth``: Max-Breadth of each branch, 0 where it stays as it came (RFC 5393). ``decided``: a final response went
    back. ``octets``: octets of messages that are kept for it. ``why``: what its CANCELs say of their reason.
    ``mark``: that which its responses bring back to somebody unknown; "" for others.
    """

    __slots__ = (
        "breadth", "cancelled", "clients", "decided", "hears", "held", "hop", "interval", "invite", "key", "last",
        "listener", "mark", "method", "octets", "on_top", "phase", "plan", "recurses", "redirects", "removed",
        "request", "unresolved", "via", "waiting", "why",
    )  # fmt: skip

    def __init__(self, key: Key, request: SipMessage, via: bytes | None, listener: int, hop: Hop) -> None:
        self.key = key
        self.request: SipMessage | None = request
        self.via = via
        self.listener = listener
        self.hop = hop
        self.method = request.method
        self.invite = self.method == "INVITE"
        self.phase = Phase.PROCEEDING
        self.last: bytes | None = None
        self.interval = T1
        self.clients: list[Client] = []
        self.plan: Plan | None = None
        self.on_top = ""
        self.removed: tuple[str, ...] = ()
        self.waiting: list[tuple[Destination, ...]] = []
        self.breadth = 0
        self.recurses = False
        self.redirects: tuple[str, ...] = ()
        self.unresolved = 0
        self.hears = False
        self.held = False
        self.cancelled = False
        self.decided = False
        self.octets = 0
        self.why: tuple[bytes, ...] = ()
        self.mark = ""

    @property
    def reliable(self) -> bool:
        return self.hop.transport != "udp"

    def answered(self, status: int) -> tuple[str, int]:
        """A final response was sent: the timer that ends the transaction, and its duration."""
        if self.invite and status < 300:
            self.phase = Phase.ACCEPTED
            return "L", LONG
        self.phase = Phase.COMPLETED
        if self.invite:
            return "H", LONG
        return "J", 0 if self.reliable else LONG

    def acknowledged(self) -> tuple[str, int]:
        """ACK of a response from 300 to 699."""
        self.phase = Phase.CONFIRMED
        return "I", 0 if self.reliable else T4


class Client:
    """A branch: the request as it was sent to one target, and the best of what came back.

    ``target`` is where it was meant to go, ``others`` are further places of that name. ``until``: Timer B or F.
    ``silent_until``: Timer C, which each provisional response moves (RFC 3261 16.7 2). ``final`` is the response from
    300 to 699 that came. ``cancelling``: a CANCEL was sent, or will be with the first provisional response. ``alone``:
    no other request waits for what comes back, but ``told``, if anybody, is told its status.
    """

    __slots__ = (
        "alone", "branch", "cancelling", "final", "hop", "interval", "invite", "listener", "method", "octets", "others",
        "phase", "server", "silent_until", "status", "target", "told", "until",
    )  # fmt: skip

    def __init__(self, server: Server, branch: str, listener: int, hop: Hop, octets: bytes) -> None:
        self.server = server
        self.branch = branch
        self.listener = listener
        self.hop = hop
        self.octets = octets
        self.method = server.method
        self.invite = server.invite
        self.alone = False
        self.told: Callable[[int], None] | None = None
        self.phase = Phase.CALLING
        self.interval = T1
        self.silent_until = 0
        self.until = 0
        self.target: Destination | None = None
        self.others: tuple[Hop, ...] = ()
        self.status = 0
        self.final: SipMessage | None = None
        self.cancelling = False

    @property
    def reliable(self) -> bool:
        return self.hop.transport != "udp"

    @property
    def pending(self) -> bool:
        return self.phase <= Phase.PROCEEDING

    def ended(self, status: int) -> tuple[str, int]:
        """A final response came: the timer that ends the transaction, and its duration."""
        self.status = status
        if self.invite and status < 300:
            self.phase = Phase.ACCEPTED
            self.octets = b""
            return "M", LONG
        self.phase = Phase.COMPLETED
        if self.reliable:
            return ("D" if self.invite else "K"), 0
        return ("D", LONG) if self.invite else ("K", T4)

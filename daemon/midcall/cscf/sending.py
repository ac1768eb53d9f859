"""How a request leaves: next hop, listener, Via, Record-Route (RFC 3261 16.6 4-10; RFC 3263; RFC 5658)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from imswire import inet, sip
from imswire.inet import InetError
from imswire.sip import SipError, SipMessage, SipUri, Via, hop
from imswire.sip.fields import MAX_HEADERS
from imswire.sip.message import MAX_MESSAGE
from imswire.sip.verdict import MAGIC_COOKIE
from midcall.base.remembered import remembered
from midcall.cscf import top_via
from midcall.cscf.feedback import SUPPORT
from midcall.cscf.marks import MARK, Seals
from midcall.cscf.routing import Destination, Plan, transport_of_uri
from midcall.cscf.values import PORTS, Hop, Listener, Resolve, Transport

RECORDED = frozenset({"INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"})
"""Methods that make a dialog or refresh it (RFC 3261 16.6 4)."""


PASSES = 6
"""How often one request may come by, even if it goes elsewhere each time: ten contacts, tried one after another, that
each lead to the next ones, would make ten million of it.
"""
MOST_PIECES = 2 * (MAX_HEADERS - 32)
"""Names and values of a request that goes on: there is room for our lines, and for those of the next ones."""
LARGE = 1_300
"""Octets of a datagram, when nobody knows what the path takes (RFC 3261 18.1.1)."""
LINE_END = "\r\n"


class Unsent(Exception):
    """There is no way to a next hop: the status that stands for it (RFC 3261 16.9)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Next(NamedTuple):
    """Where a URI leads: ``hop`` for an address, ``asked`` for a name; ``host`` is either."""

    host: str
    hop: Hop | None
    asked: Resolve
    strict: bool
    secure: bool


class Sent(Struct, frozen=True, gc=False):
    """A request as it leaves; ``name`` is the host of the URI that it follows (RFC 5922 7.2), ``others`` are further
    places that it could go to (RFC 3263 4.3).
    """

    listener: int
    hop: Hop
    octets: bytes
    branch: str
    name: str
    others: tuple[Hop, ...] = ()


class Sender:
    """``run`` is the name of this run of the process, part of each branch that it makes."""

    def __init__(self, listeners: Sequence[Listener], seals: Seals, run: str) -> None:
        self._listeners = tuple(listeners)
        self._seals = seals
        self._run = run
        self._made = 0
        self._doors = {(each.transport, each.ipv6): number for number, each in reversed([*enumerate(listeners)])}
        self._vias = [f"Via: SIP/2.0/{each.transport.upper()} {each.sent_by};branch=" for each in listeners]
        self._ends = [SUPPORT + (";alias" if each.transport == "tls" else "") for each in listeners]
        self._recorded = [[f"Record-Route: <{uri}{MARK}" for uri in (each.uri, each.secure_uri)] for each in listeners]
        self._sent_by = frozenset(each.sent_by for each in listeners)
        self._octets = tuple({each.sent_by.encode() for each in listeners})
        self._transports = tuple(each for each in PORTS if any(each == door.transport for door in listeners))
        self.next_of = remembered(self._next_of, 4_096)

    def _next_of(self, text: str) -> Next:
        return next_of(text, self._transports)

    # Branches: cookie, run, number, seal of the call, hash of what decides where the request goes

    def _branch(self, seal: str, loop: str) -> str:
        self._made += 1
        return f"{MAGIC_COOKIE}{self._run}{self._made:x}.{seal}.{loop}"

    def is_of_former_run(self, branch: str, call_id: str, host: str) -> bool:
        """Whether another run of this proxy, or a worker beside it, made a branch for this call and its host."""
        head, _, rest = branch.removeprefix(MAGIC_COOKIE).partition(".")
        seal, _, _ = rest.partition(".")
        return not head.startswith(self._run) and self._seals.fits_way(seal, call_id, host)

    def loops(self, message: SipMessage) -> bool:
        """Whether the request was here before and nothing that decides its way has changed (RFC 5393 4.2)."""
        head = message.octets
        if not any(ours in head for ours in self._octets):
            return False
        ours = [via for via in message.values("Via") if self.is_ours(via.partition(";")[0].rstrip())]
        return len(ours) >= PASSES or (bool(ours) and any(f".{loop_of(message)}" in via for via in ours))

    def is_ours(self, sent_by: str) -> bool:
        """Whether a Via is one of ours (RFC 3261 18.1.2), by its part before the parameters."""
        return sent_by.rpartition(" ")[2] in self._sent_by

    # Requests

    def request(
        self,
        message: SipMessage,
        plan: Plan,
        target: Destination,
        listener: int,
        known: Callable[[Resolve], Sequence[Hop] | None],
        back: str,
        *,
        via: bytes | None = None,
        branch: str = "",
        on_top: str = "",
        removed: tuple[str, ...] = (),
        breadth: int = 0,
        over: Callable[[Hop, Destination], Hop | None] | None = None,
    ) -> Sent | Resolve:
        """The request as it goes to a target, or the name that has to be looked up first.

        ``known`` gives the places of a name; ``back`` is the host that responses go to; ``via`` is the topmost Via with
        where the request came from; ``branch`` ours, if it is already chosen; ``on_top`` further lines; ``breadth``
        another Max-Breadth; ``over`` says where it goes instead of a place with UDP when it is too large for that,
        while its dialog goes on there. Unsent; SipError: it may not go on.
        """
        leads = self.next_of(target.next)
        place = target.flow or leads.hop
        others: tuple[Hop, ...] = ()
        if place is None:
            found = known(leads.asked)
            if found is None:
                return leads.asked
            place, *more = self._reachable(found)
            others = tuple(more)
        uri = target.request_uri if target.request_uri is not None else plan.request_uri
        secure = (uri or message.request_uri or "")[:5].lower() == "sips:" or leads.secure
        if secure and place.transport != "tls":
            raise Unsent(480, "sips, and a next hop without TLS")  # RFC 5630 5.3
        out = self._door(place, listener)
        branch = branch or self._branch(self._seals.of_way(message.call_id, back), loop_of(message))
        top = f"{self._vias[out]}{branch}{self._ends[out]}\r\n"
        if message.method in RECORDED:
            mark = self._seals.of_sender(message)
            top = f"{top}{self._recorded[out][secure]}{mark}>\r\n"
            if out != listener:
                top = f"{top}{self._recorded[listener][secure]}{mark}>\r\n"
        for route in target.routes:
            top += f"Route: {route}\r\n" if "<" in route else f"Route: <{route}>\r\n"
        routes, behind = plan.routes, None
        if leads.strict and plan.more:
            # RFC 3261 16.6 6: a strict router is sent its own URI, and the other one behind all routes.
            behind, uri, routes = f"<{uri or message.request_uri}>", target.next, routes + 1
        if breadth:
            top = f"{top}Max-Breadth: {breadth}\r\n"
            if message.has(b"max-breadth"):
                removed = (*removed, "max-breadth")
        if over is not None and place.transport == "udp" and len(message.octets) + len(top) + len(on_top) > LARGE:
            instead = over(place, target)
            if instead is not None:
                others, place, out = (place, *others), instead, self._door(instead, listener)
                top = f"{self._vias[out]}{branch}{self._ends[out]}\r\n{top.partition(LINE_END)[2]}"
        change = hop.Change(
            (top + on_top).encode("utf-8", "surrogateescape"),
            None if uri is None else uri.encode("utf-8", "surrogateescape"),
            routes,
            plan.last_route,
            behind,
            via,
            removed,
        )
        octets = hop.forwarded(message, change, stream=place.transport != "udp")
        if len(octets) > MAX_MESSAGE or len(message.pieces) > MOST_PIECES:
            raise SipError("message", "with what is added nobody could read it", 513)
        return Sent(out, place, octets, branch, leads.host, others)

    def stateless_branch(self, message: SipMessage, received: bytes, back: str) -> str:
        """One that each retransmission is given again (RFC 3261 16.11)."""
        seal = self._seals.of_way(message.call_id, back)
        return f"{MAGIC_COOKIE}-{zlib.crc32(received):x}.{seal}.{loop_of(message)}"

    def back(self, vias: Sequence[Via]) -> tuple[int, Hop] | None:
        """Where a response goes whose next Via is the first of these (RFC 3261 18.2.2); None: nobody can tell."""
        for via in vias:
            params = {name.lower(): value or "" for name, value in via.params}
            transport = top_via.transport_of(via.transport)
            host = (params.get("received") or via.host).strip("[]")
            port = params.get("rport") or str(via.port or "")
            door = None if transport is None else self._doors.get((transport, ":" in host))
            if transport is None or door is None or not _is_address(host):
                return None
            is_number = port.isascii() and port.isdigit() and len(port) < 6
            return door, Hop(transport, host, int(port) if is_number else PORTS[transport])
        return None

    def _door(self, place: Hop, came: int) -> int:
        """The listener through which a hop is reached: that through which the request came, if it can."""
        ipv6 = ":" in place.host
        door = self._listeners[came]
        if door.transport == place.transport and door.ipv6 is ipv6:
            return came
        found = self._doors.get((place.transport, ipv6))
        if found is None:
            raise Unsent(503, f"no listener for {place.transport} over IPv{6 if ipv6 else 4}")
        return found

    def has_door(self, place: Hop) -> bool:
        """Whether there is a listener for its transport and kind of address."""
        return (place.transport, ":" in place.host) in self._doors

    def _reachable(self, hops: Sequence[Hop]) -> list[Hop]:
        found = [hop for hop in hops if self.has_door(hop)]
        if not found:
            raise Unsent(503, "a name without an address that can be reached")
        return found


def _is_address(host: str) -> bool:
    try:
        return bool(inet.pack(host))
    except InetError:
        return False


def loop_of(message: SipMessage) -> str:
    """Sum of what decides where a request goes, as it came (RFC 3261 16.6 8, RFC 5393 4.2).

    Who makes another request with the same sum and our Via in it gains that it is refused.
    """
    text = f"{message.request_uri}\0{message.call_id}\0{message.cseq.number}".encode("utf-8", "surrogateescape")
    if message.has(b"route"):
        text = b"\0".join([text, *message.raws(b"route")])
    return f"{zlib.crc32(text):08x}"


_NAME = re.compile(r"[a-z0-9_.-]{1,253}").fullmatch


def next_of(text: str, transports: Sequence[Transport] = tuple(PORTS)) -> Next:
    """Where a URI leads by ``transports`` that can be used (RFC 3263 4.1, 4.2). SipError: nowhere, 416 for a scheme
    without hosts.
    """
    uri = sip.parse_uri(text)
    if not isinstance(uri, SipUri):
        raise SipError("URI", "names no host", 416)
    transport = transport_of_uri(uri)
    said = uri.param("transport")
    if said and top_via.transport_of(said) is None:
        raise SipError("URI", "a transport that is not spoken here", 503)
    host = (uri.param("maddr") or uri.host).strip("[]").lower()
    place = None
    try:
        host = inet.text(inet.pack(host))
        place = Hop(transport, host, uri.port or PORTS[transport])
    except InetError:
        if _NAME(host) is None:
            raise SipError("URI", "its host is neither address nor name") from None
    is_said = uri.port is not None or uri.scheme == "sips" or uri.param("transport") is not None
    wanted = (transport,) if is_said or not transports else tuple(transports)
    asked = Resolve(host, wanted, uri.port or 0, uri.port is None)
    return Next(host, place, asked, uri.param("lr") is None, uri.scheme == "sips")

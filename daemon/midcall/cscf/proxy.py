"""The proxy core (RFC 3261 16): messages in, messages out; no socket, no clock, no randomness of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec import structs

from imswire import sip
from imswire.sip import SipError, SipMessage, hop, verdict
from midcall.base.bounded import BoundedTable
from midcall.cscf import choice, feedback, redirects, top_via
from midcall.cscf.breadth import BREADTH
from midcall.cscf.breadth import breadth as breadth_of
from midcall.cscf.contexts import Contexts
from midcall.cscf.large import MAYBE_LARGE, Large
from midcall.cscf.marks import Seals
from midcall.cscf.names import Names
from midcall.cscf.overload import Overload
from midcall.cscf.routing import Destination, Plan, Router
from midcall.cscf.sending import Sender, Unsent
from midcall.cscf.top_via import TopVia
from midcall.cscf.transactions import Client, Server
from midcall.cscf.trust import unasserted
from midcall.cscf.values import Admission, Alias, Found, Hop, Listener, Out, Outs, Resolve

WAITING = 4_096
EXTENSIONS: frozenset[str] = frozenset()
"""Option tags of Proxy-Require that are understood."""


class Gate(Protocol):
    """Who may send what (trust, authentication, overload)."""

    def admit(self, message: SipMessage, plan: Plan, source: Hop, now: int) -> Admission: ...

    def believes(self, source: Hop) -> bool: ...

    def opens(self, source: Hop, place: Hop) -> bool: ...


class Home(Protocol):
    """The registrar: answers REGISTER for its own domains; None: the request is not for it."""

    def register(self, message: SipMessage, source: Hop, listener: int, now: int) -> tuple[int, bytes] | None: ...


class Proxy:
    """One worker. Times are monotonic ns; what is returned is sent in order.

    ``counts``: what became of messages, by names that an operator reads. Of the last message: ``heeded`` False: a
    request was refused, or a response answered nothing that went out from here; ``asserted``: the URI that stands for
    a sender whose own assertions do not go on, "" for nobody's (None: they do).
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        router: Router,
        gate: Gate,
        home: Home,
        seals: Seals,
        run: str,
        bound: int,
        overload: Overload,
        choose: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self._overload = overload
        self._router = router
        self._gate = gate
        self._home = home
        self._seals = seals
        self._listeners = tuple(listeners)
        self._run = run
        self._probes = 0
        self._sender = Sender(listeners, seals, run)
        self._contexts = Contexts(bound, self._to_tag, self._next_group, self._follow, self._elsewhere, overload)
        self.counts: Counter[str] = self._contexts.counts
        self._names = Names(choose)
        self._large = Large(self._names, self._sender.has_door)
        self._contexts.reached = self._large.reached
        self.heeded = True
        self.asserted: str | None = None
        self._waiting: BoundedTable[Resolve, list[tuple[Server, Destination]]] = BoundedTable("cscf.waiting", WAITING)

    def _to_tag(self, call_id: str) -> str:
        """The tag of our own responses: by it the ACK of one is known again."""
        return "mc" + self._seals.of_tag(call_id)

    def renew(self, router: Router, gate: Gate, home: Home) -> None:
        """What a new configuration says; transactions that run go on as they began."""
        self._router, self._gate, self._home = router, gate, home

    # In

    def message(self, octets: bytes, listener: int, source: Hop, now: int) -> Outs:
        """One whole message of ``source``."""
        out: Outs = []
        self.heeded, self.asserted = True, None if self._gate.believes(source) else ""
        try:
            message = sip.parse(octets)
        except SipError as error:
            self._unreadable(octets, error, listener, source, now, out)
            return out
        try:
            if message.is_request:
                self._request(message, listener, source, now, out)
            else:
                self._response(message if self.asserted is None else unasserted(message), now, out)
        except SipError as error:
            self.heeded = False
            if message.is_request:
                self._refuse(message, error.status, listener, source, now, out)
            else:
                self.counts["bad responses"] += 1
        return out

    def failed(self, branch: str, now: int) -> Outs:
        """What went out under a branch could not be sent (RFC 3261 16.9)."""
        out: Outs = []
        client = self._contexts.clients.get(branch)
        if client is not None:
            self.counts["unsent"] += 1
            self._contexts.failed(client, 503, now, out)
        return out

    def resolved(self, asked: Resolve, found: Found, now: int) -> Outs:
        """Where a name leads; nowhere: nobody knows."""
        out: Outs = []
        self._names.put(asked, found, now)
        for server, target in self._waiting.pop(asked) or ():
            server.unresolved -= 1
            if not server.decided:
                self._to_target(server, target, now, out)
        return out

    def probe(self, uri: str, now: int, told: Callable[[int], None]) -> Outs:
        """Ask a next hop by OPTIONS whether it is there (RFC 3261 11); ``told`` is given the status of its answer."""
        out: Outs = []
        self._probes += 1
        text = (
            f"OPTIONS {uri} SIP/2.0\r\nFrom: <{self._listeners[0].uri}>;tag=mc{self._probes}\r\nTo: <{uri}>\r\n"
            f"Call-ID: probe-{self._run}-{self._probes}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        message = sip.parse(text.encode())
        target = Destination(uri)
        try:
            sent = self._sender.request(message, Plan(), target, 0, partial(self._names.known, now), "")
        except (Unsent, SipError):
            told(503)
            return out
        if isinstance(sent, Resolve):
            out.append(sent)  # it is asked the next time
            return out
        server = Server(("", uri), message, None, sent.listener, sent.hop)
        self._contexts.ask(Client(server, sent.branch, sent.listener, sent.hop, sent.octets), now, out, told)
        return out

    def next_deadline(self) -> int | None:
        return self._contexts.next_deadline()

    def deadline(self, now: int) -> Outs:
        """What is due."""
        out: Outs = []
        self._contexts.deadline(now, out)
        return out

    def take_faults(self) -> list[Exception]:
        """Errors of our own since the last time, each of which has ended a transaction."""
        faults = list(self._contexts.faults)
        self._contexts.faults.clear()
        return faults

    @property
    def running(self) -> tuple[int, int]:
        """Transactions that are kept, of requests that came and of branches."""
        return len(self._contexts.servers), len(self._contexts.clients)

    # Requests

    def _request(self, message: SipMessage, listener: int, source: Hop, now: int, out: Outs) -> None:
        usual = verdict.usual(message)
        if usual is None:
            top, method = top_via.read(message), message.method
            key = top_via.key(message, top)
        else:
            top, method = top_via.of_usual(usual) or top_via.read(message), usual.method
            key = usual.branch, usual.sent_by, "INVITE" if method in ("ACK", "CANCEL") else method
        server = self._contexts.server_of(key)
        if server is not None and (method == server.method or method in ("ACK", "CANCEL")):
            if method == "ACK":
                if self._contexts.acknowledged(server, now):
                    return
            elif method == "CANCEL":
                self._cancel(server, message, top, listener, source, now, out)
                return
            else:
                self.counts["retransmissions"] += 1
                self._contexts.repeated(server, out)
                return
        if usual is None:
            judged = verdict.judge_request(message, EXTENSIONS)
            if judged.status == 420:
                line = f"Unsupported: {', '.join(judged.unsupported)}\r\n"
                self._refuse(message, 420, listener, source, now, out, line.encode("utf-8", "surrogateescape"))
                return
        if (usual is None or usual.next_by) and self._sender.loops(message):
            raise SipError("Via", "it was here before", 482)
        via = top_via.with_source(top, source)
        if source.transport == "tls" and top.value("alias") is not None:
            out.append(Alias(source, top.host, top.port))
        if method == "ACK":
            self._acknowledge(message, via, listener, source, now, out)
            return
        if method == "CANCEL":
            self._stateless(message, via, listener, source, now, out)
            return
        if self._contexts.is_full:
            self.counts["full"] += 1
            raise SipError("message", "no room for another transaction", 503)
        server = Server(key, message, via, listener, top_via.back(top, source))
        server.hears = top.params is not None and feedback.supports(top.params)
        if method == "REGISTER":
            shed = self._overload.shed(message)
            if shed is not None:
                self._refuse(message, shed.status, listener, source, now, out)
                return
            answered = self._home.register(message, source, listener, now)
            if answered is not None:
                self._registered(server, answered, source, now, out)
                return
        plan = self._router.plan(message, now)
        admitted = self._gate.admit(message, plan, source, now)
        status = admitted.status or plan.status
        if not status and admitted.stranger and self._contexts.is_half_full:
            self.counts["full for strangers"] += 1
            status = 503
        if status:
            # No state for what goes nowhere (RFC 3261 26.3.2.4): who asks again is answered again.
            self.heeded = plan.status > 0 and not admitted.status
            self._refuse(message, status, listener, source, now, out, admitted.extra)
            return
        if admitted.on_top or admitted.who:
            self.asserted = admitted.who or admitted.on_top.partition("<")[2].partition(">")[0]
        server.mark = self._seals.of_sender(message) if admitted.afar else ""
        self._contexts.open(server)
        try:
            self._serve(server, plan, admitted, now, out)
        except SipError as error:
            self._contexts.answer(server, error.status, now, out)

    def _registered(self, server: Server, answered: tuple[int, bytes], source: Hop, now: int, out: Outs) -> None:
        """What has changed a registration is not done again by a retransmission."""
        status, extra = answered
        if status >= 300 and server.request is not None:
            self._refuse(server.request, status, server.listener, source, now, out, extra)
            return
        self._contexts.open(server)
        self._contexts.answer(server, status, now, out, extra)

    def _serve(self, server: Server, plan: Plan, admitted: Admission, now: int, out: Outs) -> None:
        """A request that begins a transaction."""
        if server.invite:
            self._contexts.answer(server, 100, now, out)
        server.plan, server.on_top, server.removed = plan, admitted.on_top, admitted.removed
        server.waiting = list(plan.groups)
        self._next_group(server, now, out)

    def _next_group(self, server: Server, now: int, out: Outs) -> None:
        group = server.waiting.pop(0)
        server.recurses = group[0].recurses
        request = server.request
        if len(group) == 1 and request is not None and not request.has(b"max-breadth"):
            server.breadth = BREADTH
            self._to_target(server, group[0], now, out)
            return
        breadth, said = breadth_of(request)
        if len(group) > breadth:
            self._contexts.answer(server, 440, now, out)
            return
        share = breadth // len(group)
        server.breadth = 0 if share == said else share
        server.unresolved += len(group)
        for target in group:
            server.unresolved -= 1
            if server.decided:
                return
            self._to_target(server, target, now, out)

    def _follow(self, server: Server, answer: SipMessage, now: int) -> bool:
        """Whom a next hop names in its 3xx is tried before all others, should it lead anywhere (RFC 3261 16.7 4)."""
        request = server.request
        if request is None or server.cancelled or server.decided:
            return False
        secure = (request.request_uri or "")[:5].lower() == "sips:"
        groups: list[tuple[Destination, ...]] = []
        for uris in redirects.uris(answer, server.redirects, secure=secure):
            server.redirects += tuple(uris)
            places = [place for uri in uris for place in self._router.redirected(uri, now)]
            if places:
                groups.append(tuple(each for place in places for each in place))
        server.waiting = [*groups, *server.waiting]
        self.counts["redirected"] += bool(groups)
        return bool(groups)

    def _elsewhere(self, client: Client, now: int, out: Outs) -> None:
        """The place of a branch has failed, and its name has others (RFC 3263 4.3)."""
        self._names.avoid(client.hop, now, client.others[0])
        if client.target is not None:
            place, *others = client.others
            anew = not place.is_beside(client.hop)
            self.counts["tried elsewhere" if anew else "again over UDP"] += 1
            target = structs.replace(client.target, flow=place)
            self._to_target(client.server, target, now, out, *others, anew=anew)

    def _to_target(
        self, server: Server, target: Destination, now: int, out: Outs, *others: Hop, anew: bool = True
    ) -> None:
        request, plan = server.request, server.plan
        if request is None or plan is None:
            return
        over = partial(self._large.over, self._router.takes_large, now) if len(request.octets) > MAYBE_LARGE else None
        try:
            sent = self._sender.request(
                request, plan, target, server.listener, partial(self._names.known, now), server.hop.host,
                via=server.via, on_top=server.on_top, removed=server.removed, breadth=server.breadth, over=over,
            )  # fmt: skip
        except (Unsent, SipError) as error:
            self._contexts.unsent(server, error.status, now, out)
            return
        if isinstance(sent, Resolve):
            self._wait(sent, server, target, now, out)
            return
        if not (target.known or self._gate.opens(server.hop, sent.hop)):
            self._contexts.unsent(server, 403, now, out)
            return
        overload = self._overload
        if overload.is_asked and not plan.inside and overload.holds_back(sent.hop, request, now):
            server.held = True
            self._contexts.unsent(server, 503, now, out)
            return
        client = Client(server, sent.branch, sent.listener, sent.hop, sent.octets)
        client.target, client.others = target, (*sent.others, *others)
        self._contexts.start(client, now, out, sent.name)
        self.counts["forwarded"] += anew

    def _wait(self, asked: Resolve, server: Server, target: Destination, now: int, out: Outs) -> None:
        """A target whose name has to be looked up."""
        waiting = self._waiting.get(asked)
        if waiting is None:
            if len(self._waiting) >= self._waiting.bound:
                self._contexts.unsent(server, 503, now, out)
                return
            waiting = []
            self._waiting.put(asked, waiting)
            out.append(asked)
        if not server.invite:
            self._contexts.answer_in_time(server, now)
        server.unresolved += 1
        waiting.append((server, target))

    # Requests without a transaction

    def _acknowledge(
        self, message: SipMessage, via: bytes | None, listener: int, source: Hop, now: int, out: Outs
    ) -> None:
        """An ACK of a 2xx goes on like any request of its dialog (RFC 3261 16.11); that of our response ends here."""
        ours = self._to_tag(message.call_id)
        if ours.encode() in message.octets and message.to_tag == ours:
            return
        self._stateless(message, via, listener, source, now, out)

    def _stateless(
        self, message: SipMessage, via: bytes | None, listener: int, source: Hop, now: int, out: Outs
    ) -> None:
        """ACK, and CANCEL of what is not known here (RFC 3261 16.10): nobody answers, so nobody waits."""
        plan = self._router.plan(message, now)
        admitted = self._gate.admit(message, plan, source, now)
        if not plan.groups or admitted.status:
            self._unheeded("not forwarded")
            return
        target = plan.groups[0][0]
        branch = self._sender.stateless_branch(message, message.raw(b"via") or b"", source.host)
        try:
            sent = self._sender.request(
                message, plan, target, listener, partial(self._names.known, now), source.host,
                via=via, branch=branch, on_top=admitted.on_top, removed=admitted.removed,
            )  # fmt: skip
        except (Unsent, SipError):
            self._unheeded("not forwarded")
            return
        if isinstance(sent, Resolve):
            out.append(sent)
            return
        if not (target.known or self._gate.opens(source, sent.hop)):
            self._unheeded("not forwarded")
            return
        out.append(Out(sent.listener, sent.hop, sent.octets, "", True, sent.name))

    def _cancel(
        self, server: Server, message: SipMessage, top: TopVia, listener: int, source: Hop, now: int, out: Outs
    ) -> None:
        """A CANCEL from the hop that sent the INVITE (RFC 3261 22.1) ends what is pending of it (9.2, 16.10)."""
        if source.host != server.hop.host:
            raise SipError("CANCEL", "of what somebody else has sent", 481)
        octets = hop.answer(
            message, 200, "OK", top_via=top_via.with_source(top, source), to_tag=self._to_tag(message.call_id)
        )
        out.append(Out(listener, top_via.back(top, source), octets))
        if server.decided or server.cancelled:
            return
        server.cancelled = True
        server.waiting.clear()
        self._contexts.cancel(server, now, out, message.raws(b"reason"))
        if not any(client.pending for client in server.clients):
            self._contexts.answer(server, 487, now, out)

    def _unheeded(self, count: str) -> None:
        """Nothing comes of the message."""
        self.heeded = False
        self.counts[count] += 1

    # Responses

    def _response(self, message: SipMessage, now: int, out: Outs) -> None:
        usual = verdict.usual(message)
        if usual is None or not self._sender.is_ours(usual.sent_by):
            self._unusual(message, now, out)
        else:
            self._answered(message, usual.branch, usual.method, now, out, returns=usual.next_by != "")

    def _unusual(self, message: SipMessage, now: int, out: Outs) -> None:
        """A response that has to be judged in full, and may say something of the load of a next hop."""
        if not self._sender.is_ours(top_via.read(message).place):
            self._unheeded("foreign responses")
            return
        if verdict.judge_response(message).action is not verdict.Action.FORWARD:
            self._unheeded("bad responses")
            return
        branch, method = message.top_branch or "", message.method
        client = self._contexts.client_of(branch, method)
        told = feedback.heard(message) if client is not None else None
        if client is not None and told is not None:
            self._overload.told(client.hop, told, now)
        octets = feedback.cleaned(message.octets)
        message = message if octets is message.octets else sip.parse(octets)
        self._answered(message, branch, method, now, out, returns=len(message.values("Via")) > 1)

    def _answered(self, message: SipMessage, branch: str, method: str, now: int, out: Outs, *, returns: bool) -> None:
        """``returns``: there is a Via behind ours. Without one nothing may come of it, for it could not go back."""
        client = self._contexts.client_of(branch, method)
        if client is not None and not (returns or client.alone):
            self._unheeded("bad responses")
        elif client is not None:
            self._contexts.response(client, self._seals.turned(message, client.server.mark), now, out)
        else:
            self._late(message, branch, out)

    def _late(self, message: SipMessage, branch: str, out: Outs) -> None:
        """A response to what another run sent: it goes to where its next Via says (RFC 3261 16.11)."""
        found = self._sender.back(message.vias[1:2])
        if found is None or not self._sender.is_of_former_run(branch, message.call_id, found[1].host):
            self._unheeded("stray responses")
            return
        listener, to = found
        self.counts["late responses"] += 1
        out.append(Out(listener, to, hop.returned(message, stream=to.transport != "udp")))

    # What cannot be forwarded

    def _refuse(
        self, message: SipMessage, status: int, listener: int, source: Hop, now: int, out: Outs, extra: bytes = b""
    ) -> None:
        """An answer without a transaction (RFC 3261 16.11, 8.2.7)."""
        self.counts[f"answered {status}"] += 1
        if message.is_request and message.start_method == b"ACK":
            return
        try:
            top = top_via.read(message)
            to_tag = self._to_tag(message.call_id)
        except SipError:
            top, to_tag = None, "mc"
        via = None if top is None else top_via.with_source(top, source)
        octets = hop.answer(message, status, choice.reason(status), top_via=via, to_tag=to_tag, extra=extra)
        if top is not None and feedback.supports(top.params):
            octets = feedback.telling(octets, self._overload.share, now)
        out.append(Out(listener, source if top is None else top_via.back(top, source), octets))

    def _unreadable(self, octets: bytes, error: SipError, listener: int, source: Hop, now: int, out: Outs) -> None:
        self._unheeded("unreadable" if octets.strip(b"\r\n\0") else "keep-alives")
        if octets.lstrip(b"\r\n")[:16].upper().startswith((b"SIP/", b"ACK ")):
            return
        message = hop.readable(octets)
        if message is not None:
            self._refuse(message, error.status, listener, source, now, out)

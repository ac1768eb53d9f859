"""Response contexts (RFC 3261 16.2, 16.7-16.10): a request that is being forwarded, its branches, and their timers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from imswire import sip
from imswire.sip import SipMessage, hop
from midcall.base.bounded import BoundedTable
from midcall.cscf import choice, feedback, timers
from midcall.cscf.overload import Overload
from midcall.cscf.timers import LONG, T1, T2, TRYING, Timers
from midcall.cscf.top_via import Key
from midcall.cscf.transactions import Client, Phase, Server
from midcall.cscf.values import Out, Outs

NextGroup = Callable[[Server, int, Outs], None]
"""Starts the next group of targets of a context."""
Follow = Callable[[Server, SipMessage, int], bool]
"""Adds what a 3xx names to the targets of a context; False: it names nothing that can be tried."""


Elsewhere = Callable[[Client, int, Outs], None]
"""Sends what a branch sent to the next of its other places."""


ANSWERED = (b'SIP;cause=200;text="Call completed elsewhere"',)
"""Why a branch is cancelled when another has answered (RFC 3326 2, TS 24.229 5.4.3.3)."""

HELD_OCTETS = 1 << 30
"""Of messages that transactions keep: many times what calls of the usual size need."""


class Contexts:
    """All transactions of a worker; at most ``bound`` of each kind. Times are monotonic ns.

    ``to_tag`` names us in responses of our own; ``next_group`` begins what is to be tried when all before has failed;
    ``follow`` adds to that what a 3xx names; ``elsewhere`` sends what a branch sent to another place; ``reached`` is
    told of a branch that has other places and was answered. ``faults`` are errors of our own that ended a transaction,
    for the shell to tell. ``octets`` of messages are kept for transactions that have no answer yet, or may have to
    repeat it.
    """

    def __init__(
        self,
        bound: int,
        to_tag: Callable[[str], str],
        next_group: NextGroup,
        follow: Follow,
        elsewhere: Elsewhere,
        overload: Overload,
    ) -> None:
        self._elsewhere = elsewhere
        self.reached: Callable[[Client], None] = lambda _: None
        self._overload = overload
        self.servers: BoundedTable[Key, Server] = BoundedTable("cscf.servers", bound)
        self.clients: BoundedTable[str, Client] = BoundedTable("cscf.clients", 4 * bound)
        self.server_of = self.servers.reader()
        self._client_of = self.clients.reader()
        self.counts: Counter[str] = Counter()
        self.faults: list[Exception] = []
        self.octets = 0
        self._timers: Timers[Server | Client] = Timers()
        self._to_tag = to_tag
        self._next_group = next_group
        self._follow = follow

    @property
    def is_full(self) -> bool:
        return self._is_full(1)

    @property
    def is_half_full(self) -> bool:
        return self._is_full(2)

    def _is_full(self, times: int) -> bool:
        servers, clients = self.servers, self.clients
        if times * len(servers) >= servers.bound or times * len(clients) >= clients.bound:
            return True
        return times * self.octets >= HELD_OCTETS

    def _hold(self, server: Server, octets: int) -> None:
        """So much more is kept for a transaction, or less."""
        server.octets += octets
        self.octets += octets

    # Server side

    def open(self, server: Server) -> None:
        self.servers.put(server.key, server)
        if server.request is not None:
            self._hold(server, len(server.request.octets))

    def answer_in_time(self, server: Server, now: int) -> None:
        """100 for a request that is no INVITE, should it have no answer by then (RFC 4320 4.1)."""
        self._run(now, "100", TRYING, server)

    def repeated(self, server: Server, out: Outs) -> None:
        """A retransmission came: what was answered last is answered again."""
        if server.last is not None and server.phase in (Phase.PROCEEDING, Phase.COMPLETED):
            out.append(Out(server.listener, server.hop, server.last))

    def acknowledged(self, server: Server, now: int) -> bool:
        """An ACK came; True: it ends here, False: it is for the one who accepted."""
        if server.phase == Phase.ACCEPTED:
            return False
        if server.phase == Phase.COMPLETED:
            self._run(now, *server.acknowledged(), server)
        return True

    def answer(self, server: Server, status: int, now: int, out: Outs, extra: bytes = b"") -> None:
        """A response of our own."""
        request = server.request
        if request is None:
            return
        octets = hop.answer(
            request, status, choice.reason(status), top_via=server.via,
            to_tag="" if status == 100 else self._to_tag(request.call_id), extra=extra,
        )  # fmt: skip
        self.respond(server, status, octets, now, out)

    def respond(self, server: Server, status: int, octets: bytes, now: int, out: Outs) -> None:
        """Send a response, provisional or final, to where the request came from."""
        if server.hears:
            octets = feedback.telling(octets, self._overload.share, now)
        out.append(Out(server.listener, server.hop, octets))
        if status < 200:
            self._hold(server, len(octets) - len(server.last or b""))
            server.last = octets
            return
        if server.decided:
            return  # another 2xx of a fork: it goes on, and changes nothing (RFC 6026 8.5)
        name, duration = server.answered(status)
        server.decided = True
        server.waiting.clear()
        # Nobody asks for a 2xx to an INVITE again: the one who sent it repeats it.
        server.last = octets if server.phase == Phase.COMPLETED else None
        server.request = None
        self._hold(server, len(server.last or b"") - server.octets)
        self._run(now, name, duration, server)
        if name == "H" and not server.reliable:
            self._run(now, "G", T1, server)

    # Client side

    def start(self, client: Client, now: int, out: Outs, name: str) -> None:
        """A branch is sent on its way."""
        client.server.clients.append(client)
        self._hold(client.server, len(client.octets))
        self._send(client, now, out, onward=True, name=name)

    def ask(self, client: Client, now: int, out: Outs, told: Callable[[int], None]) -> None:
        """A request of our own; ``told`` is given its final status, 408 or 503 when there is none."""
        client.alone, client.told = True, told
        self._send(client, now, out)

    def _alone(self, client: Client, status: int) -> None:
        told = client.told
        self._over(client)
        if told is not None:
            told(status)

    def _send(self, client: Client, now: int, out: Outs, *, onward: bool = False, name: str = "") -> None:
        self.clients.put(client.branch, client)
        out.append(Out(client.listener, client.hop, client.octets, client.branch, onward, name))
        client.until = now + LONG
        if client.reliable:
            self._run(now, "B" if client.invite else "F", LONG, client)
            if not client.invite and not client.alone:
                self.answer_in_time(client.server, now)
        else:
            self._run(now, "A" if client.invite else "E", T1, client)

    def client_of(self, branch: str, method: str) -> Client | None:
        """The branch that a response answers, by its Via and CSeq (RFC 3261 17.1.3)."""
        client = self._client_of(_of_cancel(branch) if method == "CANCEL" else branch)
        return client if client is not None and (client.alone or client.method == method) else None

    def response(self, client: Client, message: SipMessage, now: int, out: Outs) -> None:
        """A response of a branch (RFC 3261 16.7). SipError: it leads nowhere."""
        status = message.status or 0
        if client.alone:
            if status >= 200:
                self._alone(client, status)
            return
        if client.others:
            self.reached(client)
        server = client.server
        if status < 200:
            self._provisional(client, server, message, status, now, out)
        elif client.phase <= Phase.PROCEEDING:
            if client.invite and status >= 300:
                self._acknowledge(client, message, out)
            self._run(now, *client.ended(status), client)
            client.final = message if status >= 300 else None
            if not server.decided:
                self._hold(server, len(message.octets))
            if status == 503 and self._goes_elsewhere(client, now, out):
                return
            if 300 <= status < 400 and server.recurses and self._follow(server, message, now):
                server.clients.remove(client)  # RFC 3261 16.7 4: as if it had not answered
                client.final = None
            self._decide(server, message, status, now, out)
        elif client.phase == Phase.ACCEPTED and status < 300:
            self.respond(server, status, self._returned(server, message), now, out)
        elif client.phase == Phase.COMPLETED and client.invite and status >= 300:
            self._acknowledge(client, message, out)

    def _provisional(
        self, client: Client, server: Server, message: SipMessage, status: int, now: int, out: Outs
    ) -> None:
        if not client.pending:
            return
        is_first = client.phase == Phase.CALLING
        client.phase = Phase.PROCEEDING
        if not client.invite:
            return  # RFC 4320 4.1: none but 100 is sent for it, and that by each hop itself
        if client.silent_until == 0:
            self._run(now, "C", timers.C, client)
            client.silent_until = now + timers.C
        elif status > 100:
            client.silent_until = now + timers.C
        if client.cancelling and is_first:
            self._send_cancel(client, now, out)
        if status > 100 and server.phase == Phase.PROCEEDING:
            self.respond(server, status, self._returned(server, message), now, out)

    def _returned(self, server: Server, message: SipMessage) -> bytes:
        return hop.returned(message, stream=server.reliable)

    def _decide(self, server: Server, message: SipMessage | None, status: int, now: int, out: Outs) -> None:
        """A branch has ended (16.7 5-10): a 2xx goes on at once, others when nothing better can come."""
        if message is not None and 200 <= status < 300:
            server.waiting.clear()
            self.respond(server, status, self._returned(server, message), now, out)
            self.cancel(server, now, out, ANSWERED)
            return
        if server.decided:
            return
        if status >= 600:
            server.waiting.clear()
            self.cancel(server, now, out)
        if any(each.pending for each in server.clients) or server.unresolved:
            return
        if server.waiting and not server.cancelled:
            self._next_group(server, now, out)
            return
        self._forward_best(server, now, out)

    def _forward_best(self, server: Server, now: int, out: Outs) -> None:
        statuses = [each.status for each in server.clients] or [480]
        place = choice.best(statuses)
        status = statuses[place]
        final = server.clients[place].final if server.clients else None
        if not server.invite and status == 408:
            # RFC 4320 4.2: nobody waits for it any more.
            self._end_silently(server)
        elif final is None or status == 503:
            self.answer(server, 500 if status == 503 and not server.held else status, now, out)
        else:
            octets = self._returned(server, final)
            others = [each.final for each in server.clients if each.final not in (None, final)]
            lines = choice.challenges(status, [each for each in others if each is not None])
            if lines:
                start, _, rest = octets.partition(b"\r\n")
                octets = b"%b\r\n%b%b" % (start, lines, rest)
            self.respond(server, status, octets, now, out)
        for client in server.clients:
            client.final = None

    def _end_silently(self, server: Server) -> None:
        server.phase = Phase.OVER
        server.decided = True
        server.request = None
        self._hold(server, -server.octets)
        self.servers.pop(server.key)

    def failed(self, client: Client, status: int, now: int, out: Outs) -> None:
        """A branch ends without a response: a timer ran out (408), or it cannot be sent (503, RFC 3261 16.9)."""
        if not client.pending:
            return
        if client.alone:
            self._alone(client, status)
            return
        is_silent = client.phase == Phase.CALLING
        client.status = status
        client.phase = Phase.OVER
        self.clients.pop(client.branch)
        if is_silent and self._goes_elsewhere(client, now, out, reached=status == 408):
            return
        self._decide(client.server, None, status, now, out)

    def _goes_elsewhere(self, client: Client, now: int, out: Outs, *, reached: bool = False) -> bool:
        """Whether a branch whose place fails goes to another place of the same name (RFC 3263 4.3), or the same by
        another transport when it was not ``reached`` (RFC 3261 18.1.1).
        """
        server = client.server
        if reached:
            client.others = tuple(each for each in client.others if not each.is_beside(client.hop))
        if not client.others or client.cancelling or server.decided or server.cancelled:
            return False
        server.clients.remove(client)
        self._elsewhere(client, now, out)
        return True

    def unsent(self, server: Server, status: int, now: int, out: Outs) -> None:
        """A target to which nothing could be sent at all."""
        client = Client(server, "", server.listener, server.hop, b"")
        client.status, client.phase = status, Phase.OVER
        server.clients.append(client)
        self._decide(server, None, status, now, out)

    # CANCEL (RFC 3261 9, 16.10)

    def cancel(self, server: Server, now: int, out: Outs, why: Sequence[bytes] = ()) -> None:
        """End what is pending of an INVITE: at once where a provisional response came, else when one comes. ``why``:
        values of Reason, by which a telephone tells a call that was missed from one that somebody else took (RFC 3326).
        """
        if not server.invite:
            return
        server.why = tuple(why)
        for client in server.clients:
            if not client.pending or client.cancelling:
                continue
            client.cancelling = True
            if client.phase == Phase.PROCEEDING:
                self._send_cancel(client, now, out)

    def _send_cancel(self, client: Client, now: int, out: Outs) -> None:
        self._run(now, "cancelled", LONG, client)
        cancel = Client(client.server, _of_cancel(client.branch), client.listener, client.hop, b"")
        cancel.octets = companion(client.octets, "CANCEL", None, client.server.why)
        cancel.invite, cancel.alone = False, True
        self._send(cancel, now, out)

    def _acknowledge(self, client: Client, message: SipMessage, out: Outs) -> None:
        out.append(Out(client.listener, client.hop, companion(client.octets, "ACK", message)))

    # Timers

    def next_deadline(self) -> int | None:
        return self._timers.next()

    def deadline(self, now: int, out: Outs) -> None:
        """All that is due. One with which something goes wrong ends, and the others go on."""
        for due, name, what in self._timers.due(now):
            try:
                if isinstance(what, Server):
                    self._server_due(name, what, due, out)
                else:
                    self._client_due(name, what, due, out)
            except Exception as error:  # noqa: BLE001 - told: it may have been sent to us for just that
                self.faults.append(error)
                self._give_up(what, due, out)

    def _give_up(self, what: Server | Client, now: int, out: Outs) -> None:
        server = what.server if isinstance(what, Client) else what
        self._over(what)
        if not (server.decided or (isinstance(what, Client) and what.alone)):
            self.answer(server, 500, now, out)

    def _run(self, now: int, name: str, duration: int, what: Server | Client) -> None:
        if duration:
            self._timers.start(now, duration, name, what)
        else:
            self._over(what)

    def _over(self, what: Server | Client) -> None:
        what.phase = Phase.OVER
        if isinstance(what, Server):
            self.servers.pop(what.key)
            what.last = what.request = None
            what.clients.clear()
            self._hold(what, -what.octets)
        else:
            self.clients.pop(what.branch)
            what.octets = b""
            what.final = None

    def _server_due(self, name: str, server: Server, now: int, out: Outs) -> None:
        if name == "G":
            if server.phase == Phase.COMPLETED and server.last is not None:
                out.append(Out(server.listener, server.hop, server.last))
                server.interval = min(2 * server.interval, T2)
                self._run(now, "G", server.interval, server)
        elif name == "100":
            if server.phase == Phase.PROCEEDING and server.last is None:
                self.answer(server, 100, now, out)
        elif server.phase != Phase.OVER and not (name == "H" and server.phase == Phase.CONFIRMED):
            self._over(server)

    def _client_due(self, name: str, client: Client, now: int, out: Outs) -> None:
        if name in ("A", "E"):
            self._resend(client, now, out)
        elif name in ("B", "F"):
            if client.phase == Phase.CALLING or (name == "F" and client.pending):
                self.failed(client, 408, now, out)
        elif name == "C":
            if client.phase == Phase.PROCEEDING and not client.cancelling:
                if client.silent_until > now:
                    self._run(now, "C", LONG, client)
                else:
                    client.cancelling = True
                    self._send_cancel(client, now, out)
        elif name == "cancelled":
            self.failed(client, 408, now, out)
        elif client.phase != Phase.OVER:
            self._over(client)

    def _resend(self, client: Client, now: int, out: Outs) -> None:
        """Over UDP: INVITE until anything comes, other requests until the final response (17.1.1.2, 17.1.2.2).

        Timers B and F end it, so they run in no queue of their own; Timer E comes to T2 when 100 is due (RFC 4320 4.1).
        """
        if client.phase == Phase.CALLING or (client.pending and not client.invite):
            if now >= client.until:
                self.failed(client, 408, now, out)
                return
            if not client.invite and not client.alone and now >= client.until - LONG + TRYING:
                self._server_due("100", client.server, now, out)
            out.append(Out(client.listener, client.hop, client.octets, client.branch))
            client.interval *= 2
            if not client.invite:
                client.interval = T2 if client.phase == Phase.PROCEEDING else min(client.interval, T2)
            self._run(now, "A" if client.invite else "E", min(client.interval, client.until - now), client)


def _of_cancel(branch: str) -> str:
    return "CANCEL " + branch


def companion(octets: bytes, method: str, response: SipMessage | None = None, why: Sequence[bytes] = ()) -> bytes:
    """The CANCEL of a request that was sent (RFC 3261 9.1), or the ACK of its ``response`` (17.1.1.3)."""
    request = sip.parse(octets)
    uri = (request.request_uri or "").encode("utf-8", "surrogateescape")
    to = response.raw(b"to") if response is not None else None
    lines = [b"%b %b SIP/2.0" % (method.encode(), uri), b"Via: " + _first(request.raws(b"via")[0])]
    lines += [b"Route: " + each for each in request.raws(b"route")]
    lines += [
        b"Max-Forwards: 70",
        b"From: " + (request.raw(b"from") or b""),
        b"To: " + (to or request.raw(b"to") or b""),
        b"Call-ID: " + (request.raw(b"call-id") or b""),
        b"CSeq: %d %b" % (request.cseq.number, method.encode()),
        *(b"Reason: " + each for each in why),
        b"Content-Length: 0",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _first(value: bytes) -> bytes:
    """Ours: it holds no comma."""
    return value.partition(b",")[0].rstrip()

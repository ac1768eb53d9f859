"""A proxy core in memory, and what its neighbours say to it."""

from __future__ import annotations

from collections.abc import Sequence

from imswire import sip
from imswire.sip import SipMessage
from midcall.cscf.marks import Seals
from midcall.cscf.overload import Overload
from midcall.cscf.proxy import Proxy
from midcall.cscf.routing import Contact, Plan, Router, StaticRoute
from midcall.cscf.timers import MS
from midcall.cscf.values import Admission, Hop, Listener, Out, Outs, Resolve

DOORS = (
    Listener("udp", "192.0.2.1", 5060),
    Listener("tcp", "192.0.2.1", 5060),
    Listener("tls", "192.0.2.1", 5061),
    Listener("udp", "2001:db8::1", 5060, ipv6=True),
)
ALICE = Hop("udp", "192.0.2.10", 5060)
BOB = Hop("udp", "192.0.2.20", 5060)
CAROL = Hop("udp", "192.0.2.30", 5060)
KEY = b"k" * 32
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Users:
    """A location service of lists."""

    def __init__(self) -> None:
        self.bound: dict[str, list[Contact]] = {}

    def contacts(self, aor: str, now: int) -> Sequence[Contact]:
        return self.bound.get(aor, ())

    def has_flow(self, uri: str) -> bool:
        return any(each.flow and each.uri == uri for contacts in self.bound.values() for each in contacts)

    def flow(self, aors: Sequence[str], uri: str, now: int) -> Hop | None:
        found = [each.flow for aor in aors for each in self.bound.get(aor, ()) if each.uri == uri]
        return found[0] if found else None

    def is_known(self, aor: str) -> bool:
        return aor in self.bound


class OpenGate:
    """Lets pass, until it is told otherwise."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.asked: list[tuple[SipMessage, Plan, Hop]] = []

    def believes(self, source: Hop) -> bool:
        return True

    def opens(self, source: Hop, place: Hop) -> bool:
        return True

    def admit(self, message: SipMessage, plan: Plan, source: Hop, now: int) -> Admission:
        self.asked.append((message, plan, source))
        return self.admission


class NoHome:
    """Registers nobody."""

    def register(self, message: SipMessage, source: Hop, listener: int, now: int) -> tuple[int, bytes] | None:
        return None


class Stage:
    """One proxy; ``now`` is its clock, and what it sends is what the calls return."""

    def __init__(
        self, *static: StaticRoute, run: str = "run1", bound: int = 1_000, domain: str = "home.example"
    ) -> None:
        self.users = Users()
        self.gate = OpenGate()
        self.now = 0
        seals = Seals(KEY)
        self.router = Router(DOORS, (domain,), static, self.users, seals)
        self.overload = Overload(lambda _: 0)
        self.proxy = Proxy(DOORS, self.router, self.gate, NoHome(), seals, run, bound, self.overload)
        self.bind("bob", "sip:bob@192.0.2.20")

    def bind(self, user: str, *uris: str, q: int = 1_000, path: tuple[str, ...] = (), flow: Hop | None = None) -> None:
        self.users.bound.setdefault(f"sip:{user}@home.example", []).extend(Contact(uri, path, q, flow) for uri in uris)

    def unbind(self, user: str) -> None:
        self.users.bound[f"sip:{user}@home.example"] = []

    def outs(self, octets: bytes | str, source: Hop, listener: int = 0) -> Outs:
        return self.proxy.message(octets.encode() if isinstance(octets, str) else octets, listener, source, self.now)

    def say(self, octets: bytes | str, source: Hop, listener: int = 0) -> list[tuple[Hop, SipMessage]]:
        """Give it a message; what it sends, and where to."""
        return sent(self.outs(octets, source, listener))

    def wait(self, milliseconds: int) -> list[tuple[Hop, SipMessage]]:
        """Let time pass; what it sends in it, each timer at its time."""
        end = self.now + milliseconds * MS
        found: list[tuple[Hop, SipMessage]] = []
        while (due := self.proxy.next_deadline()) is not None and due <= end:
            self.now = due
            found += sent(self.proxy.deadline(due))
            for fault in self.proxy.take_faults():
                raise fault
        self.now = end
        return found


def sent(outs: Outs) -> list[tuple[Hop, SipMessage]]:
    return [(out.hop, sip.parse(out.octets)) for out in outs if isinstance(out, Out)]


def names(outs: Outs) -> list[str]:
    return [out.host for out in outs if isinstance(out, Resolve)]


def request(
    method: str = "INVITE",
    uri: str = "sip:bob@home.example",
    *headers: str,
    branch: str = "z9hG4bKa1",
    via: str = "SIP/2.0/UDP 192.0.2.10",
    call_id: str = "call-1",
    cseq: int = 1,
    to_tag: str = "",
    body: str = "",
    hops: int | None = 70,
) -> str:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via};branch={branch}",
        "From: <sip:alice@home.example>;tag=a",
        f"To: <sip:bob@home.example>{';tag=' + to_tag if to_tag else ''}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *([] if hops is None else [f"Max-Forwards: {hops}"]),
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def response(to: SipMessage, status: int, *headers: str, tag: str = "b", reason: str = "Reason", body: str = "") -> str:
    """What a user agent answers to a request that it got."""
    lines = [f"SIP/2.0 {status} {reason}"]
    lines += [f"Via: {value}" for value in to.values("Via")]
    lines += [f"Record-Route: {value}" for value in to.values("Record-Route")]
    target = to.first("To") or ""
    lines += [
        f"From: {to.first('From')}",
        f"To: {target}{'' if 'tag=' in target or status == 100 else ';tag=' + tag}",
        f"Call-ID: {to.call_id}",
        f"CSeq: {to.cseq}",
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + body

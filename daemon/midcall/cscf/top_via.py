"""The topmost Via of a request: which transaction it belongs to, and where its responses go (RFC 3261 17.2.3, 18.2)."""

from __future__ import annotations

from msgspec import Struct

from imswire import sip
from imswire.sip import SipError, SipMessage, Via
from imswire.sip.verdict import MAGIC_COOKIE, Usual
from midcall.base.remembered import remembered
from midcall.cscf import feedback
from midcall.cscf.values import PORTS, Hop, Transport, bracketed

Key = tuple[str, ...]


class TopVia(Struct, frozen=True, gc=False):
    """``text`` is the value as it came, ``sent_by`` its part before the parameters."""

    text: str
    sent_by: str
    host: str
    port: int
    branch: str
    rport: bool
    params: tuple[tuple[str, str | None], ...] | None
    """None: branch and rport are all that it has."""

    @property
    def place(self) -> str:
        """host:port, however it was written: with space, folded, without the usual port (RFC 3261 18.2.1, 25.1)."""
        return f"{bracketed(self.host)}:{self.port}"

    def value(self, name: str) -> str | None:
        """A parameter; "" without a value, None when it is not there."""
        for each, value in self.params or ():
            if each.lower() == name:
                return value or ""
        return None


def of_usual(usual: Usual) -> TopVia | None:
    """What a usual message says of it; None: it has further parameters, and has to be read."""
    if usual.more:
        return None
    sent_by, branch, rport = usual.sent_by, usual.branch, usual.rport
    _, host, port = _sent_by(sent_by)
    text = f"{sent_by};branch={branch};rport" if rport else f"{sent_by};branch={branch}"
    return TopVia(text, sent_by, host, port, branch, rport, None)


def read(message: SipMessage) -> TopVia:
    """SipError: missing or wrong."""
    raw = message.raw(b"via")
    if raw is None:
        raise SipError("Via", "missing")
    text = raw.decode("utf-8", "surrogateescape")
    if "," in text or '"' in text:
        text = message.values("Via")[0]
    sent_by, _, rest = text.partition(";")
    transport, host, port = _sent_by(sent_by)
    names = rest.split(";")
    if names[0].startswith("branch=") and '"' not in rest:
        branch = names[0][7:]
        if len(names) == 1 and _is_plain(branch):
            return TopVia(text, sent_by, host, port, branch, False, None)
        if len(names) == 2 and names[1] == "rport" and _is_plain(branch):
            return TopVia(text, sent_by, host, port, branch, True, None)
    via = sip.parse_via(text)
    rport = any(name.lower() == "rport" for name, _ in via.params)
    return TopVia(text, sent_by, host, port, via.branch or "", rport, via.params)


def _is_plain(branch: str) -> bool:
    return not (" " in branch or "\t" in branch)


def _read_sent_by(text: str) -> tuple[str, str, int]:
    via = sip.parse_via(text)
    transport = via.transport.lower()
    default = PORTS[transport] if transport in PORTS else PORTS["udp"]
    return transport, via.host.strip("[]"), default if via.port is None else via.port


_sent_by = remembered(_read_sent_by, 4_096)


def with_source(top: TopVia, hop: Hop) -> bytes | None:
    """The Via with where the request came from (RFC 3261 18.2.1, RFC 3581 4); None: it says so itself.

    What the sender wrote there is overwritten: it would lead the response elsewhere.
    """
    if not top.rport and top.params is None:
        if top.host == hop.host:
            return None
        return f"{top.text};received={bracketed(hop.host)}".encode("utf-8", "surrogateescape")
    if top.params is None:
        text = f"{top.text}={hop.port};received={bracketed(hop.host)}"
        return text.encode("utf-8", "surrogateescape")
    is_there = top.host.lower() == hop.host.lower()
    if is_there and not top.rport and top.value("received") is None and top.value("oc") is None:
        return None
    params = [(name, str(hop.port) if name.lower() == "rport" else value) for name, value in top.params]
    params = [each for each in feedback.without(tuple(params)) if each[0].lower() != "received"]
    if not is_there or top.rport:
        params.append(("received", bracketed(hop.host)))
    transport = sip.parse_via(top.sent_by)
    via = Via(transport.transport, transport.host, transport.port, tuple(params))
    return str(via).encode("utf-8", "surrogateescape")


def back(top: TopVia, hop: Hop) -> Hop:
    """Where responses go (RFC 3261 18.2.2, RFC 3581 4): over the connection, and should it be gone, to the port that
    Via names; over UDP to the source, or to that port.

    maddr is honoured for the source itself only: anywhere else it would send our answers to strangers.
    """
    if hop.port == top.port or (top.rport and hop.transport == "udp"):
        return hop
    return hop._replace(port=top.port)


def key(message: SipMessage, top: TopVia) -> Key:
    """What a request shares with its retransmissions, and ACK and CANCEL with the INVITE (RFC 3261 17.2.3)."""
    method = message.method
    if method in ("ACK", "CANCEL"):
        method = "INVITE"
    if top.branch.startswith(MAGIC_COOKIE):
        return top.branch, top.sent_by, method
    # RFC 2543: the To tag of an ACK is that of the response, so it cannot take part.
    number = str(message.cseq.number)
    return "", message.request_uri or "", message.from_tag or "", message.call_id, number, top.text, method


def transport_of(text: str) -> Transport | None:
    """A transport by its name in a URI or Via; None: none of ours."""
    lower = text.lower()
    return lower if lower in PORTS else None

"""A simulated call through a proxy: both ends register, and SIP goes by the proxy and the route that it recorded."""

from __future__ import annotations

from typing import Protocol

from imswire import sip
from imswire.sip import SipMessage
from midcall.ue.call import MILLI, Call, message
from midcall.ue.party import Party
from midcall.ue.ticket import AskKms
from midcall.ue.wire import Wire

Place = tuple[bytes, int]
EXPIRES = 3_600


class Proxy(Protocol):
    """The way through a proxy, at the time given: what arrives there of what is sent from a place."""

    def through(self, time: int, source: Place, destination: Place, payload: bytes) -> bytes: ...


class ProxiedCall(Call):
    """``proxy`` brings messages to the proxy and back; ``wire`` everything else. The rest as in :class:`Call`."""

    def __init__(
        self, wire: Wire, proxy: Proxy, ask: AskKms, caller: Party, callee: Party, call_id: str, now: int
    ) -> None:
        super().__init__(wire, ask, caller, callee, call_id, now)
        self._proxy = proxy
        self._asked: dict[str, SipMessage] = {}
        self._routes: dict[int, list[str]] = {}
        self._targets: dict[int, str] = {}
        self._registers = 0

    def register(self, party: Party, expires: int = EXPIRES) -> None:
        """REGISTER and its 200, for so many seconds, 0: no more (RFC 3261 10.2). ConnectionError: it was refused."""
        domain = party.uri.partition("@")[2]
        self._registers += 1
        number = self._registers
        lines = [
            f"REGISTER sip:{domain} SIP/2.0",
            self._via(party, f"REGISTER{number}"),
            "Max-Forwards: 70",
            f"From: <{party.uri}>;tag={party.tag}r",
            f"To: <{party.uri}>",
            f"Call-ID: register-{party.tag}-{self.call_id}",
            f"CSeq: {number} REGISTER",
            f"Contact: <{self._contact(party)}>",
            f"Expires: {expires}",
        ]
        answer = self._go(party, party, lines)
        if answer.status != 200:
            raise ConnectionError(f"{party.uri} was not registered: {answer.status}")

    def request(
        self, method: str, sender: Party, body: str = "", *, initial: bool = False, number: int | None = None
    ) -> int:
        """To the user, or in a dialog to where the other side is, by the recorded route (RFC 3261 12.2.1.1)."""
        receiver = self._other(sender)
        if number is None:
            number = self._cseq[id(sender)]
            self._cseq[id(sender)] += 1
        target = receiver.uri if initial else self._targets.get(id(sender), receiver.uri)
        to_tag = "" if initial else f";tag={receiver.tag}"
        lines = [
            f"{method} {target} SIP/2.0",
            self._via(sender, f"{method}{number}"),
            *(f"Route: {each}" for each in self._routes.get(id(sender), ())),
            "Max-Forwards: 70",
            f"From: <{sender.uri}>;tag={sender.tag}",
            f"To: <{receiver.uri}>{to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <{self._contact(sender)}>",
            f"P-Asserted-Identity: <{sender.uri}>",
        ]
        came = self._go(sender, receiver, lines, body)
        self._asked[f"{number} {method}"] = came
        if initial:
            self._routes[id(receiver)] = list(came.values("Record-Route"))
            self._targets[id(receiver)] = _uri(came)
        return number

    def response(
        self, status: str, method: str, number: int, sender: Party, body: str = "", *, tag: bool = True
    ) -> None:
        """To the request as it arrived, by the Vias that it has (RFC 3261 8.2.6). The proxy says 100 itself."""
        if status.startswith("100"):
            return
        asked, asker = self._asked[f"{number} {method}"], self._other(sender)
        to = asked.first("To") or ""
        lines = [
            f"SIP/2.0 {status}",
            *(f"Via: {each}" for each in asked.values("Via")),
            *(f"Record-Route: {each}" for each in asked.values("Record-Route")),
            f"From: {asked.first('From')}",
            f"To: {to}" + (f";tag={sender.tag}" if tag and asked.to_tag is None else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <{self._contact(sender)}>",
            f"P-Asserted-Identity: <{sender.uri}>",
        ]
        came = self._go(sender, asker, lines, body)
        if method == "INVITE" and came.to_tag is not None:
            self._routes.setdefault(id(asker), list(reversed(came.values("Record-Route"))))
            self._targets[id(asker)] = _uri(came)

    def _contact(self, party: Party) -> str:
        return f"sip:{party.uri.partition(':')[2].partition('@')[0]}@{self._host(party)}"

    def _go(self, sender: Party, receiver: Party, lines: list[str], body: str = "") -> SipMessage:
        octets = self._proxy.through(self.now, sender.sip, receiver.sip, message(lines, body))
        self.now += MILLI
        return sip.parse(octets)


def _uri(came: SipMessage) -> str:
    """The remote target (RFC 3261 12.1)."""
    return sip.parse_name_addr(came.values("Contact")[0], "Contact").uri

"""Simulated users behind a proxy: they register, and what they say in a dialog follows the route that was recorded."""

from __future__ import annotations

import pytest

from imswire import inet, sip
from imswire.sip import SipMessage
from midcall.cscf.values import Hop
from midcall.ue import lab
from midcall.ue.proxied import ProxiedCall
from midcall.ue.wire import Wire
from tests.midcall.cscf.stage import Stage, response, sent

OFFER, ANSWER = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\n", "v=0\r\no=- 2 1 IN IP4 10.0.0.2\r\n"


class ThroughTheCore:
    """A proxy core in memory that serves the users' domain; ``seen`` is what it was sent, and what it sent."""

    def __init__(self, registers: int = 200) -> None:
        self.stage = Stage()
        self.seen: list[tuple[SipMessage, SipMessage]] = []
        self._registers = registers

    def through(self, time: int, source: tuple[bytes, int], destination: tuple[bytes, int], payload: bytes) -> bytes:
        came = sip.parse(payload)
        if came.method == "REGISTER" and came.is_request:
            user = came.to.uri.partition(":")[2].partition("@")[0]
            self.stage.bind(user, sip.parse_name_addr(came.values("Contact")[0], "Contact").uri)
            return response(came, self._registers).encode()
        for hop, message in sent(self.stage.outs(payload, Hop("udp", inet.text(source[0]), source[1]))):
            if (hop.host, hop.port) == (inet.text(destination[0]), destination[1]) and message.status != 100:
                self.seen.append((came, message))
                return message.octets
        raise AssertionError(f"nothing came of {came.start_line!r}")


def call(proxy: ThroughTheCore) -> ProxiedCall:
    draw = lab.seeded("proxied")
    alice, bob = (lab.party(lab.user(name, draw), number) for number, name in enumerate(("alice", "bob"), 1))
    for each in (alice, bob):
        each.user.uri = each.user.uri.replace("example.com", "home.example")
    return ProxiedCall(Wire(), proxy, lambda octets: octets, alice, bob, "proxied-1", 0)


def test_a_call_from_invite_to_bye():
    proxy = ThroughTheCore()
    made = call(proxy)
    for party in (made.caller, made.callee):
        made.register(party)
    number = made.request("INVITE", made.caller, OFFER, initial=True)
    made.response("100 Trying", "INVITE", number, made.callee, tag=False)
    made.response("180 Ringing", "INVITE", number, made.callee)
    made.response("200 OK", "INVITE", number, made.callee, ANSWER)
    made.request("ACK", made.caller, number=number)
    made.hang_up(made.callee)
    made.hang_up()
    names = [came.method if came.is_request else came.status for came, _ in proxy.seen]
    assert names == ["INVITE", 180, 200, "ACK", "BYE", 200, "BYE", 200]
    invite, ok = proxy.seen[0][1], proxy.seen[2][1]
    assert (
        invite.request_uri == "sip:bob@10.0.0.2:5060" and invite.body.decode() == OFFER and ok.body.decode() == ANSWER
    )
    for came, went in proxy.seen[3:]:
        if came.is_request:
            assert len(came.values("Route")) == 1 and went.values("Route") == ()
    assert [went.request_uri for came, went in proxy.seen if came.method == "BYE" and came.is_request] == [
        "sip:alice@10.0.0.1:5060",
        "sip:bob@10.0.0.2:5060",
    ]


def test_a_registration_that_is_refused():
    made = call(ThroughTheCore(403))
    with pytest.raises(ConnectionError, match="403"):
        made.register(made.caller)


def test_a_registration_that_ends():
    proxy = ThroughTheCore()
    asked: list[SipMessage] = []
    through = proxy.through
    made = call(proxy)
    proxy.through = lambda *given: (asked.append(sip.parse(given[-1])), through(*given))[1]  # type: ignore[method-assign]
    made.register(made.caller)
    made.register(made.caller, 0)
    assert [each.first("Expires") for each in asked] == ["3600", "0"]
    assert [str(each.cseq) for each in asked] == ["1 REGISTER", "2 REGISTER"]
    assert len({each.first("Via") for each in asked}) == 2 and len({each.first("Call-ID") for each in asked}) == 1

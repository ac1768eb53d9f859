"""Warrants for calls or for messages alone: replays of a call, a session of messages and a message beside them."""

from __future__ import annotations

import pytest

from midcall.config import ReplayConfig, Warranted
from midcall.ue.call import SECOND
from tests.scenarios.world import BEGIN, World

_MSRP = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=message 7394 TCP/MSRP *\r\n"
PAGE = (
    b"MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKm\r\n"
    b"From: <sip:alice@example.com>;tag=m\r\nTo: <sip:bob@example.com>\r\nCall-ID: m@lab\r\nCSeq: 1 MESSAGE\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
)


def world() -> World:
    made = World()
    call = made.call()
    call.establish(made.held())
    call.talk(1)
    call.hang_up()
    chat = made.call(call.caller, call.callee, "chat@lab", at=BEGIN + 5 * SECOND)
    number = chat.request("INVITE", chat.caller, _MSRP.format(chat.caller.address), initial=True)
    chat.response("200 OK", "INVITE", number, chat.callee, _MSRP.format(chat.callee.address))
    chat.request("ACK", chat.caller, number=number)
    chat.hang_up()
    made.wire.udp(BEGIN + 9 * SECOND, call.caller.sip, call.callee.sip, PAGE)
    return made


@pytest.mark.parametrize("start", [None, 0.7])
@pytest.mark.parametrize("services", [("voice",), ("messaging",), ("voice", "messaging")])
def test_a_replay_gives_the_services_of_its_warrant(tmp_path, services, start):
    outcome = world().replay(tmp_path, start=start, config=ReplayConfig(warranted=Warranted(services=services)))
    told = [b"".join((each.sip_message or b"", each.header_offer or b"")) for each in outcome.events]
    assert any(b"call-1@lab" in each for each in told) is ("voice" in services)
    assert any(b"chat@lab" in each for each in told) is ("messaging" in services)
    assert (PAGE in told) is ("messaging" in services)
    assert bool(outcome.media) is bool(outcome.content) is ("voice" in services)

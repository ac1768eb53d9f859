"""RFC 3261 18.1.1: what is too large for a datagram goes over TCP, where the next hop takes that."""

from __future__ import annotations

import asyncio

from imswire import sip
from imswire.sip import SipMessage
from midcall.cscf.names import AVOIDED_WAY_FOR
from midcall.cscf.routing import StaticRoute
from midcall.cscf.sending import LARGE
from midcall.cscf.timers import LONG, MS
from midcall.cscf.values import Found, Hop, Out, Resolve, Spot
from tests.midcall.cscf.live import run
from tests.midcall.cscf.stage import ALICE, Stage, request, response, sent
from tests.midcall.cscf.test_service import SECONDS, Site, StreamAgent, agent, running

BODY = "x" * LARGE
UDP, TCP = Hop("udp", "192.0.2.99", 5060), Hop("tcp", "192.0.2.99", 5060)
FAR = StaticRoute((("sip:192.0.2.99", 1),), domain="far.example", large=True)


def call(stage: Stage, number: int = 1, body: str = BODY, method: str = "INVITE") -> tuple[Hop, SipMessage, str]:
    """Where a request goes, as what, and the branch that is told when it cannot."""
    text = request(method, "sip:x@far.example", branch=f"z9hG4bKa{number}", call_id=str(number), body=body)
    out = next(each for each in stage.outs(text, ALICE) if isinstance(each, Out) and each.onward)
    return out.hop, sip.parse(out.octets), out.branch


def test_one_that_becomes_too_large_goes_over_tcp():
    assert call(Stage(FAR), body="x" * (LARGE - 300))[0] == TCP


def test_a_large_request_goes_over_tcp():
    hop, message, _ = call(Stage(FAR))
    assert hop == TCP and message.vias[0].transport == "TCP" and message.body == BODY.encode()
    # Its dialog goes the way that it would have gone: the recorded route is the one of UDP, and just one.
    (route,) = message.values("Record-Route")
    assert "transport" not in route


def test_one_that_fits_does_not():
    assert call(Stage(FAR), body="")[0] == UDP


def test_a_hop_that_is_not_said_to_take_tcp_gets_datagrams():
    assert call(Stage(StaticRoute(FAR.hops, domain="far.example")))[0] == UDP
    _, (hop, _) = Stage().say(request(body=BODY), ALICE)
    assert hop.transport == "udp"  # a user is where it has registered


def test_a_request_of_a_dialog_goes_over_tcp_to_the_same_host():
    stage = Stage(FAR)
    text = request("UPDATE", "sip:y@192.0.2.99:5070", body=BODY)
    assert [hop for hop, _ in stage.say(text, ALICE)] == [Hop("tcp", "192.0.2.99", 5070)]


def test_without_a_connection_it_goes_over_udp():
    """And so do others for a while."""
    stage = Stage(FAR)
    _, first, branch = call(stage)
    ((hop, again),) = sent(stage.proxy.failed(branch, stage.now))
    assert hop == UDP and again.vias[0].transport == "UDP" and again.body == first.body
    assert again.vias[0].branch != first.vias[0].branch
    assert stage.proxy.counts["again over UDP"] == 1
    ((back, ok),) = stage.say(response(again, 200), UDP)
    assert back == ALICE and ok.status == 200
    assert call(stage, 2)[0] == UDP
    stage.wait(AVOIDED_WAY_FOR // MS)
    assert call(stage, 3)[0] == TCP


def test_the_first_one_finds_out():
    """Others do not wait for a connection that may never come."""
    stage = Stage(FAR)
    _, first, _ = call(stage)
    assert call(stage, 2)[0] == UDP
    stage.say(response(first, 100), TCP, 1)
    assert call(stage, 3)[0] == TCP
    silent = Stage(FAR)
    call(silent)
    silent.wait(LONG // MS)
    assert call(silent, 2)[0] == TCP


def test_a_place_that_answers_is_not_asked_again_over_udp():
    stage = Stage(FAR)
    _, first, _ = call(stage)
    assert [message.status or message.method for _, message in stage.say(response(first, 503), TCP, 1)] == ["ACK", 500]
    _, second, _ = call(stage, 2, method="MESSAGE")
    stage.say(response(second, 100), TCP, 1)
    assert stage.wait(LONG // MS)[-1][1].status != 200 and stage.proxy.counts["again over UDP"] == 0


def test_a_place_that_is_silent_over_tcp_is_not_asked_again():
    stage = Stage(FAR)
    call(stage)
    assert [message.status for hop, message in stage.wait(LONG // MS) if hop == ALICE] == [408]


def test_each_place_of_a_name_is_tried_over_both():
    stage = Stage(StaticRoute((("sip:far.example:5060", 1),), domain="far.example", large=True))
    (asked,) = (
        each for each in stage.outs(request(uri="sip:x@far.example", body=BODY), ALICE) if type(each) is Resolve
    )
    places = (UDP, UDP._replace(host="192.0.2.98"))
    outs = stage.proxy.resolved(asked, Found((Spot(0, 0, places),), 60), stage.now)
    tried = []
    while outs[0].hop != ALICE:  # type: ignore[union-attr]
        tried.append(outs[0].hop)  # type: ignore[union-attr]
        outs = stage.proxy.failed(outs[0].branch, stage.now)  # type: ignore[union-attr]
    assert tried == [each._replace(transport=way) for each in places for way in ("tcp", "udp")]
    assert [(message.status, hop) for hop, message in sent(outs)] == [(500, ALICE)]


# With sockets


def large(port: int) -> str:
    return request("MESSAGE", "sip:x@far.example", via=f"SIP/2.0/UDP 127.0.0.1:{port}", body=BODY)


def test_over_a_connection_where_somebody_listens(tmp_path):
    async def main() -> None:
        site = Site(tmp_path)
        far: asyncio.Queue[StreamAgent] = asyncio.Queue()
        server = await asyncio.start_server(lambda *ends: far.put_nowait(StreamAgent(*ends)), "127.0.0.1", 0)
        async with running(site.config(to=server.sockets[0].getsockname()[1])), agent() as alice:
            alice.say(large(alice.port), site.port)
            async with asyncio.timeout(SECONDS):
                bob = await far.get()
            got = await bob.hears("MESSAGE")
            assert got.body == BODY.encode() and got.vias[0].transport == "TCP"
            bob.say(response(got, 200))
            assert (await alice.hears(200)).call_id == got.call_id
            bob.writer.close()
        server.close()

    run(main())


def test_over_udp_where_nobody_listens(tmp_path):
    async def main() -> None:
        site = Site(tmp_path)
        async with agent() as bob, running(site.config(to=bob.port)), agent() as alice:
            alice.say(large(alice.port), site.port)
            got = await bob.hears("MESSAGE")
            assert got.body == BODY.encode() and got.vias[0].transport == "UDP"
            bob.say(response(got, 200), site.port)
            assert (await alice.hears(200)).call_id == got.call_id

    run(main())

"""Product of POIs of other makers: their X2 and X3 alone, as the standards have them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from imswire import hi, inet, sip, x2x3
from imswire.hi import eps, ts33128
from imswire.hi.eps import ImsEvent
from imswire.x2x3 import Attribute, AttributeType, Direction, Pdu, PduType
from midcall.base.seal import SealKey
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch
from midcall.config import Network, Profile
from midcall.df2 import Agency
from midcall.events import CcRecord, Instant, IriRecord, Terms
from midcall.live.df import DfService
from midcall.live.intercepts import InterceptJournal
from midcall.ue.call import Call
from tests.imswire.sip.torture import TORTURE
from tests.midcall.base.test_x2 import EVENTS
from tests.midcall.live.recorded import Keys
from tests.scenarios.world import World

XID = "00000000-0000-4000-8000-000000000005"
OTHER = "00000000-0000-4000-8000-000000000006"
CALL = b"\x11" * 8
PEER = "urn:example:poi-of-another-maker"
ALICE = "sip:alice@example.com"


class Agencies:
    """Stands for a spool."""

    def __init__(self) -> None:
        self.events: list[IriRecord] = []
        self.content: list[CcRecord] = []

    def iri(self, records):
        self.events += records
        return asyncio.gather()

    def cc(self, records):
        self.content += records
        return asyncio.gather()

    def rtp(self, liid: str = "LI-1") -> list[bytes]:
        return [each.payload for each in self.content if each.stream.liid == liid]

    def told(self) -> list[eps.IriParameters]:
        return [eps.parse(each.contents) for each in self.events]


class Poi:
    """A point of interception that nobody here has made. ``call``: one that it sees, of which ``wire`` is all."""

    def __init__(self, df: DfService, peer: str = PEER) -> None:
        self.df = df
        self._peer = peer
        self._sequence = 0

    async def x2(self, make: Callable[[x2x3.X2Head], Pdu], xid: str = XID, *, matched: bool = True) -> None:
        head = x2x3.X2Head(
            xid=x2x3.xid_octets(xid),
            nfid=b"other",
            ipid=b"sip",
            sequence=self._sequence,
            time=time.time_ns(),
            matched=(x2x3.target("impu", ALICE),) if matched else (),
            correlation=CALL,
        )
        self._sequence += 1
        octets = x2x3.build(make(head))
        await self.df.commit(Batch(self._peer, [x2x3.parse(octets)], [octets], []))
        while self.df.open_questions:
            await asyncio.sleep(0)
        await self.df.commits.done()

    async def sip(self, seen: inet.Datagram, **options) -> None:
        message = ts33128.SipMessage(seen.src, seen.dst, seen.payload)
        direction = ts33128.SessionDirection.FROM_TARGET
        await self.x2(lambda head: x2x3.xiri(head, ts33128.ImsMessage(message=message, direction=direction)), **options)

    async def x3(self, media: list[inet.Datagram], sdp: bytes = b"", xid: str = XID, form: int = 5) -> None:
        packets = [self._packet(each, sdp, xid, form) for each in media]
        await self.df.commit(Batch(self._peer, [], [], packets))

    def _packet(self, each: inet.Datagram, sdp: bytes, xid: str, form: int) -> x2x3.Packet:
        payload = each.payload
        held = [Attribute(AttributeType.SDP, sdp)] if sdp else []
        if form == 8:
            place = (AttributeType.DESTINATION_IPV4, each.dst), (AttributeType.DESTINATION_PORT, each.dport)
            held += [Attribute(*value) for value in place]
        else:
            datagram = inet.udp(each.src, each.sport, each.dst, each.dport, payload)
            payload = inet.ip_packet(each.src, each.dst, inet.UDP, datagram)
        stream = Pdu(PduType.X3, form, Direction.TO_TARGET, x2x3.xid_octets(xid), CALL, tuple(held))
        return x2x3.Packet(stream, None, time.time_ns(), payload)


def call(establish: Callable[[World, Call], None] | None = None) -> tuple[World, list[inet.Datagram], list[bytes]]:
    """A call of Alice's: what passed, and what was said in clear."""
    world = World()
    held = world.call()
    if establish is None:
        held.establish(world.held())
    else:
        establish(world, held)
    held.talk(1)
    held.hang_up()
    found = [inet.decode(inet.ETHERNET, frame) for _, frame in world.wire.in_order()]
    return world, [each for each in found if isinstance(each, inet.Datagram)], [clear for _, _, clear in held.sent]


def parted(wire: list[inet.Datagram]) -> tuple[list[inet.Datagram], list[inet.Datagram], list[inet.Datagram]]:
    """SIP of the beginning, media, SIP of the end."""
    signalling = [each for each in wire if sip.looks_like_sip(each.payload)]
    return signalling[:-2], [each for each in wire if not sip.looks_like_sip(each.payload)], signalling[-2:]


def run(
    world: World, test: Callable[[Poi], Coroutine], terms: Terms | None = None, peer: str = PEER, **options
) -> Agencies:
    agencies = Agencies()

    async def whole() -> None:
        df = DfService(Keys(world), agencies, foreign=(PEER,), **options)
        order(df, XID, terms or Terms("LI-1"))
        await test(Poi(df, peer))
        await df.close()

    asyncio.run(whole())
    return agencies


def order(df: DfService, xid: str, terms: Terms) -> None:
    df.order(xid, Agency(terms, Profile(), Network()), b"signed")


def is_over(df: DfService, message: inet.Datagram, call_id: str = "") -> bool:
    """Whether the DF knows that the call of a message has ended."""
    (ladder,) = df.explain(call_id or sip.parse(message.payload).call_id, {})
    return any(rung.name == "ended" for fork in ladder.forks for rung in fork.rungs)


def datagram(like: inet.Datagram, payload: bytes) -> inet.Datagram:
    found = inet.decode(inet.ETHERNET, inet.udp_frame(like.src, like.sport, like.dst, like.dport, payload))
    assert isinstance(found, inet.Datagram)
    return found


def by_stream(packets: list[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for each in packets:
        found.setdefault(each[8:12], []).append(each)
    return found


def start_with_heads(offer: bytes, answer: bytes) -> Callable[[x2x3.X2Head], Pdu]:
    halves = [each.partition(b"\r\n\r\n") for each in (offer, answer)]
    (offer_head, _, sdp_offer), (answer_head, _, sdp_answer) = halves
    parameters = eps.IriParameters(
        liid=b"?",
        time=time.time_ns(),
        event=ImsEvent.START_OF_INTERCEPTION,
        header_offer=offer_head + b"\r\n\r\n",
        sdp_offer=sdp_offer,
        header_answer=answer_head + b"\r\n\r\n",
        sdp_answer=sdp_answer,
    )
    return lambda head: x2x3.start_of_interception(head, parameters)


def start_with_descriptions(offer: bytes, answer: bytes) -> Callable[[x2x3.X2Head], Pdu]:
    event = ts33128.StartOfInterception(
        originating=(ts33128.Impu.of(ALICE),),
        terminating=ts33128.Impu.of("sip:bob@example.com"),
        sdp=tuple(each.partition(b"\r\n\r\n")[2] for each in (offer, answer)),
    )
    return lambda head: x2x3.xiri(head, event)


def assert_intercepted(agencies: Agencies, clear: list[bytes]) -> None:
    """All that was said, in clear, each stream in its order and direction, under one CIN with the events."""
    assert by_stream(agencies.rtp()) == by_stream(clear)
    assert {each.stream.cin for each in agencies.content} == {each.cin for each in agencies.events}
    assert len({each.stream.cin for each in agencies.content}) == 1
    of_alice = clear[0][8:12]
    for each in agencies.content:
        from_target = each.payload[8:12] == of_alice
        assert each.stream.direction == (hi.Direction.FROM_TARGET if from_target else hi.Direction.TO_TARGET)


def test_a_call_from_its_beginning():
    world, wire, clear = call()
    begin, media, end = parted(wire)

    async def whole(poi: Poi) -> None:
        for each in begin:
            await poi.sip(each)
        await poi.x3(media)
        for each in end:
            await poi.sip(each)
        assert is_over(poi.df, end[0])
        assert poi.df.counts["passed"] == 0

    agencies = run(world, whole)
    assert [each.sip_message for each in agencies.told()] == [each.payload for each in (*begin, *end)]
    assert_intercepted(agencies, clear)


@pytest.mark.parametrize(
    ("start", "call_id"), [(start_with_heads, ""), (start_with_descriptions, f"{CALL.hex()}.{XID}.invalid")]
)
def test_a_call_that_runs_already(start, call_id):
    world, wire, clear = call()
    begin, media, end = parted(wire)
    offer, answer = begin[0].payload, next(each.payload for each in begin if each.payload.startswith(b"SIP/2.0 200"))

    async def whole(poi: Poi) -> None:
        await poi.x2(start(offer, answer))
        await poi.x3(media)
        for each in end:
            await poi.sip(each)
        assert poi.df.counts["passed"] == 0 and is_over(poi.df, end[0], call_id)

    agencies = run(world, whole)
    first, *rest = agencies.told()
    assert first.event == ImsEvent.START_OF_INTERCEPTION
    assert first.sdp_offer == offer.partition(b"\r\n\r\n")[2] and b"key-mgmt" in first.sdp_answer
    assert [each.sip_message for each in rest] == [each.payload for each in end]
    assert_intercepted(agencies, clear)


def test_a_counter_that_has_come_round_before_the_start():
    """How long the call has run is not told."""

    def late(world: World, held: Call) -> None:
        held.roc = 7
        held.establish(world.held())

    world, wire, clear = call(late)
    begin, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        await poi.x2(start_with_heads(begin[0].payload, begin[3].payload))
        await poi.x3(media)

    assert_intercepted(run(world, whole), clear)


def test_a_new_session_of_a_call_of_which_descriptions_alone_were_told():
    """A re-INVITE brings the call's own name: it takes the place of what was made up for the descriptions."""

    def moved(world: World, held: Call) -> None:
        held.establish(world.held())
        held.callee.rtp_port = 41_000
        held.reinvite(held.sdp(held.callee, []), held.sdp(held.caller, []), held.callee)

    world, wire, clear = call(moved)
    begin, media, end = parted(wire)
    first, again = begin[:5], begin[5:]

    async def whole(poi: Poi) -> None:
        await poi.x2(start_with_descriptions(first[0].payload, first[3].payload))
        for each in again:
            await poi.sip(each)
        await poi.x3(media)
        for each in end:
            await poi.sip(each)

    agencies = run(world, whole)
    assert len(agencies.rtp()) == len(clear)


def test_a_restart_in_the_middle(tmp_path: Path):
    world, wire, clear = call()
    begin, media, end = parted(wire)

    def journal() -> InterceptJournal:
        return InterceptJournal(tmp_path / "rows", tmp_path / "keys", SealKey(bytes(32)))

    async def before(poi: Poi) -> None:
        for each in begin:
            await poi.sip(each)

    kept = journal()
    run(world, before, journal=kept)
    asyncio.run(kept.close())
    kept = journal()

    async def after(poi: Poi) -> None:
        assert poi.df.recall(Instant(time.time_ns(), 0)) == 1
        while poi.df.open_questions:
            await asyncio.sleep(0)
        await poi.x3(media)
        for each in end:
            await poi.sip(each)
        assert is_over(poi.df, end[0]) and poi.df.counts["passed"] == 0

    agencies = run(world, after, journal=kept)
    asyncio.run(kept.close())
    assert by_stream(agencies.rtp()) == by_stream(clear)


def test_what_is_taken_out_of_records_is_counted():
    world, wire, _ = call(lambda world, held: held.establish_sdes(world.draw, "AES_CM_128_HMAC_SHA1_80"))
    begin, _, end = parted(wire)
    found = []

    async def whole(poi: Poi) -> None:
        for each in (*begin, *end):
            await poi.sip(each)
        assert poi.df.removed == {"sdes-keys": 2}
        found.extend(poi.df.explain(sip.parse(end[0].payload).call_id, {}))

    run(world, whole)
    (events,) = [each for each in found[0].forks[0].rungs if each.name == "events"]
    assert events.counts["removed_sdes-keys"] == 2


# X3 alone


def clear_media(_: World, held: Call) -> None:
    offer, answer = (each.sdp([], proto="RTP/AVP") for each in (held.caller, held.callee))
    number = held.request("INVITE", held.caller, offer, initial=True)
    held.response("200 OK", "INVITE", number, held.callee, answer)
    held.request("ACK", held.caller, number=number)


SDP = b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 40000 RTP/%s 0\r\na=rtpmap:0 PCMU/8000\r\n"


@pytest.mark.parametrize("form", [5, 8])
def test_media_of_which_no_event_was_told(form):
    world, wire, clear = call(clear_media)
    _, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        await poi.x3(media, SDP % b"AVP", form=form)
        assert poi.df.counts["passed"] == len(media)

    agencies = run(world, whole)
    assert agencies.rtp() == clear and agencies.events == []
    assert {each.stream.direction for each in agencies.content} == {hi.Direction.TO_TARGET}
    assert {each.stream.cin for each in agencies.content} == {1}
    forms = {each.stream.form.identifier for each in agencies.content}
    assert b"c=IN IP4 10.0.0.1\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000" in forms


@pytest.mark.parametrize("handed_over", [True, False])
def test_encrypted_media_of_which_no_event_was_told(handed_over):
    world, wire, _ = call()
    _, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        await poi.x3(media, SDP % b"SAVP")

    agencies = run(world, whole, Terms("LI-1", encrypted=handed_over))
    assert agencies.rtp() == [each.payload for each in media if handed_over]
    told = agencies.told()
    assert [each.security_failure for each in told if each.event == ImsEvent.DECRYPTION_KEYS_AVAILABLE] == [0]
    assert len(told) == (1 if handed_over else 2)
    assert handed_over or told[1].event == ImsEvent.CC_UNAVAILABLE


@pytest.mark.parametrize(
    "terms",
    [
        Terms("LI-1", content=False),
        Terms("LI-1", start=time.time_ns() + (1 << 60)),
        Terms("LI-1", end=time.time_ns() - 1),
    ],
    ids=["events only", "before", "after"],
)
def test_what_the_warrant_does_not_cover(terms):
    world, wire, _ = call(clear_media)
    begin, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        await poi.x3(media)
        await poi.sip(begin[0])

    agencies = run(world, whole, terms)
    assert agencies.rtp() == [] and len(agencies.events) == (terms.content is False)


def test_what_is_no_rtp():
    world, wire, _ = call(clear_media)
    _, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        first = media[0]
        for payload in (b"", b"\x00" * 20, b"\x80\x00" + bytes(7), first.payload):
            await poi.x3([datagram(first, payload)])

    assert run(world, whole).rtp() == [media[0].payload]


# Whom they come from


def test_an_element_of_ours_sends_media_beside_a_plan_alone():
    world, wire, _ = call(clear_media)
    _, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        await poi.x3(media)
        assert poi.df.counts["x3"] == len(media)

    assert run(world, whole, peer="urn:midcall:media").rtp() == []


def test_nobody_else_says_what_is_tapped():
    world, _, _ = call()
    ours = x2x3.parse(Encoder(Node("cscf-1", "sip-1")).pdu(EVENTS[6]))

    async def whole(poi: Poi) -> None:
        await poi.x2(lambda head: head.pdu(ours.format, ours.direction, ours.payload))
        assert poi.df.counts["undecodable"] == 1 and poi.df.counts["events"] == 0

    assert run(world, whole).events == []


def test_media_count_for_the_task_that_they_came_for():
    """Two tasks follow one call: each gets the copies under its own XID, and those alone."""
    world, wire, clear = call(clear_media)
    begin, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        order(poi.df, OTHER, Terms("LI-2"))
        for each in begin:
            for xid in (XID, OTHER):
                await poi.sip(each, xid=xid)
        await poi.x3(media)
        await poi.x3(media[:10], xid=OTHER)

    agencies = run(world, whole)
    assert agencies.rtp() == clear and agencies.rtp("LI-2") == clear[:10]


def test_events_without_a_matched_target_are_delivered_and_followed_by_nobody():
    world, wire, _ = call()
    begin, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        for each in begin:
            await poi.sip(each, matched=False)
        await poi.x3(media)
        assert poi.df.counts["questions"] == 0

    agencies = run(world, whole)
    assert len(agencies.events) == len(begin) and agencies.rtp() == [each.payload for each in media]


def test_whatever_stands_for_a_message_disturbs_nobody():
    """Torture messages, halves of messages and none at all: each is an event, or counted as none."""
    world, wire, _ = call()
    begin, _, end = parted(wire)
    whole = [path.read_bytes() for path in sorted(TORTURE.glob("*/*.dat"))]
    odd = [*whole, *(each[: len(each) // 2] for each in whole[::8]), b"", b"\0" * 99, b"BYE \r\n\r\n"]
    assert len(odd) > 70

    async def test(poi: Poi) -> None:
        for octets in odd:
            message = ts33128.SipMessage(bytes(4), bytes(16), octets)
            await poi.x2(lambda head: x2x3.xiri(head, ts33128.ImsMessage(message=message, direction=1)))  # noqa: B023
            await poi.x2(start_with_heads(octets, begin[0].payload))
            await poi.x2(start_with_descriptions(begin[0].payload, octets))
        for each in (*begin, *end):
            await poi.sip(each)
        counts = poi.df.counts
        assert counts["undecodable"] > 10 and counts["events"] + counts["undecodable"] == 3 * len(odd) + 7

    agencies = run(world, test)
    assert [each.sip_message for each in agencies.told()[-len(end) :]] == [each.payload for each in end]


def test_unavailable_content_is_told():
    world, _, _ = call()

    async def whole(poi: Poi) -> None:
        await poi.x2(lambda head: x2x3.xiri(head, ts33128.ImsCcUnavailable("media not anchored")))

    (told,) = run(world, whole).told()
    assert told.event == ImsEvent.CC_UNAVAILABLE and told.cc_unavailable_reason.endswith("media not anchored")


def test_an_end_of_the_task_ends_all_of_it():
    world, wire, clear = call(clear_media)
    begin, media, end = parted(wire)

    async def whole(poi: Poi) -> None:
        for each in begin:
            await poi.sip(each)
        await poi.x3(media[:5])
        poi.df.end(XID, Instant(time.time_ns(), 0))
        await poi.x3(media)
        await poi.sip(end[0])
        assert poi.df.counts["unknown"] == 1

    agencies = run(world, whole)
    assert agencies.rtp() == clear[:5] and len(agencies.events) == len(begin)

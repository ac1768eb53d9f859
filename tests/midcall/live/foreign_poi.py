"""A point of interception that nobody here has made, a DF that it sends to, and what its agency gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

from imswire import hi, inet, sip, x2x3
from imswire.hi import eps, ts33128
from imswire.hi.eps import ImsEvent
from imswire.x2x3 import Attribute, AttributeType, Direction, Pdu, PduType
from midcall.base.x2_link import Batch
from midcall.config import Network, Profile
from midcall.df2 import Agency
from midcall.events import CcRecord, IriRecord, Terms
from midcall.live.df import DfService
from midcall.ue.call import Call
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

    def iri(self, records, before=None):
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

    async def x2(
        self,
        make: Callable[[x2x3.X2Head], Pdu],
        xid: str = XID,
        *,
        matched: bool = True,
        words: str = x2x3.target("impu", ALICE),
    ) -> None:
        head = x2x3.X2Head(
            xid=x2x3.xid_octets(xid),
            nfid=b"other",
            ipid=b"sip",
            sequence=self._sequence,
            time=time.time_ns(),
            matched=(words,) if matched else (),
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
    world: World,
    test: Callable[[Poi], Coroutine],
    terms: Terms | None = None,
    peer: str = PEER,
    targets: tuple[str, ...] | None = None,
    **options,
) -> Agencies:
    agencies = Agencies()

    async def whole() -> None:
        df = DfService(Keys(world), agencies, foreign=(PEER,), **options)
        order(df, XID, terms or Terms("LI-1"), targets)
        await test(Poi(df, peer))
        await df.close()

    asyncio.run(whole())
    return agencies


def order(df: DfService, xid: str, terms: Terms, targets: tuple[str, ...] | None = None) -> None:
    df.order(xid, Agency(terms, Profile(), Network()), b"signed", targets=targets)


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

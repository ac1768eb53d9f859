"""Product of POIs of other makers: their X2 and X3 alone, as the standards have them."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from imswire import hi, sip, x2x3
from imswire.hi import ts33128
from imswire.hi.eps import ImsEvent
from midcall.base.seal import SealKey
from midcall.base.x2 import Encoder, Node
from midcall.events import Instant, Terms
from midcall.live.intercepts import InterceptJournal
from midcall.ue.call import Call
from tests.imswire.sip.torture import TORTURE
from tests.midcall.base.test_x2 import EVENTS
from tests.midcall.live.foreign_poi import (
    ALICE,
    CALL,
    OTHER,
    XID,
    Poi,
    assert_intercepted,
    by_stream,
    call,
    datagram,
    is_over,
    order,
    parted,
    run,
    start_with_descriptions,
    start_with_heads,
)
from tests.scenarios.world import World


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


@pytest.mark.parametrize(
    "words",
    [
        None,
        "<impi>alice@example.com</impi>",
        "<e164Number>15550001</e164Number>",
        "<targetIdentifier><impu>sip:alice@example.com</impu></targetIdentifier>",
    ],
    ids=["none", "another identifier", "a number", "more than one element"],
)
@pytest.mark.parametrize("runs", [False, True])
def test_a_matched_target_in_no_words_of_a_message_is_that_of_the_task(words, runs):
    """Attribute 17 may be missing, and may have an identifier that no SIP message names."""
    world, wire, clear = call()
    begin, media, end = parted(wire)
    said = {"matched": False} if words is None else {"words": words}

    async def whole(poi: Poi) -> None:
        if runs:
            answer = next(each.payload for each in begin if each.payload.startswith(b"SIP/2.0 200"))
            await poi.x2(start_with_heads(begin[0].payload, answer), **said)
        for each in () if runs else begin:
            await poi.sip(each, **said)
        await poi.x3(media)
        for each in end:
            await poi.sip(each, **said)
        assert poi.df.counts["passed"] == 0 and is_over(poi.df, end[0])

    agencies = run(world, whole, targets=(ALICE,))
    assert_intercepted(agencies, clear)
    assert len(agencies.told()) == (1 + len(end) if runs else len(begin) + len(end))


def test_a_call_that_is_not_of_the_target_of_its_task_is_followed_by_nobody():
    world, wire, _ = call()
    begin, media, _ = parted(wire)

    async def whole(poi: Poi) -> None:
        for each in begin:
            await poi.sip(each, matched=False)
        await poi.x3(media)
        assert poi.df.counts["questions"] == 0 and poi.df.counts["passed"] == len(media)

    assert len(run(world, whole, targets=("sip:carol@example.com",)).told()) >= len(begin)


def test_what_cannot_be_read_is_told_once_until_something_can(caplog):
    world, wire, _ = call()
    begin, *_ = parted(wire)

    async def whole(poi: Poi) -> None:
        for each in ("lost", "lost", begin[0], "lost"):
            if isinstance(each, str):
                await poi.x2(lambda head: head.pdu(2, 1, b"no ASN.1"))
            else:
                await poi.sip(each)
        assert poi.df.counts["undecodable"] == 3

    with caplog.at_level(logging.WARNING, "midcall.li.x2"):
        run(world, whole)
    lines = [each.getMessage() for each in caplog.records if each.name == "midcall.li.x2"]
    assert len(lines) == 2 and all("cannot be read" in each and "no ASN.1" not in each for each in lines)


def test_events_without_any_target_are_delivered_and_followed_by_nobody():
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

"""Orders for calls or for messages alone: what a mediation function lets through, and a whole site by X1."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from msgspec import structs

from imswire import x2x3
from imswire.hi import eps
from midcall.base.seal import SealKey
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch
from midcall.cli import lab_site
from midcall.cli.lab_calls import Users
from midcall.events import SipSeen, Task, Terms
from midcall.live.clock import now
from midcall.live.df import DfService
from midcall.live.intercepts import InterceptJournal
from midcall.live.roles import _same_target
from midcall.poi import PointOfInterception
from tests.midcall.live.foreign_poi import (
    ALICE,
    XID,
    Agencies,
    Poi,
    assert_intercepted,
    call,
    datagram,
    order,
    parted,
    run,
    start_with_descriptions,
)
from tests.midcall.live.live_site import LiveSite, until
from tests.midcall.live.recorded import Keys

VOICE, MESSAGES = (Terms("LI-1", services=(each,)) for each in ("voice", "messaging"))


def page(number: int = 1, call_id: str = "page@lab", tags: str = ";tag=p") -> bytes:
    return (
        f"MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKp{number}\r\n"
        f"From: <{ALICE}>{tags}\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call_id}\r\nCSeq: {number} MESSAGE\r\n"
        "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    ).encode()


def told(agencies: Agencies) -> list[bytes | None]:
    return [each.sip_message for each in agencies.told()]


# Points of interception that give everything, whatever they were asked for


@pytest.mark.parametrize("terms", [VOICE, MESSAGES])
def test_what_another_makers_poi_gives_beyond_the_order(terms):
    world, wire, clear = call()
    begin, media, end = parted(wire)
    written = datagram(begin[0], page())

    async def whole(poi: Poi) -> None:
        for each in (*begin, written):
            await poi.sip(each)
        await poi.x3(media)
        for each in end:
            await poi.sip(each)
        assert bool(poi.df.counts["questions"]) is (terms is VOICE)
        assert poi.df.counts["uncovered"] == (1 if terms is VOICE else len(begin) + len(end))

    agencies = run(world, whole, terms)
    if terms is VOICE:
        assert told(agencies) == [each.payload for each in (*begin, *end)]
        assert_intercepted(agencies, clear)
    else:
        assert told(agencies) == [written.payload] and not agencies.content
        assert agencies.events[0].cin is None


@pytest.mark.parametrize(("terms", "count"), [(VOICE, 3), (MESSAGES, 0)])
def test_a_start_of_which_descriptions_alone_are_told(terms, count):
    world, wire, _ = call()
    begin, media, end = parted(wire)
    answer = next(each.payload for each in begin if each.payload.startswith(b"SIP/2.0 200"))

    async def whole(poi: Poi) -> None:
        await poi.x2(start_with_descriptions(begin[0].payload, answer))
        await poi.x3(media)
        for each in end:
            await poi.sip(each)

    agencies = run(world, whole, terms)
    assert len(agencies.events) == count and bool(agencies.content) is (terms is VOICE)


async def own(df: DfService, events) -> None:
    """X2 of our own POI."""
    encoder = Encoder(Node("poi-1", "sip-1"))
    for octets in map(encoder.pdu, events):
        await df.commit(Batch("urn:example:own", [x2x3.parse(octets)], [octets], []))
    while df.open_questions:
        await asyncio.sleep(0)
    await df.commits.done()


def test_an_order_that_changes_while_a_call_runs():
    """The same events of a POI that gives all of them."""
    world, wire, _ = call()
    begin, _, end = parted(wire)
    poi = PointOfInterception(bytes(32), bytes(32))
    poi.arm(Task(XID, (ALICE,)), now())

    def seen(some):
        return [event for each in some for event in poi.sip_seen(SipSeen(each.payload, "1:1", "2:2", now()))]

    agencies = Agencies()

    async def whole() -> None:
        df = DfService(Keys(world), agencies)
        order(df, XID, VOICE)
        await own(df, seen(begin))
        assert len(agencies.events) == len(begin) and df.counts["questions"] == 1
        assert df._df3.dialogs(XID)
        df.end(XID, now(), changed=True)
        order(df, XID, MESSAGES)
        assert not df._df3.dialogs(XID) and df.counts["questions"] == 1
        await own(df, seen([datagram(end[0], page()), *end]))
        assert told(agencies)[len(begin) :] == [page()]
        await df.close()

    asyncio.run(whole())


def test_a_poi_takes_a_task_for_other_services_for_another_task():
    task = Task(XID, (ALICE,), 1, 2)
    assert _same_target(structs.replace(task, end=3), task)
    assert not _same_target(structs.replace(task, services=("voice",)), task)


def test_a_restart_in_the_middle_of_a_call_whose_events_alone_are_wanted(tmp_path: Path):
    world, wire, _ = call()
    begin, _, end = parted(wire)

    def journal() -> InterceptJournal:
        return InterceptJournal(tmp_path / "rows", tmp_path / "keys", SealKey(bytes(32)))

    def some(each):
        async def sent(poi: Poi) -> None:
            poi.df.recall(now())
            for message in each:
                await poi.sip(message)

        return sent

    terms = structs.replace(VOICE, content=False)
    for messages in (begin, end):
        kept = journal()
        agencies = run(world, some(messages), terms, journal=kept)
        asyncio.run(kept.close())
        assert len(agencies.events) == len(messages)


# A whole site


def test_a_warrant_for_calls_and_one_for_messages_of_the_same_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    template = lab_site._TEMPLATE
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1))
        line = live.call()
        alice = line.call.caller

        def activate(service: str, liid: str) -> None:
            monkeypatch.setattr(lab_site, "_TEMPLATE", template.replace('["voice", "messaging"]', f'["{service}"]'))
            live.activate(alice.uri, liid)

        def write(number: int) -> None:
            octets = page(number).replace(ALICE.encode(), alice.uri.encode())
            live.agent.copy(time.time_ns(), alice.sip, line.call.callee.sip, octets)

        activate("voice", "CALLS")
        activate("messaging", "TEXTS")
        calls, content, texts = (
            live.received(*each) for each in (("CALLS", "hi2"), ("CALLS", "hi3"), ("TEXTS", "hi2"))
        )
        until(lambda: len(calls.look()) == 1, "the event of a call that ran already")
        before = len(line.media())
        write(1)
        line.talk(0.5)
        until(lambda: len(texts.look()) == 1, "the message")
        until(lambda: len(content.look()) >= len(line.media()) - before, "the content")
        line.hang_up()
        until(lambda: len(calls.look()) == 3, "the end of the call")
        write(2)
        until(lambda: len(texts.look()) == 2, "the second message")
        time.sleep(0.5)
        assert len(calls.look()) == 3
    assert [eps.parse(each).event for each in calls.contents()] == [4, 1, 1]
    assert all(b"hello" not in each for each in calls.contents())
    assert all(b"hello" in each for each in texts.contents()) and len(texts.contents()) == 2
    assert not live.received("TEXTS", "hi3").look()
    live.assert_no_findings()
    assert live.questions() == 1

"""The POI's cache as a service: a former run is taken in behind what comes, and nothing keeps the loop for long."""

from __future__ import annotations

import asyncio
import gc
import json

from midcall.audit.shell import files
from midcall.base.audit_link import Act, Kind, digest
from midcall.base.seal import SealKey
from midcall.base.x2 import Encoder, Node
from midcall.config.live_tables import TicketsTable
from midcall.events import SipSeen, Task
from midcall.live import poi as live
from midcall.live.clock import now
from midcall.live.poi import PoiService
from midcall.live.roles import poi_limits
from midcall.poi import PointOfInterception, missed
from midcall.poi.shell.journal import SipJournal
from tests.midcall.audit.place import SALT, Place

XID = "00000000-0000-4000-8000-000000000001"
INVITE = (
    "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{0}\r\n"
    "From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: c{0}\r\nCSeq: 1 INVITE\r\n\r\n"
)
OK = (
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{0}\r\n"
    "From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>;tag=b\r\nCall-ID: c{0}\r\nCSeq: 1 INVITE\r\n\r\n"
)


def seen(text: str, number: int) -> SipSeen:
    return SipSeen(text.format(number).encode(), "192.0.2.1:5060", "192.0.2.2:5060", now())


class Client:
    def put(self, pdus) -> None:
        pass


def service(journal: SipJournal) -> PoiService:
    core = PointOfInterception(bytes(32), bytes(32), journal=journal)
    return PoiService(core, Encoder(Node("poi-1", "sip-1")), Client(), journal)


def kept(path, calls: int) -> None:
    journal = SipJournal(path, SealKey(bytes(32)))
    poi = service(journal)
    for number in range(calls):
        poi.core.sip_seen(seen(INVITE, number))
    journal.close()


def test_new_copies_are_taken_while_a_former_run_is(tmp_path):
    kept(tmp_path / "cache.db", 40)

    async def run() -> None:
        journal = SipJournal(tmp_path / "cache.db", SealKey(bytes(32)))
        poi = service(journal)
        recalled, counts = asyncio.create_task(poi.recall()), []
        while not recalled.done():
            poi.take(seen(INVITE, 1_000 + len(counts)))
            counts.append(len(poi.core))
            await asyncio.sleep(0)
        steps = [after - before for before, after in zip(counts, counts[1:], strict=False)]
        assert max(steps) <= live.RECALLED_TOGETHER + 1 and await recalled == 40
        assert len(poi.core) == 40 + len(counts)
        journal.close()

    asyncio.run(run())


BYE = (
    "BYE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb{0}\r\n"
    "From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>;tag=b\r\nCall-ID: c{0}\r\nCSeq: 2 BYE\r\n\r\n"
)
BYE_OK = BYE.replace("BYE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK")


def test_a_call_that_ends_before_it_is_back_is_not_taken_for_a_running_one(tmp_path):
    path = tmp_path / "cache.db"
    journal = SipJournal(path, SealKey(bytes(32)))
    former = service(journal)
    for number in range(40):
        for text in (INVITE, OK):
            former.core.sip_seen(seen(text, number))
    journal.close()

    async def run() -> None:
        journal = SipJournal(path, SealKey(bytes(32)))
        poi = service(journal)
        recalled = asyncio.create_task(poi.recall())
        await asyncio.sleep(0)
        assert len(poi.core) < 30
        # One that is back already, and two that are not; of one nobody has answered the BYE yet.
        for text, number in ((BYE, 0), (BYE_OK, 0), (BYE, 35), (BYE_OK, 35), (BYE, 36)):
            poi.take(seen(text, number))
        assert await recalled == 39 and len(poi.core) == 38
        for text in (BYE_OK, INVITE):
            poi.take(seen(text, 36))
        assert len(poi.core) == 38 and poi.core._missed is None
        journal.close()
        again = SipJournal(path, SealKey(bytes(32)))
        assert len(list(again.calls(now()))) == 38
        again.close()

    asyncio.run(run())


def test_what_is_kept_for_calls_that_are_not_back_is_bounded(monkeypatch):
    monkeypatch.setattr(missed, "OCTETS", 100 * len(BYE))
    kept = missed.Missed()
    for number in range(500):
        for _ in range(3):
            kept.put(f"c{number % 200}", seen(BYE, number))
    assert kept._octets <= 100 * len(BYE) and len(kept._calls) <= 100
    assert len(kept.take("c99")) <= missed.MESSAGES and kept.take("c0") == ()
    for number in range(500):
        kept.take(f"c{number}")
    assert kept._octets == 0


def test_keys_are_changed_while_groups_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(live, "ROTATE_SECONDS", 0.0)  # of the next one, and all behind it
    journal = SipJournal(tmp_path / "cache.db", SealKey(bytes(32)))
    first = journal._epoch

    async def run() -> None:
        poi = service(journal)
        for number in range(3):
            poi.take(seen(INVITE, number))
        keeping = asyncio.create_task(poi.keep())
        while journal._epoch < first + 2:
            await asyncio.sleep(0.001)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert poi.counts["cache_faults"] == 0

    asyncio.run(run())
    journal.close()
    again = SipJournal(tmp_path / "cache.db", SealKey(bytes(32)))
    assert len(list(again.calls(now()))) == 3 and again.lost == 0
    again.close()


def test_the_keys_of_a_former_run_go_as_soon_as_its_calls_are_back(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(live, "ROTATE_GROUPS", 2)
    kept(tmp_path / "cache.db", 3)
    journal = SipJournal(tmp_path / "cache.db", SealKey(bytes(32)))
    before = dict(journal._keys())

    async def run() -> None:
        poi = service(journal)
        keeping = asyncio.create_task(poi.keep())
        assert await poi.recall() == 3
        while before.keys() & dict(journal._keys()).keys():
            await asyncio.sleep(0.001)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(run())
    journal.close()
    again = SipJournal(tmp_path / "cache.db", SealKey(bytes(32)))
    assert len(list(again.calls(now()))) == 3 and again.lost == 0
    again.close()


def test_that_keys_are_destroyed_is_proved_by_the_audit(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "FLUSH_SECONDS", 0.001)
    kept(tmp_path / "cache.db", 3)
    journal, place = SipJournal(tmp_path / "cache.db", SealKey(bytes(32))), Place(tmp_path)
    former, *_ = before = tuple(dict(journal._keys()))

    def rows(phase: str) -> list[dict]:
        lines = [json.loads(row) for file in files.read(place.log) for row in file.lines]
        return [row for row in lines if row.get("act") == "keys.destroy" and row["phase"] == phase]

    async def run() -> None:
        async with place.running(), place.client() as audit:
            poi = service(journal)
            poi.destroying = lambda epoch: audit.begin(
                Act.KEYS_DESTROY, audit.digest(Kind.KEY, f"poi-1/tickets/{epoch}")
            )
            keeping = asyncio.create_task(poi.keep())
            await poi.recall()
            while len(rows("outcome")) < len(before):
                assert former in dict(journal._keys()) or rows("intent"), "no key goes that was not announced"
                await asyncio.sleep(0.001)
            assert former not in dict(journal._keys())
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(run())
    journal.close()
    intents, outcomes = rows("intent"), rows("outcome")
    assert [row["object"] for row in intents] == [
        digest(SALT, Kind.KEY, f"poi-1/tickets/{epoch}").hex() for epoch in before
    ]
    assert {row["of"] for row in outcomes} == {row["n"] for row in intents}
    assert {row["outcome"] for row in outcomes} == {"done"}


def test_what_is_kept_of_calls_is_nothing_for_the_collector(tmp_path):
    """A full collection looks at all that it knows of: at a million calls the loop would stand still for a second."""
    core = PointOfInterception(bytes(32), bytes(32))
    for text in (INVITE, OK):
        core.sip_seen(seen(text, 0))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1, 2_000):
        for text in (INVITE, OK):
            core.sip_seen(seen(text, number))
    # Another caller with the same Call-ID: two calls under one key.
    core.sip_seen(seen(INVITE.replace("tag=a", "tag=x"), 1))
    gc.collect()
    assert len(core) == 2_001 and len(gc.get_objects()) - before < 1_000
    assert not gc.is_tracked(core._tracker.calls._by_id) and not gc.is_tracked(core._index._calls)


def test_as_many_dialogs_are_kept_as_the_operator_wants():
    limits = poi_limits(TicketsTable(keep=True, max_age_hours=0.5))
    assert (limits.calls, limits.octets, limits.max_age) == (1_000_000, 2 << 30, 1_800 * 10**9)
    limits = poi_limits(TicketsTable(keep=False, max_age_hours=1, dialogs=5, megabytes=1))
    assert (limits.calls, limits.octets, limits.max_age) == (5, 1 << 20, 0)


def test_an_invite_counts_once_against_the_bound_of_octets():
    core = PointOfInterception(bytes(32), bytes(32))
    described = INVITE.replace("\r\n\r\n", "\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n")
    core.sip_seen(seen(described, 1))
    core.sip_seen(seen(INVITE, 2))
    assert core._tracker.calls.octets == len(described.format(1)) + len(INVITE.format(2))


def test_calls_that_nobody_answers_keep_no_running_one_waiting():
    """Anybody can begin thousands with a target: what runs is reported before them, and on its way before they are."""
    puts: list[int] = []

    class Counting:
        def put(self, pdus) -> None:
            puts.append(len(list(pdus)))

    core = PointOfInterception(bytes(32), bytes(32))
    for number in range(50):
        core.sip_seen(seen(INVITE, number))
    core.sip_seen(seen(OK, 37))

    async def run() -> None:
        poi = PoiService(core, Encoder(Node("poi-1", "sip-1")), Counting())
        poi.arm(Task(XID, ("sip:bob@example.com",)))
        assert len(puts) == live.REPORTED_TOGETHER, "others have their turn"
        while poi._is_arming.is_set():
            poi.go_on(XID)
            if not poi._armings:
                break

    armed = next(core.arming(Task("other", ("sip:bob@example.com",)), now()))
    assert {each.dialog.call_id for each in armed} == {"c37"}
    asyncio.run(run())
    assert len(puts) == 50 and puts[0] == 2 and sum(puts) == 100


def test_a_task_of_many_calls_takes_turns_with_copies_and_waits_for_room():
    """Reports of thousands of calls neither hold up what comes nor push out what waits for the mediation function."""
    sizes: list[int] = []
    queued = 0
    went_on: list[str] = []

    class Counting:
        def put(self, pdus) -> None:
            sizes.append(len(list(pdus)))

    async def run() -> None:
        nonlocal queued
        core = PointOfInterception(bytes(32), bytes(32))
        poi = PoiService(core, Encoder(Node("poi-1", "sip-1")), Counting())
        for number in range(100):
            poi.take(seen(INVITE, number))
        going_on = asyncio.create_task(poi.arming(went_on.append, lambda _: queued))
        poi.arm(Task(XID, ("sip:bob@example.com",)))
        assert len(sizes) == live.REPORTED_TOGETHER
        queued = live.MOST_QUEUED + 1
        await asyncio.sleep(live.QUEUED_SECONDS * 3)
        assert went_on == [] and len(sizes) == live.REPORTED_TOGETHER
        # What happens to a call is behind the report of what it was.
        poi.take(seen(OK, 99))
        assert len(sizes) == live.REPORTED_TOGETHER + 1 and sizes[-1] > 2
        queued = 0
        while poi._armings:
            before = len(sizes)
            await asyncio.sleep(0)
            assert len(sizes) - before <= live.REPORTED_TOGETHER
        assert len(sizes) == 100 and set(went_on) == {XID}
        poi.arm(Task("y", ("sip:alice@example.com",)))
        poi.disarm("y")
        assert not poi._armings
        going_on.cancel()

    asyncio.run(run())

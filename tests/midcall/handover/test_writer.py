"""Group commit: many producers, one commit, and what is done is on the disk."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from midcall.base.link_report import LinkEvent
from midcall.events import CcRecord, EventRecord, IriRecord
from midcall.handover import Kind
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.spool import FULL, Left, Spool
from midcall.handover.shell.status import completeness
from midcall.handover.shell.writer import COMMIT_OCTETS, FAILED, Writer, Written
from tests.midcall.handover.world import T0, cc, intercept, iri, keys, streams, unavailable


@pytest.fixture
def told() -> list[LinkEvent]:
    return []


@pytest.fixture
def opened(tmp_path: Path, told: list[LinkEvent]) -> Iterator[Callable[..., Spool]]:
    made: list[Spool] = []

    def make(**settings: float) -> Spool:
        options = SpoolSettings(**{"reserve_octets": 0, "retry_seconds": 0.01, **settings})  # type: ignore[arg-type]
        store = keys(tmp_path / "keys")
        made.append(
            Spool(
                tmp_path / "spool", "lemf", store, [intercept()], unavailable, T0,
                settings=options, report=told.append,
            )
        )  # fmt: skip
        return made[-1]

    yield make
    for spool in made:
        spool.close()
        spool.keys.close()


async def with_writer(spool: Spool, test: Callable[[Writer], asyncio.Future[object] | object]) -> None:
    writer = Writer(spool)
    running = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(30):
            waited = test(writer)
            if asyncio.isfuture(waited) or asyncio.iscoroutine(waited):
                await waited
    finally:
        writer.stop()
        await running


def test_what_is_done_is_on_the_disk(opened: Callable[..., Spool]) -> None:
    spool = opened()
    commits = []
    write = spool.take_iri
    spool.take_iri = lambda records, now: commits.append(len(records)) or write(records, now)  # type: ignore[func-returns-value, method-assign]

    async def test(writer: Writer) -> None:
        there, _ = streams()
        events = [writer.iri([iri(n)]) for n in range(20)]
        content = writer.cc(cc(there, 500))
        await asyncio.gather(*events)
        assert await content
        assert spool.last_key("LAB-1") == 19
        assert spool.next_number("LAB-1", 1, Kind.CC) == 500

    asyncio.run(with_writer(spool, test))
    assert commits[0] == 20, "they share a commit"


def test_an_event_is_being_written_before_the_turn_of_the_loop_ends(opened: Callable[..., Spool]) -> None:
    spool = opened()
    begun = threading.Event()

    async def test(writer: Writer) -> None:
        await writer.iri([iri(1)])
        await asyncio.sleep(0)
        written = writer.iri([iri(2)], begun.set)
        assert begun.wait(10) and not written.done()
        await asyncio.gather(written, writer.iri([iri(3)]))
        assert spool.last_key("LAB-1") == 3

    asyncio.run(with_writer(spool, test))


def test_many_records_do_not_wait_for_the_time(opened: Callable[..., Spool]) -> None:
    spool = opened(commit_seconds=3_600.0, commit_records=100)

    async def test(writer: Writer) -> None:
        there, _ = streams()
        assert await writer.cc(cc(there, 100))

    asyncio.run(with_writer(spool, test))


def test_the_first_content_waits_for_no_more(opened: Callable[..., Spool]) -> None:
    spool = opened(commit_seconds=3_600.0)
    told: list[Written] = []

    async def test() -> None:
        writer = Writer(spool, told.append)
        running = asyncio.create_task(writer.run())
        there, _ = streams()
        async with asyncio.timeout(30):
            assert await writer.cc(cc(there, 1))
            late = [writer.cc(cc(there, 1, n)) for n in (1, 2)]
            await writer.iri([iri(1)])
            assert all(each.done() for each in late)
        writer.stop()
        await running

    asyncio.run(test())
    assert [each.cc for each in told[:2]] == [1, 2], "then they come together"


def test_an_intercept_that_is_ordered_has_its_key(opened: Callable[..., Spool]) -> None:
    spool = opened(commit_seconds=3_600.0)

    async def test(writer: Writer) -> None:
        writer.ordered()
        await writer.iri([])
        assert spool.keys.handles("LAB-1") == [spool.keys.handle("LAB-1")]

    asyncio.run(with_writer(spool, test))


def test_too_much_at_once_is_refused_and_declared(opened: Callable[..., Spool]) -> None:
    spool = opened(waiting_records=300)

    async def test(writer: Writer) -> None:
        there, _ = streams()
        done = [writer.cc(cc(there, 200)), writer.cc(cc(there, 200, 200))]
        assert done[0] is done[1]
        assert not await done[1]

    asyncio.run(with_writer(spool, test))
    found = completeness(Folder(spool.folder.path), spool.keys, "LAB-1")
    assert found[1].refused == {"too much at once": 200}
    assert found[1].holds
    assert found[0].observed == 1, "the gap record"


def test_events_wait_for_room(opened: Callable[..., Spool]) -> None:
    spool = opened()
    write, tried = spool.take_iri, []

    def full(records: Sequence[EventRecord], now: int) -> Left:
        tried.append([record.key for record in records if isinstance(record, IriRecord)])
        return Left([*records[1:]], FULL) if len(tried) < 3 else write(records, now)

    spool.take_iri = full  # type: ignore[method-assign]

    async def test(writer: Writer) -> None:
        first, second = writer.iri([iri(1)]), writer.iri([iri(2), iri(3)])
        await first
        assert len(tried) == 1 and not second.done(), "the one is on the disk, the other waits"
        await second
        assert tried[:3] == [[1, 2, 3], [2, 3], [3]]

    asyncio.run(with_writer(spool, test))
    assert spool.last_key("LAB-1") == 3


def test_a_hash_is_written_when_it_is_due_and_nothing_comes(opened: Callable[..., Spool]) -> None:
    spool = opened()

    async def test(writer: Writer) -> None:
        await writer.iri([iri(1)])
        async with asyncio.timeout(10):
            while spool.next_number("LAB-1", 1, Kind.INTEGRITY) == 0:
                await asyncio.sleep(0.01)

    asyncio.run(with_writer(spool, test))


def test_closing_checks_stand_behind_what_was_given(opened: Callable[..., Spool]) -> None:
    spool = opened(commit_seconds=3_600.0)
    told: list[Written] = []

    async def test() -> None:
        writer = Writer(spool, told.append)
        running = asyncio.create_task(writer.run())
        there, _ = streams()
        given = writer.iri([iri(1)]), writer.cc(cc(there, 20))
        async with asyncio.timeout(30):
            await writer.end("LAB-1")
            assert all(each.done() for each in given)
        writer.stop()
        await running

    asyncio.run(test())
    assert spool.next_number("LAB-1", 1, Kind.INTEGRITY) == 2, "of events and of content"
    assert told[0][1:] == (1, 20, ("LAB-1",), True)


def test_closing_checks_wait_for_room_too(opened: Callable[..., Spool]) -> None:
    spool = opened()
    write, answers = spool.take_iri, [FULL, FULL]
    spool.take_iri = lambda records, now: Left([*records], answers.pop()) if answers else write(records, now)  # type: ignore[method-assign]

    async def test(writer: Writer) -> None:
        writer.iri([iri(1)])
        await writer.end("LAB-1")

    asyncio.run(with_writer(spool, test))
    assert spool.next_number("LAB-1", 1, Kind.INTEGRITY) == 1


def test_closing_checks_that_found_no_room_are_made_later(opened: Callable[..., Spool]) -> None:
    spool = opened()
    end, answers = spool.end, [False, False]
    spool.end = lambda liid, now: answers.pop() if answers else end(liid, now)  # type: ignore[method-assign]

    async def test(writer: Writer) -> None:
        writer.iri([iri(1)])
        await writer.end("LAB-1")
        assert spool.next_number("LAB-1", 1, Kind.INTEGRITY) == 1
        assert answers == []

    asyncio.run(with_writer(spool, test))


def test_much_at_once_goes_in_several_commits_and_closing_checks_stand_behind_the_last(
    opened: Callable[..., Spool],
) -> None:
    spool = opened()
    many = [[iri(3 * n + each, text=bytes(COMMIT_OCTETS // 5)) for each in range(3)] for n in range(4)]
    told: list[Written] = []

    async def test() -> None:
        writer = Writer(spool, told.append)
        given = [writer.iri(some) for some in many]
        ended = writer.end("LAB-1")
        running = asyncio.create_task(writer.run())
        await asyncio.gather(*given, ended)
        writer.stop()
        await running

    asyncio.run(test())
    assert [(each.iri, each.ended) for each in told if each.iri or each.ended] == [(6, ()), (6, ("LAB-1",))]
    assert spool.last_key("LAB-1") == 11


def test_a_fault_of_the_program_costs_content_and_no_event(
    opened: Callable[..., Spool], told: list[LinkEvent], caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened()
    write, calls = spool.write_cc, []

    def broken(records: Sequence[CcRecord], now: int) -> bool:
        calls.append(len(records))
        if len(calls) == 1:
            raise KeyError("something that nobody thought of")
        return write(records, now)

    spool.write_cc = broken  # type: ignore[method-assign]

    async def test(writer: Writer) -> None:
        there, _ = streams()
        event, content, ended = writer.iri([iri(1)]), writer.cc(cc(there, 20)), writer.end("LAB-1")
        assert not await content
        await asyncio.gather(event, ended)
        assert await writer.cc(cc(there, 30, 20))

    with caplog.at_level(logging.ERROR):
        asyncio.run(with_writer(spool, test))
    assert [each.state for each in told][:1] == ["fault"] and told[0].reason == FAILED
    assert "KeyError at " in caplog.text and "nobody thought" not in caplog.text
    of_events, content = completeness(Folder(spool.folder.path), spool.keys, "LAB-1")
    assert content.refused == {FAILED: 20} and content.observed == 50 and content.holds
    assert of_events.observed == 2, "the event, once, and the gap"


def test_a_writer_that_fails_again_and_again_hangs_nobody(opened: Callable[..., Spool], told: list[LinkEvent]) -> None:
    spool = opened()

    def broken(*_: object) -> Left:
        raise KeyError

    spool.take_iri = broken  # type: ignore[method-assign]
    spool.recover = broken  # type: ignore[method-assign, assignment]

    async def test() -> None:
        writer = Writer(spool)
        running = asyncio.create_task(writer.run())
        event, content = writer.iri([iri(1)]), writer.cc(cc(streams()[0], 20))
        assert not await content
        assert not event.done()
        writer.stop()
        await running
        assert event.cancelled()

    asyncio.run(test())


def test_what_is_not_taken_at_the_end_is_cancelled(opened: Callable[..., Spool]) -> None:
    spool = opened()
    spool.take_iri = lambda records, now: Left([*records], FULL)  # type: ignore[method-assign]
    told: list[Written] = []

    async def test() -> None:
        writer = Writer(spool, told.append)
        done, ended = writer.iri([iri(1)]), writer.end("LAB-1")
        writer.stop()
        await writer.run()
        assert done.cancelled() and ended.cancelled()
        assert [(each.iri, each.ended, each.whole) for each in told] == [(0, (), False)]

    asyncio.run(test())

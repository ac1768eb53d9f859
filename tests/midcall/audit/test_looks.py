"""What the operator is told of an audit that cannot be reached: when, is a matter of the clock alone."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from midcall.base.audit_link import Act, AuditClient, NotAudited, Role, client
from tests.midcall.audit.place import Place


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LOOK_SECONDS", 1.5)
    monkeypatch.setattr(client, "SEEN_SECONDS", 0.7)


async def busy(writer: AuditClient, over: asyncio.Event) -> None:
    """As with many tasks: something is to be told all the time."""
    while not over.is_set():
        with contextlib.suppress(NotAudited):
            await writer.intent(Act.TASK_ARM, writer.digest(client.Kind.TASK, "x"))
        await asyncio.sleep(0.001)


async def turns(writer: AuditClient, to: bool) -> float:
    """When it tells so."""
    while writer.answers is not to:
        await asyncio.sleep(0.002)
    return time.monotonic()


def test_who_does_much_and_who_does_nothing_tell_it_at_the_same_moment(tmp_path):
    place = Place(tmp_path)

    async def test() -> None:
        over = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            audit = await stack.enter_async_context(contextlib.AsyncExitStack())
            await audit.enter_async_context(place.running())
            writers = [await stack.enter_async_context(place.client(each)) for each in (Role.POI, Role.DF)]
            assert [each.answers for each in writers] == [True, True]
            acts = asyncio.create_task(busy(writers[0], over))
            for _ in range(2):
                await asyncio.sleep(0.3)
                await audit.aclose()
                gone = await asyncio.gather(*(turns(each, False) for each in writers))
                await audit.enter_async_context(place.running())
                back = await asyncio.gather(*(turns(each, True) for each in writers))
                for first, second in (gone, back):
                    assert abs(first - second) < 0.3, "between two looks there are 1.5 s"
            over.set()
            await acts

    asyncio.run(asyncio.wait_for(test(), 30))


def test_who_begins_without_the_audit_says_so_at_once(tmp_path):
    async def test() -> None:
        async with Place(tmp_path).client() as writer:
            assert not writer.answers and not writer.writable

    asyncio.run(test())

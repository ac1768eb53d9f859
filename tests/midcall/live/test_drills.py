"""Compromise drills at a mediation function: a POI whose certificate is good, and whose orders nobody has given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec import structs

from midcall.config import Network, Profile
from midcall.df2 import Agency
from midcall.events import DialogId, DialogReleased, Instant, StartOfInterception, Task, Terms
from midcall.live.df_world import Order
from tests.midcall.live.recorded import datagrams
from tests.midcall.live.test_live import ALICE, XID, Lab
from tests.scenarios.world import World

SECOND = 10**9


@pytest.fixture
def drill(tmp_path: Path) -> Callable[[Callable[[Lab], Awaitable[None]]], None]:
    """A call that runs, at a POI on which its target is armed by a hand that X1 knows nothing of."""
    world = World()
    call = world.call()
    call.establish(world.held())

    def run(test: Callable[[Lab], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            lab = Lab(tmp_path, world)
            await lab.start()
            for each in datagrams(world):
                lab.say(each)
            async with asyncio.timeout(30):
                await test(lab)
            assert lab.keys.asked == 0 and not lab.tap.places, "no key, and nothing is tapped"
            assert lab.df.counts["events"] == 0 and lab.df.counts["content"] == 0
            await lab.stop()
            lab.store.close()

        asyncio.run(all_of_it())

    return run


async def counted(lab: Lab, name: str, least: int) -> None:
    while lab.df.counts[name] < least:
        await asyncio.sleep(0)


@pytest.mark.parametrize(("start", "end"), [(-3_600, -1), (3_600, 7_200)], ids=["expired", "not begun"])
def test_product_outside_of_the_window_that_the_df_knows(drill, start, end):
    async def test(lab: Lab) -> None:
        now = time.time_ns()
        lab.df.order(XID, Agency(Terms("LI-1", now + start * SECOND, now + end * SECOND), Profile(), Network()), b"x")
        lab.poi.arm(Task(XID, (ALICE,), now - 3_600 * SECOND))
        await counted(lab, "outside", 1)

    drill(test)


def test_product_of_somebody_whom_the_task_is_not_for(drill):
    """A POI that was broken into calls somebody else's call the target's."""

    async def test(lab: Lab) -> None:
        now = time.time_ns()
        agency = Agency(Terms("LI-1", now - SECOND, now + 3_600 * SECOND), Profile(), Network())
        lab.df.order(XID, agency, b"x", targets=("sip:somebody@example.com",))
        lab.poi.arm(Task(XID, (ALICE,), now - SECOND))
        await counted(lab, "outside", 1)

    drill(test)


def test_an_order_admits_what_is_of_it():
    dialog, at = DialogId("1", "a", "b"), Instant(5 * SECOND, 0)
    start = StartOfInterception("x", "tel:+4612345", b"12345678", dialog, at, None, None, None)
    agency = Agency(Terms("LI-1", SECOND, 9 * SECOND), Profile(), Network())
    order = Order(agency, None, ("sip:+4612345@example.com;user=phone",))
    assert order.admits(start, own=True), "the same number, written otherwise"
    other = structs.replace(start, identity="tel:+4612346")
    assert not order.admits(other, own=True)
    assert order.admits(other, own=False), "another maker's words for whom it has matched are its own"
    assert Order(agency, None).admits(other, own=True) and order.admits(structs.replace(start, identity=""), own=True)
    assert not order.admits(structs.replace(start, at=Instant(9 * SECOND, 0)), own=True)
    assert order.admits(DialogReleased("x", None, dialog, Instant(99 * SECOND, 0), "over"), own=True)


def test_product_of_a_task_that_has_ended(drill):
    async def test(lab: Lab) -> None:
        now = time.time_ns()
        agency = Agency(Terms("LI-1", now - SECOND, now + 3_600 * SECOND), Profile(), Network())
        lab.df.order(XID, agency, b"x")
        lab.df.end(XID, Instant(now, time.monotonic_ns()))
        lab.poi.arm(Task(XID, (ALICE,), now - SECOND))
        await counted(lab, "unknown", 1)

    drill(test)


def test_product_of_a_task_that_nobody_knows(drill):
    async def test(lab: Lab) -> None:
        lab.poi.arm(Task(XID, (ALICE,), time.time_ns() - SECOND))
        await counted(lab, "unknown", 1)

    drill(test)

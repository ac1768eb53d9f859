"""kill -9 of an element between and in the middle of orders: what was acknowledged is there, and as it was ordered."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from imswire import x1
from midcall.base.https import Unreachable
from midcall.base.x1_element import Armed
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.service import X1Service
from tests.midcall.base.x1_element.lab import LIMIT, Place
from tests.midcall.base.x1_element.world import place, signed, task

ROOT = Path(__file__).parents[4]
XIDS = [f"0a000000-0000-4000-8000-{number:012x}" for number in range(1, 31)]
WARRANT = signed(targets=[{"liid": "LI-1", "xid": xid, "identity": f"sip:{xid[-2:]}@example.com"} for xid in XIDS])


def order(xid: str) -> x1.TaskDetails:
    return task(WARRANT, xid=xid, targets=(x1.Impu(f"sip:{xid[-2:]}@example.com"),))


async def child(at: Place) -> tuple[asyncio.subprocess.Process, int]:
    module = "tests.midcall.base.x1_element.child"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(at.folder), str(at.files), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


def test_what_was_acknowledged_outlives_a_kill(at: Place) -> None:
    async def test() -> tuple[set[str], set[str]]:
        acknowledged: set[str] = set()
        tried: set[str] = set()
        process, port = await child(at)
        client = at.client(("", port))
        await client.ask(x1.CreateDestinationRequest, place())
        for xid in XIDS[:5]:
            assert isinstance(await client.ask(x1.ActivateTaskRequest, order(xid)), x1.ActivateTaskResponse)
            acknowledged.add(xid)
        await client.ask(x1.DeactivateTaskRequest, XIDS[0])
        acknowledged.discard(XIDS[0])

        async def on() -> None:
            with contextlib.suppress(Unreachable):
                for xid in XIDS[5:]:
                    tried.add(xid)
                    await client.ask(x1.ActivateTaskRequest, order(xid))
                    acknowledged.add(xid)
                    if len(acknowledged) == 9:
                        # The next one meets the kill on its way.
                        process.kill()

        async with asyncio.timeout(LIMIT):
            await on()
            await process.wait()
        await client.close()
        return acknowledged, tried

    acknowledged, tried = asyncio.run(test())
    assert len(acknowledged) >= 9

    at.run(nothing)
    armed = {each.order.task.xid for each in at.follows if isinstance(each, Armed)}
    assert acknowledged <= armed <= acknowledged | tried
    assert XIDS[0] not in armed
    assert {each.details.xid: each.details for each in at.tasks()} == {xid: order(xid) for xid in armed}


async def nothing(service: X1Service, client: X1Client) -> None:
    """The service starts, and stops."""

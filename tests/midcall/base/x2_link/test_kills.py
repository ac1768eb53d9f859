"""kill -9 of either end in the middle of a stream: no loss, the order stays, repetitions are the same octets."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from imswire import x2x3
from midcall.base.x2_link import UnixPeer
from tests.midcall.base.x2_link.world import US, Df2, Poi, events, journal, run, xid

ROOT = Path(__file__).parents[4]
PIPE = asyncio.subprocess.PIPE


@asynccontextmanager
async def child(role: str, folder: Path, number: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that does not outlive the block, whatever happens in it."""
    module = "tests.midcall.base.x2_link.child"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, role, str(folder), str(number), stdout=PIPE, cwd=ROOT
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()


def test_kills_of_the_point_of_interception(folder):
    """What was said to be kept arrives; what was not said may. Each start writes a row of its own."""

    async def test() -> None:
        draw = random.Random(1)
        df2 = await Df2().unix(folder / "x2")
        kept: dict[int, int] = {}
        for number in range(1, 4):
            async with child("poi", folder, number) as process:
                assert process.stdout is not None
                for _ in range(draw.randrange(3, 40)):
                    kept[number] = int((await process.stdout.readline()).split()[1])
                if number % 2:
                    await df2.until(lambda n=number: any(x2x3.parse(each).xid == xid(n) for each in df2.octets))
                process.kill()
                for line in (await process.stdout.read()).splitlines():
                    kept[number] = int(line.split()[1])
        last = Poi(UnixPeer(folder / "x2", US), journal(folder))
        await last.done()
        rows: dict[bytes, list[bytes]] = {}
        for octets in df2.octets:
            rows.setdefault(x2x3.parse(octets).xid, []).append(octets)
        for number, count in kept.items():
            found = rows[xid(number)]
            assert len(found) >= count
            assert found == events(len(found), 0, number)
        assert not df2.gaps
        await df2.stop()

    run(test)


def test_kills_of_the_mediation_function_between_commit_and_answer(folder):
    async def test() -> None:
        poi = Poi(UnixPeer(folder / "x2", US), journal(folder))
        given = events(300)
        for at in range(0, 300, 100):
            await poi.put(given[at : at + 100])
            async with child("df2", folder, 1) as process:
                await process.wait()
        async with child("df2", folder, 0):
            await poi.done()
        committed = x2x3.Splitter().feed((folder / "committed").read_bytes())
        assert list(dict.fromkeys(committed)) == given, "repetitions are the same octets, and in order"
        assert len(committed) > len(given), "what was committed and not answered came again"
        assert poi.client.counters.resent

    run(test)

"""ModifyTask at a DF: what runs goes on, to one destination at each moment; and what each task has given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from imswire import inet, sip
from midcall.config import Network, Profile
from midcall.df2 import Agency
from midcall.events import CcRecord, EventRecord, IriRecord, Task, Terms
from midcall.live.clock import now
from tests.midcall.live.recorded import datagrams
from tests.midcall.live.test_live import ALICE, XID, Lab
from tests.scenarios.world import World

OLD, NEW = "old", "new"


class Noted:
    """Where records were to go when they came to the writer, and how many packets."""

    def __init__(self, lab: Lab) -> None:
        self._writer = lab.writer
        self.outlets: list[str] = []
        self.content = 0

    def iri(self, records: list[EventRecord], before=None) -> asyncio.Future[list[None]]:
        self.outlets += [each.outlet for each in records if isinstance(each, IriRecord)]
        return self._writer.iri(records, before)  # type: ignore[return-value]

    def cc(self, records: list[CcRecord]) -> asyncio.Future[list[bool]]:
        self.content += len(records)
        return self._writer.cc(records)  # type: ignore[return-value]


class Call:
    """A call that runs when its task is ordered, and the mediation function that follows it."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        call = self.world.call()
        call.establish(self.world.held())
        call.talk(2)
        call.hang_up()
        wire = datagrams(self.world)
        self.media = [each for each in wire if not sip.looks_like_sip(each.payload)]
        self.before = wire[: wire.index(self.media[0])]
        self.after = wire[wire.index(self.media[-1]) + 1 :]
        self.lab = Lab(folder, self.world)
        self.agency = Agency(Terms("LI-1", time.time_ns(), time.time_ns() + 3_600_000_000_000), Profile(), Network())
        self.disarmed = 0

    async def begin(self) -> None:
        lab = self.lab
        await lab.start()
        self.noted = lab.df._writer = lab.df.commits._writer = Noted(lab)  # type: ignore[assignment]
        disarm = lab.tap.disarm

        def counted(place: bytes) -> int:
            self.disarmed += 1
            return disarm(place)

        lab.tap.disarm = counted  # type: ignore[method-assign]
        self.say(self.before)
        lab.df.order(XID, self.agency, b"signed", OLD)
        lab.poi.arm(Task(XID, (ALICE,), self.agency.terms.start))
        await lab.tap.until(4)

    def say(self, datagrams: Sequence[inet.Datagram]) -> None:
        for each in datagrams:
            self.lab.say(each)

    def change(self, **terms: Any) -> None:
        """As X1 does, in one step."""
        self.agency = structs.replace(self.agency, terms=structs.replace(self.agency.terms, **terms))
        self.lab.df.end(XID, now(), changed=True)
        self.lab.df.order(XID, self.agency, b"signed", NEW)

    async def finish(self) -> None:
        self.say(self.after)
        await self.lab.stop()
        self.lab.store.close()


@pytest.fixture
def call(tmp_path: Path) -> Call:
    return Call(tmp_path)


def test_another_destination_breaks_nothing_off(call: Call) -> None:
    half = len(call.media) // 2

    async def test() -> None:
        await call.begin()
        call.say(call.media[:half])
        call.change(end=time.time_ns() + 7_200_000_000_000)
        assert call.disarmed == 0 and len(call.lab.tap.places) == 4, "no packet is missed"
        call.say(call.media[half:])
        await call.finish()
        assert call.lab.keys.asked == 1, "the keys are known"
        assert call.noted.content == len(call.media)
        assert call.noted.outlets == [OLD, NEW, NEW]

    asyncio.run(test())


def test_what_was_made_before_goes_where_it_was_to_go(call: Call) -> None:
    async def test() -> None:
        await call.begin()
        df = call.lab.df
        await df.commits.done()
        record = IriRecord("LI-1", 1, 3, time.time_ns(), b"", 0)
        first = len(call.noted.outlets)
        df._write([record])  # at once
        df._write([record])  # at the loop's next turn
        call.change()
        df._write([record])
        await df.commits.done()
        assert call.noted.outlets[first:] == [OLD, OLD, NEW]
        await call.finish()

    asyncio.run(test())


def test_what_is_disclosed_otherwise_is_begun_anew_at_once(call: Call) -> None:
    """Without another word of the POI, and without a packet lost while the KMS is asked."""
    half = len(call.media) // 2

    async def test() -> None:
        await call.begin()
        call.say(call.media[:half])
        while call.noted.content < half:
            await asyncio.sleep(0)
        call.change(location=False)
        assert len(call.lab.tap.places) == 4
        call.say(call.media[half:])
        while call.noted.content < len(call.media):
            await asyncio.sleep(0)
        await call.finish()
        assert call.lab.keys.asked == 2 and call.noted.content == len(call.media)

    asyncio.run(asyncio.wait_for(test(), 30))


def test_content_ends_with_the_change_to_events_alone(call: Call) -> None:
    half = len(call.media) // 2

    async def test() -> None:
        await call.begin()
        call.say(call.media[:half])
        while call.noted.content < half:
            await asyncio.sleep(0)
        call.change(content=False)
        assert not call.lab.tap.places
        call.say(call.media[half:])
        await call.finish()
        assert call.noted.content == half and call.noted.outlets == [OLD, NEW, NEW]

    asyncio.run(asyncio.wait_for(test(), 30))


def test_what_a_task_has_given(call: Call) -> None:
    async def test() -> None:
        await call.begin()
        call.say(call.media)
        while call.noted.content < len(call.media):
            await asyncio.sleep(0)
        at_poi, at_df = call.lab.poi.intercepted(XID), call.lab.df.intercepted(XID)
        assert at_poi.x2 == at_df.x2 > 0, "what the one has sent the other has taken in"
        # Clear packets: SRTP carries ten octets more.
        assert at_df.x3 == sum(len(each.payload) - 10 for each in call.media) and at_poi.x3 is None
        assert at_poi.last is not None and at_df.last is not None and at_df.last >= at_poi.last
        call.change()
        assert call.lab.df.intercepted(XID) == at_df, "it is the same task"
        call.lab.df.end(XID, now())
        assert call.lab.df.intercepted(XID).x3 == 0 and call.lab.df.intercepted(XID).last is None
        await call.finish()

    asyncio.run(asyncio.wait_for(test(), 30))

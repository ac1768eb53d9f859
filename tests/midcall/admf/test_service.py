"""The ADMF at work: what people ask at its door, and what POI and DF do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from midcall.admf import wire
from midcall.admf.roles import Command
from midcall.admf.values import AlarmKind
from tests.midcall import warrants
from tests.midcall.admf.lab import Site, draft

BEGUN = [("df", "DestinationSet"), ("df", "Armed"), ("poi", "DestinationSet"), ("poi", "Armed")]
ENDED = [("poi", "Disarmed"), ("df", "Disarmed")]


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:
    return Site(tmp_path, files)


def without_places(kinds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [each for each in kinds if not each[1].startswith("Destination")]


def test_four_people_later_it_is_armed_the_df_first_and_the_poi_last(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        assert site.kinds() == BEGUN
        assert site.admf.alarms == 0
        shown = await site.done("ann", Command.SHOW, wire.Named("W-1"))
        assert shown["elements"] == {"df": {warrants.XID: "armed"}, "poi": {warrants.XID: "armed"}}

    site.run(test)


def test_it_ends_the_other_way_round(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        site.told.clear()
        await site.done("leo", Command.REVOKE, wire.Named("W-1"))
        await site.until(lambda: not site.held("poi") | site.held("df"))
        assert without_places(site.kinds()) == ENDED and site.status() == "Suspended"
        await site.done("leo", Command.ACTIVATE, wire.Named("W-1"))
        await site.until(lambda: site.status() == "Active")

    site.run(test)


def test_after_a_restart_it_finds_what_it_left(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        site.told.clear()
        await site.restart()
        await site.until(lambda: site.status() == "Active")
        assert site.told == [] and site.admf.alarms == 0

    site.run(test)


def test_a_draft_alone_orders_nothing(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.done("lea", Command.DRAFT, draft(warrants.make()))
        assert await site.refused("lea", Command.ACTIVATE, wire.Named("W-1")) == "approvals"
        await site.done("ann", Command.APPROVE, site.approval(warrants.make(), "Ann"))
        assert await site.refused("lea", Command.ACTIVATE, wire.Named("W-1")) == "approvals"
        assert site.status() == "AwaitingApproval" and site.told == []

    site.run(test)


def test_a_disk_that_takes_its_time_is_no_clock_that_jumps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What time brings is looked at while an act is being written."""

    async def test(site: Site) -> None:
        write = site.admf._store.write

        async def slowly(*arguments: Any) -> None:
            await write(*arguments)
            site.clock.go(1_000_000)
            site.admf.core.deadline(site.clock())

        monkeypatch.setattr(site.admf._store, "write", slowly)
        await site.active(warrants.make())
        assert not site.admf.core.alarms.stands(AlarmKind.CLOCK)

    site.run(test)

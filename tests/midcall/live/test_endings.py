"""Intercepts of a DF end: what was given before goes out, and what is ordered anew goes on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imswire.x1 import DestinationDetails, IpAddressAndPort, TcpPort
from midcall.base.frame import RoleError
from midcall.base.tls_end import TlsEnd
from midcall.config import Delivery, Integrity, Network
from midcall.events import Intercept
from midcall.handover import Kind
from midcall.handover.assembler import context_key
from midcall.handover.shell.writer import Written
from midcall.live import outlets as module
from midcall.live import roles
from midcall.live.outlets import Outlets
from tests.midcall.handover.world import MASTER, cc, iri, streams, unavailable
from tests.midcall.live.recorded import DID

LIID = "LAB-1"


@pytest.fixture(autouse=True)
def nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not delivered is not waited for."""
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.0)


class Config:
    """What of the table [df] outlets look at."""

    network, integrity, delivery = Network(), Integrity(), Delivery()
    retain_hours, backlog_days = 0.0, 30.0

    def __init__(self, folder: Path) -> None:
        self.spool, self.keys = str(folder / "spool"), str(folder / "keys")


class Watched:
    """What outlets tell."""

    def __init__(self) -> None:
        self.commits: list[Written] = []
        self.told: list[str] = []

    def written(self, outlet: str, commit: Written) -> None:
        assert outlet == DID
        self.commits.append(commit)

    def closed(self, liid: str) -> None:
        self.told.append(liid)


def intercept(liid: str = LIID) -> Intercept:
    return Intercept(liid, "xid", "operator", "element", "XX", None, DID)


def run(
    folder: Path,
    test: Callable[[Outlets, Watched], Awaitable[None]],
    failed: Callable[[str], None] = lambda _: None,
) -> Watched:
    """With an order, and nobody at its destination."""
    watch = Watched()
    details = DestinationDetails(DID, "X2andX3", IpAddressAndPort("127.0.0.1", TcpPort(1)))  # type: ignore[arg-type]

    async def both() -> None:
        config, end = Config(folder), TlsEnd(ssl.create_default_context(), None)
        outlets = Outlets(config, MASTER, end, lambda _: unavailable, watch=watch, failed=failed)  # type: ignore[arg-type]
        outlets.details = details  # type: ignore[attr-defined]
        outlets.order(intercept(), details, None)
        try:
            async with asyncio.timeout(30):
                await test(outlets, watch)
        finally:
            await outlets.close()

    asyncio.run(both())
    return watch


async def on_the_disk() -> None:
    """Nothing that was given before is on its way any more."""


def number(outlets: Outlets, kind: Kind) -> int:
    ((_, outlet),) = outlets.all()
    return outlet.spool.files.assembler.next_number(context_key(intercept(), 1, kind))


def test_closing_checks_come_behind_what_was_given(tmp_path):
    async def test(outlets: Outlets, watch: Watched) -> None:
        written = outlets.iri([iri(1)])
        await outlets.end(LIID, on_the_disk())
        assert written.done() and watch.told == [LIID]
        assert (number(outlets, Kind.IRI), number(outlets, Kind.INTEGRITY)) == (1, 1)
        await outlets.iri([iri(2)])
        assert number(outlets, Kind.IRI) == 1, "nothing goes out any more"

    watch = run(tmp_path, test)
    assert sum(each.iri for each in watch.commits) == 1
    assert [each.ended for each in watch.commits if each.ended] == [(LIID,)]


def test_what_is_still_on_its_way_goes_out_before_the_end(tmp_path):
    async def test(outlets: Outlets, watch: Watched) -> None:
        async def given() -> None:
            await asyncio.sleep(0)
            await outlets.iri([iri(1)])

        await outlets.end(LIID, given())
        assert number(outlets, Kind.IRI) == 1

    run(tmp_path, test)


def test_an_liid_that_is_ordered_anew_goes_on(tmp_path):
    """A task that X1 modifies ends and begins in one step."""

    async def test(outlets: Outlets, watch: Watched) -> None:
        ended = outlets.end(LIID, on_the_disk())
        outlets.order(intercept(), outlets.details, None)  # type: ignore[attr-defined]
        await ended
        await outlets.iri([iri(1)])
        assert number(outlets, Kind.IRI) == 1 and watch.told == []

    run(tmp_path, test)


def test_an_liid_that_nobody_ordered_has_no_end(tmp_path):
    async def test(outlets: Outlets, watch: Watched) -> None:
        await outlets.end("LAB-2", on_the_disk())
        assert watch.told == []

    run(tmp_path, test)


def test_an_liid_that_is_over_is_forgotten_and_one_that_is_ordered_anew_is_not(tmp_path):
    async def test(outlets: Outlets, watch: Watched) -> None:
        outlets.order(intercept("LAB-2"), outlets.details, None)  # type: ignore[attr-defined]
        ended = outlets.end(LIID, on_the_disk()), outlets.end("LAB-2", on_the_disk())
        outlets.order(intercept("LAB-2"), outlets.details, None)  # type: ignore[attr-defined]
        await asyncio.gather(*ended)
        ((_, outlet),) = outlets.all()
        while outlet.spool.knows(LIID):
            await asyncio.sleep(0.01)
        assert outlet.spool.knows("LAB-2")

    run(tmp_path, test)


# Faults


@pytest.mark.parametrize("part", ["writer", "sender"])
def test_a_part_that_ends_by_a_fault_is_told_and_nobody_waits_for_it(tmp_path, monkeypatch, part):
    faults: list[str] = []

    def broken(*_: object) -> object:
        raise KeyError("nothing that anybody thought of")

    async def test(outlets: Outlets, watch: Watched) -> None:
        ((_, outlet),) = outlets.all()
        if part == "writer":
            monkeypatch.setattr(outlet.writer, "_settle", broken)
        else:
            monkeypatch.setattr(outlet.sender.channels[0], "_rest", broken)
        written = outlets.iri([iri(1)])
        while not faults:
            await asyncio.sleep(0.01)
        if part == "writer":
            for each in (written, outlets.iri([iri(2)]), outlets.cc(cc(streams()[0], 1))):
                with pytest.raises(asyncio.CancelledError):
                    await each
            assert outlet.writer.end(LIID).cancelled()
            await asyncio.wait([outlets.end(LIID, on_the_disk())])
        else:
            await written

    run(tmp_path, test, faults.append)
    assert len(faults) == 1 and faults[0].startswith(f"{DID}: {part}: ") and "KeyError at " in faults[0]
    assert "nothing that" not in faults[0]


def test_a_role_stops_when_a_part_of_it_works_no_more():
    async def test() -> None:
        stop = asyncio.Event()
        told, failed = roles._End(stop), roles._End(stop)
        failed.failed("the writer")
        failed.failed("another")
        await failed.came.wait()
        with pytest.raises(RoleError, match="the writer"):
            failed.close()
        assert not told.came.is_set()
        stop.set()
        await told.came.wait()
        told.close()

    asyncio.run(test())

"""Intercepts of a DF end: what was given before goes out, and what is ordered anew goes on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imswire.x1 import DestinationDetails, IpAddressAndPort, TcpPort
from midcall.base.tls_end import TlsEnd
from midcall.config import Delivery, Integrity, Network
from midcall.events import Intercept
from midcall.handover import Kind
from midcall.handover.shell.writer import Written
from midcall.live import outlets as module
from midcall.live.outlets import Outlets
from tests.midcall.handover.world import MASTER, iri, unavailable
from tests.midcall.live.recorded import DID

LIID = "LAB-1"


@pytest.fixture(autouse=True)
def nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not delivered is not waited for."""
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.0)


class Config:
    """What of the table [df] outlets look at."""

    network, integrity, delivery = Network(), Integrity(), Delivery()

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


def intercept() -> Intercept:
    return Intercept(LIID, "xid", "operator", "element", "XX", None, DID)


def run(folder: Path, test: Callable[[Outlets, Watched], Awaitable[None]]) -> Watched:
    """With an order, and nobody at its destination."""
    watch = Watched()
    details = DestinationDetails(DID, "X2andX3", IpAddressAndPort("127.0.0.1", TcpPort(1)))  # type: ignore[arg-type]

    async def both() -> None:
        end = TlsEnd(ssl.create_default_context(), None)
        outlets = Outlets(Config(folder), MASTER, end, lambda _: unavailable, watch=watch)  # type: ignore[arg-type]
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
    return outlet.spool.next_number(LIID, 1, kind)


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

"""How interception stands at a role, and why a call has no content: what its LI plane gives out.

No identities of targets, no keys: tasks by XID, intercepts by LIID.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from midcall.base.log import redacted
from midcall.base.tap import Mirror, TapPort
from midcall.base.x1_element.shell.service import X1Service
from midcall.base.x1_element.values import Held
from midcall.base.x2_link import X2Server
from midcall.df2.shell.xk import XkClient
from midcall.handover import Completeness
from midcall.handover.shell import status as spool_status
from midcall.live.df import DfService
from midcall.live.df_ladder import Product
from midcall.live.ladder import NS, TaskLadder, moment
from midcall.live.link_book import LinkBook
from midcall.live.outlets import Outlet, Outlets
from midcall.live.poi import PoiService
from midcall.live.x2_routes import X2Routes
from midcall.poi.shell.hep import HepReceiver

SPOOL = "spool"
SPOOL_SECONDS = 5.0
"""What reading a long backlog may take before an explanation does without its figures."""

T = TypeVar("T")


class PoiDesk:
    """Of a point of interception."""

    def __init__(
        self,
        x1: X1Service,
        service: PoiService,
        x2: X2Routes,
        book: LinkBook,
        hep: HepReceiver,
        mirror: Mirror | None,
    ) -> None:
        self._x1 = x1
        self._service = service
        self._x2 = x2
        self._book = book
        self._hep = hep
        self._mirror = mirror

    async def stands(self) -> dict[str, Any]:
        now, mirror = time.time_ns(), self._mirror
        return {
            "at": moment(now),
            **_tasks(self._x1),
            "links": msgspec.to_builtins(self._book.links()),
            "x2": self._x2.stands(lambda oldest: _age(oldest, now)),
            "calls": len(self._service.core),
            "counters": dict(self._service.counts),
            "hep": dict(self._hep.counts),
            "mirror": None if mirror is None else _with_drops(mirror.counters()),
        }

    async def explain(self, call_id: str) -> tuple[TaskLadder, ...]:
        return self._service.accounts.explain(call_id, self._x2.state)


class DfDesk:
    """Of the mediation functions. Spools are read in a thread of its own: nothing else waits for that."""

    def __init__(
        self,
        x1: X1Service,
        service: DfService,
        keys: XkClient,
        x2: X2Server,
        book: LinkBook,
        outlets: Outlets,
        tap: TapPort | None,
    ) -> None:
        self._x1 = x1
        self._service = service
        self._keys = keys
        self._x2 = x2
        self._book = book
        self._outlets = outlets
        self._tap = tap
        self._thread = ThreadPoolExecutor(1, "li-plane")

    async def stands(self) -> dict[str, Any]:
        now, service, tap = time.time_ns(), self._service, self._tap
        return {
            "at": moment(now),
            **_tasks(self._x1),
            "links": msgspec.to_builtins(self._book.links()),
            "x2": {"counters": msgspec.to_builtins(self._x2.counters)},
            "counters": dict(service.counts) | {"journal_faults": service.commits.faults},
            "x3": msgspec.to_builtins(service.x3_counters),
            "held_octets": service.held_octets,
            "removed": dict(service.removed),
            "kms": {"attempts": self._keys.attempts, "open": service.open_questions},
            "tap": None if tap is None else _with_drops(tap.counters()),
            "destinations": [await self._destination(did, outlet, now) for did, outlet in self._outlets.all()],
            "intercepts": [
                {
                    "liid": liid,
                    "destination": did,
                    "completeness": [_equation(each) for each in await self._completeness(outlet, liid)],
                }
                for liid, did, outlet in list(self._outlets.intercepts())
            ],
        }

    async def explain(self, call_id: str) -> tuple[TaskLadder, ...]:
        liids = self._service.liids(call_id).values()
        return self._service.explain(call_id, {liid: await self._product(liid) for liid in liids})

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _product(self, liid: str) -> Product:
        """Where what an intercept gives goes, and what became of it."""
        found = next((each for each in self._outlets.intercepts() if each[0] == liid), None)
        if found is None:
            return Product(False, "it has no destination")
        _, did, outlet = found
        links = [each for each in self._book.links(did) if each.part != SPOOL]
        is_up = bool(links) and all(each.is_up for each in links)
        why = next((each.why for each in links if not each.is_up), "")
        try:
            async with asyncio.timeout(SPOOL_SECONDS):
                completeness = await self._completeness(outlet, liid)
        except TimeoutError:
            completeness = []
        return Product(is_up, why, tuple(completeness))

    async def _completeness(self, outlet: Outlet, liid: str) -> list[Completeness]:
        """What was observed, delivered, queued, refused; nothing when the spool cannot be read."""
        read = spool_status.completeness
        return await self._read(lambda: read(outlet.spool.folder, outlet.status_keys, liid)) or []

    async def _destination(self, did: str, outlet: Outlet, now: int) -> dict[str, Any]:
        waiting = await self._read(lambda: spool_status.backlog(outlet.spool.folder))
        return {
            "did": did,
            "links": msgspec.to_builtins(self._book.links(did)),
            "counters": {name: msgspec.to_builtins(each) for name, each in outlet.sender.counters().items()},
            "backlog": waiting
            and {
                interface: {"pdus": each.pdus, "octets": each.octets, "oldest_seconds": _age(each.oldest, now)}
                for interface, each in waiting.items()
            },
        }

    async def _read(self, work: Callable[[], T]) -> T | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError):
            return None


def _tasks(x1: X1Service) -> dict[str, Any]:
    """All tasks that the element holds, and when its ADMF was heard."""
    element = x1.element
    heard = element.heard.wall
    found = [_task(xid, held) for xid, held in sorted(element.tasks.items())]
    return {"tasks": found, "admf_heard": moment(heard) if heard else None}


def _task(xid: str, held: Held) -> dict[str, Any]:
    task = None if held.order is None else held.order.task
    mediated = () if held.order is None else held.order.mediated
    return {
        "xid": xid,
        "state": held.state.value,
        "why": redacted(held.why),
        "start": None if task is None or task.start is None else moment(task.start),
        "end": None if task is None or task.end is None else moment(task.end),
        "liids": [each.terms.liid for each in mediated],
        "destinations": sorted({where.did for each in mediated for where in each.destinations}),
    }


def _with_drops(counters: Any) -> dict[str, Any]:
    """Counters of a tap, and what its rings had no room for."""
    found: dict[str, Any] = msgspec.to_builtins(counters)
    return found | {"dropped": counters.dropped}


def _equation(each: Completeness) -> dict[str, Any]:
    return {
        "interface": each.interface,
        "observed": each.observed,
        "delivered": each.delivered,
        "queued": each.queued,
        "refused": each.refused,
        "holds": each.holds,
    }


def _age(oldest: int | None, now: int) -> float | None:
    return None if oldest is None else round(max(0, now - oldest) / NS, 3)

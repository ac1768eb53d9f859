"""What a mediation function tells the audit of keys and product, and asks for without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from imswire.x1 import DeliveryType, NeIssueType
from midcall.audit.shell import files
from midcall.base.audit_link import AuditClient, Kind, Role, digest
from midcall.base.audit_link import client as clients
from midcall.base.x1_element import Armed, Changed, Disarmed, Order, Reason, Step
from midcall.base.x1_element.values import Mediated, NeIssue
from midcall.df2 import keys as answers
from midcall.events import Instant, KeyAnswer, KeyQuery, Task, Terms
from midcall.live import audited
from midcall.live.audited import DfAudit
from tests.midcall.audit.place import SALT, Place
from tests.midcall.warrants import XID

QUERY = KeyQuery(7, XID, "sip:alice@example.com", None)  # type: ignore[arg-type]
AT = Instant(1, 1)


class Kms:
    """Answers everything, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:
        self.asked += 1
        return answers.refused(query.query, "no")


def order(liid: str = "LI-1", warrant: str = "W-1") -> Order:
    terms = Terms(liid)
    return Order(
        Task(XID, ("sip:alice@example.com",)),
        DeliveryType.X2_AND_X3,
        (),
        (Mediated(terms, (), (), ()),),
        warrant_id=warrant,
    )


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.setattr(clients, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(audited, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(audited, "CLEAR_SECONDS", 0.03)
    return Place(tmp_path)


@contextlib.asynccontextmanager
async def client(place: Place, grace: float = 900.0) -> AsyncIterator[AuditClient]:
    async with place.client(Role.DF, grace=grace) as found:
        yield found
        while found.waiting and found.writable:
            await asyncio.sleep(0.001)


def rows(place: Place) -> list[dict[str, Any]]:
    found = [json.loads(row) for file in files.read(place.log) for row in file.lines]
    return [row for row in found if row.get("role") == "df"]


def named(kind: Kind, identifier: str) -> str:
    return digest(SALT, kind, identifier).hex()


def test_without_an_audit_in_the_configuration():
    async def go() -> None:
        kms, told = Kms(), DfAudit(None)
        assert told.keys(kms) is kms
        for each in (Armed(order()), Changed(order(), order()), Disarmed(XID, AT, Reason.ORDERED)):
            told.follow(each)

    asyncio.run(go())


def test_a_question_is_announced_with_its_warrant(place):
    async def go() -> None:
        async with place.running(), client(place) as audit:
            told, kms = DfAudit(audit), Kms()
            told.follow(Armed(order()))
            assert not (await told.keys(kms).keys(QUERY, b"warrant")).keys
            assert kms.asked == 1
            told.follow(Changed(order("LI-2"), order()))
            told.follow(Disarmed(XID, AT, Reason.ORDERED))
            told.follow(Disarmed(XID, AT, Reason.ORDERED))

    asyncio.run(go())
    found = rows(place)
    assert [row["act"] for row in found if row["phase"] != "outcome"] == [
        "delivery.begin", "keys.ask", "delivery.end", "delivery.begin", "delivery.end",
    ]  # fmt: skip
    asked = next(row for row in found if row["act"] == "keys.ask")
    assert (asked["phase"], asked["object"], asked["warrant"]) == (
        "intent",
        named(Kind.TASK, XID),
        named(Kind.WARRANT, "W-1"),
    )
    assert [row["outcome"] for row in found if row["act"] == "keys.ask"] == ["", "refused"]
    assert found[-1]["object"] == named(Kind.INTERCEPT, "LI-2")


def test_without_an_audit_that_can_be_written_no_keys_for_a_new_task(place):
    async def go() -> None:
        async with client(place, grace=0.5) as audit:
            kms = Kms()
            source = DfAudit(audit).keys(kms)
            answer = await source.keys(QUERY, None)
            assert "audit" in answer.failures[0] and not kms.asked
            async with place.running():
                while not audit.writable:
                    await asyncio.sleep(0.001)
                await source.keys(QUERY, None)
            assert kms.asked == 1
            await source.keys(QUERY, None)
            assert kms.asked == 2, "for the same task they are asked for within the grace"
            other = KeyQuery(8, "0a000000-0000-4000-8000-00000000000f", "sip:bob@example.com", None)  # type: ignore[arg-type]
            await source.keys(other, None)
            assert kms.asked == 2
            while not audit.overdue:
                await asyncio.sleep(0.01)
            await source.keys(QUERY, None)
            assert kms.asked == 2

    asyncio.run(go())


class Df:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.held_octets = 0


class Element:
    def ne_fault(self, key: str, text: str, now: Instant) -> Step:
        return Step(follows=(NeIssue(NeIssueType.FAULT_REPORT, text),))

    def ne_clear(self, key: str, now: Instant) -> Step:
        return Step(follows=(NeIssue(NeIssueType.FAULT_CLEARED, "over"),))


@pytest.mark.parametrize("kind", ["expired", "outside"])
def test_product_that_nobody_ordered_is_an_alarm_and_ends_as_one(place, kind):
    said: list[str] = []

    async def happened(what: Callable[[Instant], Step]) -> None:
        said.extend(each.issue.name for each in what(AT).follows)  # type: ignore[union-attr]

    async def go() -> None:
        async with place.running(), client(place) as audit:
            df = Df()
            watching = asyncio.create_task(DfAudit(audit).watch(df, Element(), happened))
            await asyncio.sleep(0.03)
            assert not said
            df.counts[kind] += 3
            while len(said) < 2:
                await asyncio.sleep(0.001)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(go())
    assert said == ["FAULT_REPORT", "FAULT_CLEARED"]
    assert [(row["act"], row["count"]) for row in rows(place)] == [("delivery.refuse", 3)]

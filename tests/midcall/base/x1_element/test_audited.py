"""Orders of X1 with an audit beside: told before they count, refused where they cannot be, ended whether or not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imswire import x1
from imswire.x1 import ErrorCode
from midcall.audit.shell import files
from midcall.base.audit_link import AuditClient, Kind
from midcall.base.audit_link import client as clients
from midcall.base.x1_element import Armed, DestinationSet, Disarmed, Follow, State
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.service import X1Service
from midcall.base.x1_element.shell.store import StoreError
from tests.midcall import warrants
from tests.midcall.audit import made, place
from tests.midcall.base.x1_element import lab
from tests.midcall.base.x1_element.lab import Place
from tests.midcall.base.x1_element.world import DAY, XID, signed, task
from tests.midcall.base.x1_element.world import place as destination

Audit = Callable[[], contextlib.AbstractAsyncContextManager[object]]
Test = Callable[[X1Service, X1Client, Audit], Awaitable[None]]


class House:
    """An element and its audit, which a test starts and stops."""

    def __init__(self, at: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clients, "WAIT_SECONDS", 5)
        monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.005)
        monkeypatch.setattr(clients, "PROBE_SECONDS", 0.02)
        self.at = at
        folder.mkdir()
        self.audit = place.Place(folder)
        self.grace = 900.0

    def run(self, test: Test) -> None:
        async def both() -> None:
            async with contextlib.AsyncExitStack() as opened:
                audit = await opened.enter_async_context(self.audit.running())
                client = await opened.enter_async_context(self.audit.client(grace=self.grace))
                self.at.audit = client
                service = self.at.service()
                address = await service.start()
                asking = self.at.client(address)
                opened.push_async_callback(service.stop)
                opened.push_async_callback(asking.close)
                async with asyncio.timeout(lab.LIMIT):
                    await test(service, asking, lambda: self.without(client))
                await told(client)
                assert audit is not None

        asyncio.run(both())

    @contextlib.asynccontextmanager
    async def without(self, client: AuditClient):
        """A while in which nobody can write: the log is not the audit's any more."""
        from midcall.audit.shell.keeper import Keeper, NotWritten

        former = Keeper.write

        async def full(*_: object) -> list[int]:
            raise NotWritten("No space left on device")

        Keeper.write = full  # type: ignore[method-assign, assignment]
        while client.writable:
            client.event("alarm")  # type: ignore[arg-type]
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            Keeper.write = former  # type: ignore[method-assign]

    def acts(self) -> list[tuple[str, str, str]]:
        return [
            (row["act"], row["phase"], row["outcome"]) for row in self.rows() if not row["act"].startswith("audit.")
        ]

    def rows(self) -> list[dict]:
        rows = [json.loads(row) for file in files.read(self.audit.log) for row in file.lines]
        return [row for row in rows if "n" in row]


async def told(client: AuditClient) -> None:
    while client.waiting:
        await asyncio.sleep(0.001)


@pytest.fixture
def house(at, tmp_path, monkeypatch) -> House:
    return House(at, tmp_path / "audit", monkeypatch)


async def arm(client: X1Client) -> x1.Response:
    await client.ask(x1.CreateDestinationRequest, destination())
    return await client.ask(x1.ActivateTaskRequest, task())


def refused(response: x1.Response, code: ErrorCode) -> None:
    assert isinstance(response, x1.ErrorResponse) and response.error.code == code
    assert "audit" in response.error.description


def test_an_order_is_in_the_audit_before_it_is_carried_out(house):
    before: list[list[tuple[str, str, str]]] = []

    def look(each: Follow) -> bool:
        if isinstance(each, Armed):
            before.append(house.acts())
        return False

    house.at.breaks = look

    async def test(service, client, audit):
        assert isinstance(await arm(client), x1.ActivateTaskResponse)
        assert isinstance(await client.ask(x1.GetTaskDetailsRequest, XID), x1.GetTaskDetailsResponse)
        assert isinstance(await client.ask(x1.ActivateTaskRequest, task(b"")), x1.ErrorResponse)
        assert isinstance(await client.ask(x1.PingRequest), x1.PingResponse)
        assert isinstance(await client.ask(x1.DeactivateTaskRequest, XID), x1.DeactivateTaskResponse)

    house.run(test)
    began = [("configuration.read", "event", "done"), ("alarm", "event", "done")]
    assert before == [[*began, *_pair("destination.create"), ("task.activate", "intent", "")]]
    assert made.check(house.audit.log).found is None and made.check(house.audit.log).unresolved == ()
    assert set(house.acts()) >= {
        *_pair("task.activate"),
        ("task.arm", "event", "done"),
        ("task.read", "event", "done"),
        ("task.activate", "event", "refused"),
        *_pair("task.deactivate"),
        ("task.disarm", "event", "done"),
    }
    rows = {row["act"]: row for row in house.rows() if row["phase"] != "outcome"}
    assert house.at.audit is not None
    digest = house.at.audit.digest
    assert rows["task.deactivate"]["object"] == digest(Kind.TASK, XID).hex() == rows["task.arm"]["object"]
    assert rows["task.arm"]["warrant"] == digest(Kind.WARRANT, "w-1").hex() or rows["task.arm"]["warrant"]
    assert len(rows["task.deactivate"]["actor"]) == 64


def _pair(act: str) -> list[tuple[str, str, str]]:
    return [(act, "intent", ""), (act, "outcome", "done")]


def test_without_an_audit_nothing_new_and_everything_else(house):
    async def test(service, client, audit):
        await arm(client)
        async with audit():
            refused(await client.ask(x1.ModifyTaskRequest, task()), ErrorCode.MODIFY_FAILED)
            house.at.follows.clear()
            assert isinstance(await client.ask(x1.GetAllDetailsRequest), x1.GetAllDetailsResponse)
            assert isinstance(await client.ask(x1.DeactivateTaskRequest, XID), x1.DeactivateTaskResponse)
            assert [type(each) for each in house.at.follows] == [Disarmed]
            refused(await client.ask(x1.ActivateTaskRequest, task()), ErrorCode.ACTIVATE_FAILED)
            assert [type(each) for each in house.at.follows] == [Disarmed] and not service.element.tasks
        while house.at.audit.waiting:
            await asyncio.sleep(0.001)
        assert isinstance(await client.ask(x1.ActivateTaskRequest, task()), x1.ActivateTaskResponse)

    house.run(test)
    acts = house.acts()
    assert acts.count(("task.activate", "event", "refused")) == 1
    assert set(_pair("task.deactivate")) <= set(acts), "told as soon as it could be"


def test_what_runs_goes_on_for_the_grace_and_no_longer(house):
    async def test(service, client, audit):
        await arm(client)
        stop = asyncio.Event()
        running = asyncio.create_task(service.run(stop))
        async with audit():
            await asyncio.sleep(0.05)
            assert not any(isinstance(each, Disarmed) for each in house.at.follows)
            client_of_audit = house.at.audit
            client_of_audit.link = clients.AuditLink(
                path=client_of_audit.link.path, role=client_of_audit.link.role, salt=b"s" * 32, grace=0.01
            )
            service._more.set()
            while not isinstance(house.at.follows[-1], Disarmed):
                await asyncio.sleep(0.005)
            assert service.element.tasks[XID].state is State.FAILED
        stop.set()
        await client.close()
        await running

    house.run(test)


def test_a_window_that_opens_without_an_audit(house):
    later = task(signed(start="2026-07-03T00:00:00Z"))
    house.at.settings = lab.settings(fail_safe=False)

    async def test(service, client, audit):
        await client.ask(x1.CreateDestinationRequest, destination())
        answer = await client.ask(x1.ActivateTaskRequest, later)
        assert isinstance(answer, x1.ActivateTaskResponse) and answer.ok is x1.Ok.ACKNOWLEDGED
        async with audit():
            house.at.clock.go(40 * 10**9)
            while service.element.tasks[XID].state is State.NOT_BEGUN:
                house.at.clock.go(DAY // 24)
                await client.ask(x1.PingRequest)
            assert service.element.tasks[XID].state is State.FAILED
            assert not any(isinstance(each, Armed) for each in house.at.follows)

    house.run(test)


def test_what_ran_runs_again_after_a_restart_without_an_audit(house):
    async def first(service, client, audit):
        await arm(client)

    house.run(first)
    house.at.follows.clear()

    async def alone() -> None:
        async with house.audit.client() as client:
            assert not client.writable
            house.at.audit = client
            service = house.at.service()
            await service.start()
            await service.stop()

    asyncio.run(alone())
    assert [type(each) for each in house.at.follows] == [DestinationSet, Armed]


def test_a_revocation_does_not_wait_for_the_audit(house):
    """Though it comes in a message that modifies."""

    async def test(service, client, audit):
        await client.ask(x1.CreateDestinationRequest, destination())
        await client.ask(x1.ActivateTaskRequest, task())
        async with audit():
            answer = await client.ask(x1.ModifyTaskRequest, task(warrants.signed(warrants.revocation(2))))
            assert isinstance(answer, x1.Acknowledgement) and isinstance(house.at.follows[-1], Disarmed)
            assert isinstance(await client.ask(x1.ModifyTaskRequest, task()), x1.ErrorResponse)

    house.run(test)
    assert set(_pair("task.modify")) <= set(house.acts())


def test_placed_warrants(house):
    house.at.settings = lab.settings(unsigned="detached")

    async def test(service, client, audit):
        await client.ask(x1.CreateDestinationRequest, destination())
        await client.ask(x1.ActivateTaskRequest, task(b""))
        async with audit():
            with pytest.raises(StoreError, match="audit"):
                await service.place(signed())
            assert not any(isinstance(each, Armed) for each in house.at.follows)
        while not house.at.audit.writable:
            await asyncio.sleep(0.001)
        await service.place(signed())
        assert isinstance(house.at.follows[-1], Armed)
        async with audit():
            await service.place(warrants.signed(warrants.revocation(2)))
            assert isinstance(house.at.follows[-1], Disarmed)

    house.run(test)
    assert set(house.acts()) >= {*_pair("warrant.place"), *_pair("warrant.revoke")}

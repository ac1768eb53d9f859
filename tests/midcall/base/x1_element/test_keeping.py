"""What an element keeps: reports over a restart, a store of its own, on a disk that may be slow; and how it stops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from imswire import x1
from imswire.x1 import ErrorCode
from midcall.base.frame import RoleError
from midcall.base.seal import SealKey
from midcall.base.x1_element import Armed, Disarmed, Intercepted, NeIssue, Peer, TaskIssue
from midcall.base.x1_element.shell import keeper
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.service import X1Service
from midcall.base.x1_element.shell.store import REPORTS, X1Store
from tests.midcall.base.x1_element import lab
from tests.midcall.base.x1_element.lab import ADMF, LIMIT, NE, SEAL, Admf, Place
from tests.midcall.base.x1_element.world import DAY, XID, place, task

NOBODY = "https://127.0.0.1:1"


async def arm(client: X1Client) -> x1.Response:
    await client.ask(x1.CreateDestinationRequest, place())
    return await client.ask(x1.ActivateTaskRequest, task())


def store(at: Place) -> X1Store:
    return X1Store(at.store, SealKey(SEAL), ADMF, NE)


def kept(at: Place) -> list[object]:
    """Reports on the disk, while no service has it."""
    found = store(at)
    try:
        return [issue for _, issue in found.reports()]
    finally:
        found.close()


# Reports


def test_what_goes_down_behind_an_element_that_has_stopped_is_no_fault(at: Place) -> None:
    """Its links end when it does, and may tell so when the store is closed."""

    async def test(service: X1Service, client: X1Client) -> None:
        await service.stop()
        await service.happened(lambda now: service.element.ne_fault("link", "closed", now))

    at.admf = NOBODY
    at.run(test)
    assert [type(each) for each in kept(at)] == [NeIssue], "that it was restarted"


def test_reports_that_could_not_be_sent_are_sent_after_a_restart(at: Place) -> None:
    async def unheard(service: X1Service, client: X1Client) -> None:
        await arm(client)
        await service.happened(lambda now: service.element.task_fault(XID, "a", "no media", now))
        await service.happened(lambda now: service.element.ne_fault("clock", "no time", now))

    at.admf = NOBODY
    at.run(unheard)
    assert [type(each) for each in kept(at)] == [NeIssue, TaskIssue, NeIssue]
    assert XID.encode() not in at.store.read_bytes() and b"no media" not in at.store.read_bytes()

    async def heard() -> Admf:
        admf = Admf(at.files)
        at.admf = await admf.start()
        service = at.service()
        async with asyncio.timeout(LIMIT):
            await service.start()
            await service.reported()
            await service.stop()
            await admf.stop()
        return admf

    reports = asyncio.run(heard()).reports
    assert [type(each).__name__ for each in reports] == [
        "ReportNEIssueRequest", "ReportTaskIssueRequest", "ReportNEIssueRequest", "ReportNEIssueRequest",
    ]  # fmt: skip
    said = [each.description for each in reports if isinstance(each, x1.ReportNEIssueRequest)]
    assert said == ["restarted: 0 tasks held, 0 armed", "no time", "restarted: 1 tasks held, 1 armed"]
    assert kept(at) == [], "what was acknowledged is not said again"


def test_who_starts_again_and_again_says_so_once(at: Place) -> None:
    async def nothing(service: X1Service, client: X1Client) -> None:
        """It starts, and stops."""

    at.admf = NOBODY
    for _ in range(3):
        at.run(nothing)
    assert len(kept(at)) == 1


def test_reports_on_the_disk_are_bounded(at: Place) -> None:
    found = store(at)
    many = tuple(TaskIssue(XID, x1.TaskReportType.WARNING, None, str(number)) for number in range(REPORTS + 3))
    found.write((), many[: REPORTS - 1])
    numbers = found.write((), many[REPORTS - 1 :])
    assert [issue for _, issue in found.reports()] == list(many[3:])
    found.told(numbers[-1])
    assert len(found.reports()) == REPORTS - 1
    found.close()


# The store is of one process


def test_a_second_process_is_refused(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        with pytest.raises(RoleError, match=r"x1\.db: another process has it: each POI and each DF needs a store"):
            at.service()
        assert isinstance(await arm(client), x1.ActivateTaskResponse), "and the first one goes on"

    at.run(test)
    store(at).close()


# A slow disk


class Disk:
    """Holds up what a service writes."""

    def __init__(self, service: X1Service) -> None:
        self.free, self.busy = threading.Event(), threading.Event()
        self._write = service.store.write
        service.store.write = self.write  # type: ignore[method-assign]

    def write(self, *arguments: object) -> tuple[int, ...]:
        self.busy.set()
        assert self.free.wait(LIMIT)
        return self._write(*arguments)  # type: ignore[arg-type]

    async def until_busy(self) -> None:
        while not self.busy.is_set():
            await asyncio.sleep(0.001)


def test_the_loop_goes_on_while_an_order_is_written_and_nothing_counts_before(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        await client.ask(x1.CreateDestinationRequest, place())
        disk = Disk(service)
        other = at.client(service._server.address)  # type: ignore[union-attr]
        asked = asyncio.create_task(client.ask(x1.ActivateTaskRequest, task()))
        await disk.until_busy()
        pinged = asyncio.create_task(other.ask(x1.PingRequest))
        await asyncio.sleep(0.02)
        assert not asked.done() and not pinged.done() and not any(isinstance(each, Armed) for each in at.follows)
        disk.free.set()
        assert isinstance(await asked, x1.ActivateTaskResponse) and isinstance(at.follows[-1], Armed)
        assert isinstance(await pinged, x1.PingResponse)
        await other.close()

    at.run(test)


def test_what_time_brings_meanwhile_follows_behind_the_order(at: Place) -> None:
    """The window ends while the order is written: armed, then disarmed, and never the other way."""
    at.settings = lab.settings(fail_safe=False)

    async def test(service: X1Service, client: X1Client) -> None:
        await client.ask(x1.CreateDestinationRequest, place())
        disk = Disk(service)
        asked = asyncio.create_task(client.ask(x1.ActivateTaskRequest, task()))
        await disk.until_busy()
        at.clock.go(30 * DAY)
        looked = asyncio.create_task(service.look())
        await asyncio.sleep(0.01)
        disk.free.set()
        await asked
        await looked
        assert [type(each) for each in at.follows[-2:]] == [Armed, Disarmed] and not service.element.orders

    at.run(test)


def test_an_order_that_the_disk_does_not_take_in_time_is_refused_and_taken_back(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "WRITE_SECONDS", 0.02)

    async def test(service: X1Service, client: X1Client) -> None:
        await client.ask(x1.CreateDestinationRequest, place())
        disk = Disk(service)
        refused = await client.ask(x1.ActivateTaskRequest, task())
        assert isinstance(refused, x1.ErrorResponse) and refused.error.code == ErrorCode.ACTIVATE_FAILED
        assert not service.element.tasks and not any(isinstance(each, Armed) for each in at.follows)
        status = await client.ask(x1.GetNEStatusRequest)
        assert isinstance(status, x1.GetNEStatusResponse) and status.ne.status is x1.NeStatus.FAULTS
        disk.free.set()

    at.run(test)
    assert not at.tasks(), "the disk took it later, and then took it back"


def test_one_that_hangs_up_changes_nothing_of_its_order(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        await client.ask(x1.CreateDestinationRequest, place())
        disk = Disk(service)
        asked = asyncio.create_task(
            service.ask(client.request(x1.ActivateTaskRequest, task()), Peer(frozenset((ADMF,))))
        )
        await disk.until_busy()
        asked.cancel()
        disk.free.set()
        await service.look()
        assert XID in service.element.orders and isinstance(at.follows[-1], Armed)

    at.run(test)


# Status


def test_what_a_task_has_given_is_told(at: Place) -> None:
    given = {XID: Intercepted(1_785_000_000_000_000_000, 1_234, None)}
    at.intercepted = lambda xid: given.get(xid, Intercepted())

    async def test(service: X1Service, client: X1Client) -> None:
        await arm(client)
        answer = await client.ask(x1.GetTaskDetailsRequest, XID)
        assert isinstance(answer, x1.GetTaskDetailsResponse)
        status = answer.details.status
        assert (status.last_intercept, status.amount_of_x2_data) == (1_785_000_000_000_000_000, 1_234)
        assert status.amount_of_x3_data is None

    at.run(test)


# The end


def test_a_stop_waits_neither_for_idle_connections_nor_long_for_half_a_request(at: Place) -> None:
    at.more = {"body_seconds": 3_600.0}

    async def test() -> None:
        service = at.service()
        address = await service.start()
        idle, half = at.client(address), at.client(address)
        await idle.ask(x1.PingRequest)
        request = asyncio.create_task(
            half._https._session.post(half._https._url + "/X1/NE", data=endless(), ssl=half._https._end.context)
        )
        await asyncio.sleep(0.05)
        async with asyncio.timeout(LIMIT):
            await service.stop()
        await asyncio.gather(request, return_exceptions=True)
        await idle.close()
        await half.close()

    async def endless():  # type: ignore[no-untyped-def]
        yield b"<"
        await asyncio.Event().wait()

    asyncio.run(test())

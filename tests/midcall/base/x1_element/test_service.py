"""The door over real TLS: orders, certificates, hostile documents, stores that fail, reports."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from imswire import x1
from imswire.x1 import ErrorCode, NeIssueType, TaskReportType
from midcall.base import https
from midcall.base.frame import RoleError
from midcall.base.https import Unreachable
from midcall.base.tls import TlsError
from midcall.base.x1_element import Armed, DestinationSet, Disarmed, Reason, State
from midcall.base.x1_element.shell import placed
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.reporter import Reporter, Waiting
from midcall.base.x1_element.shell.service import X1Service
from midcall.base.x1_element.shell.store import REPORTS, StoreError
from midcall.base.x1_element.values import NeIssue
from tests.midcall import warrants
from tests.midcall.base.x1_element import lab
from tests.midcall.base.x1_element.lab import Admf, Place
from tests.midcall.base.x1_element.world import DAY, XID, place, signed, task


def code(response: x1.Response) -> int:
    assert isinstance(response, x1.ErrorResponse), response
    return response.error.code


async def arm(client: X1Client) -> x1.Response:
    await client.ask(x1.CreateDestinationRequest, place())
    return await client.ask(x1.ActivateTaskRequest, task())


def test_an_order_is_carried_out_before_it_is_answered(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        answer = await arm(client)
        assert isinstance(answer, x1.ActivateTaskResponse) and answer.ok is x1.Ok.COMPLETED
        assert [type(each) for each in at.follows] == [DestinationSet, Armed]
        details = await client.ask(x1.GetAllDetailsRequest)
        assert isinstance(details, x1.GetAllDetailsResponse) and details.tasks[0].task == task()
        assert isinstance(await client.ask(x1.DeactivateTaskRequest, XID), x1.DeactivateTaskResponse)
        assert isinstance(at.follows[-1], Disarmed)

    at.run(test)


def test_several_messages_in_one_document(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        def three() -> list[x1.Request]:
            return [
                client.request(x1.CreateDestinationRequest, place()),
                client.request(x1.ActivateTaskRequest, task()),
                client.request(x1.PingRequest),
            ]

        asked = three()
        octets = x1.build_request(asked).replace(b"CreateDestinationRequest", b"CreateDestinationReq")
        answers = x1.parse_response(await client.post(octets))
        assert isinstance(answers, tuple)
        assert [each.error.code for each in answers if isinstance(each, x1.ErrorResponse)] == [1080, 2040]
        assert code((await client.send(asked))[1]) == ErrorCode.DID_UNKNOWN, "the same request, the same answer"
        answers = await client.send(three())
        assert [type(each).__name__ for each in answers][1:] == ["ActivateTaskResponse", "PingResponse"]

    at.run(test)


def test_a_certificate_of_another_role_orders_nothing(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        address = service._server.address  # type: ignore[union-attr]
        for role, name, wrong in (("df", "admf", 1030), ("df", "df", 1040), ("poi", "admf", 1030)):
            other = at.client(address, role, admf=name)
            assert code(await other.ask(x1.CreateDestinationRequest, place())) == wrong
            await other.close()
        stranger = at.client(address, ne="df")
        with pytest.raises(Unreachable, match="not bound"):
            await stranger.ask(x1.PingRequest)
        await stranger.close()
        assert not at.follows

    at.run(test)


def test_without_a_certificate_nothing_is_said(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        port = service._server.address[1]  # type: ignore[union-attr]
        trusting = ssl.create_default_context(cafile=str(at.files / "ca.pem"))
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
            writer.write(b"POST /X1/NE HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            assert await reader.read(1) == b""
            writer.close()

    at.run(test)


BOMB = b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><a>&d;</a>'


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no XML",
        BOMB,
        b"<a/>",
        b"<a>" * 5_000,
        b"<a>" + b"<b/>" * 9_000 + b"</a>",
        b"\xff\xfe<\x00a\x00/\x00>\x00",
    ],
    ids=["empty", "text", "entities", "root", "deep", "wide", "utf-16"],
)
def test_hostile_documents(at: Place, octets: bytes) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        found = x1.parse_response(await client.post(octets))
        assert isinstance(found, x1.TopLevelErrorResponse)
        assert (found.admf_identifier, found.ne_identifier) == ("admf", "poi")
        assert isinstance(await client.ask(x1.PingRequest), x1.PingResponse)

    at.run(test)


def test_http_that_is_no_x1(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        async def status(method: str, path: str, octets: bytes = b"", **headers: str) -> int:
            session, url, own = client._https._session, client._https._url + path, client._https._end.context
            async with session.request(method, url, data=io.BytesIO(octets), headers=headers, ssl=own) as answer:
                return answer.status

        assert await status("POST", "/X1/ADMF") == 404
        assert await status("GET", "/X1/NE") == 405
        assert await status("POST", "/X1/NE", bytes((1 << 20) + 1)) == 413
        assert await status("POST", "/X1/NE", b"a", **{"Content-Encoding": "gzip"}) == 413

    at.run(test)


def test_one_peer_cannot_ask_without_end(at: Place) -> None:
    at.more = {"per_minute": 60, "burst": 2}

    async def test(service: X1Service, client: X1Client) -> None:
        for _ in range(2):
            await client.ask(x1.PingRequest)
        with pytest.raises(Unreachable, match="429"):
            await client.ask(x1.PingRequest)
        at.clock.go(10**9)
        await client.ask(x1.PingRequest)

    at.run(test)


def test_what_the_function_cannot_do_is_not_acknowledged(at: Place) -> None:
    at.breaks = lambda each: isinstance(each, Armed)

    async def test(service: X1Service, client: X1Client) -> None:
        assert code(await arm(client)) == ErrorCode.ACTIVATE_FAILED
        assert not service.element.tasks and not service.store.read().tasks
        at.breaks = lambda _: False
        assert isinstance(await arm(client), x1.ActivateTaskResponse)
        at.breaks = lambda each: not isinstance(each, Disarmed)
        within = task(signed(version=2, supersedes=1, end="2026-08-15T00:00:00Z"))
        assert code(await client.ask(x1.ModifyTaskRequest, within)) == ErrorCode.MODIFY_FAILED
        assert service.element.tasks[XID].state is State.FAILED

    at.run(test)


def test_a_store_that_fails(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        write = service.store.write

        def broken(changes: tuple[object, ...], issues: tuple[object, ...]) -> tuple[int, ...]:
            raise StoreError("x1.db: full")

        service.store.write = broken  # type: ignore[method-assign]
        assert code(await client.ask(x1.CreateDestinationRequest, place())) == ErrorCode.CREATE_DESTINATION_FAILED
        service.store.write = write  # type: ignore[method-assign]
        await arm(client)
        assert [type(each) for each in at.follows] == [DestinationSet, Armed]
        service.store.write = broken  # type: ignore[method-assign]
        assert code(await client.ask(x1.DeactivateTaskRequest, XID)) == ErrorCode.DEACTIVATE_FAILED
        assert isinstance(at.follows[-1], Disarmed) and at.follows[-1].reason is Reason.STORE
        status = await client.ask(x1.GetNEStatusRequest)
        assert isinstance(status, x1.GetNEStatusResponse) and status.ne.status is x1.NeStatus.FAULTS
        with pytest.raises(StoreError):
            await service.place(signed(version=2, supersedes=1))
        service.store.write = write  # type: ignore[method-assign]
        assert isinstance(await client.ask(x1.DeactivateTaskRequest, XID), x1.DeactivateTaskResponse)

    at.run(test)


def test_placed_warrants_are_read_from_their_folder(at: Place, tmp_path: Path) -> None:
    folder = tmp_path / "placed"
    folder.mkdir()
    at.settings = lab.settings(unsigned="detached")
    at.more = {"placed": folder}

    async def test(service: X1Service, client: X1Client) -> None:
        await client.ask(x1.CreateDestinationRequest, place())
        answer = await client.ask(x1.ActivateTaskRequest, task(b""))
        assert isinstance(answer, x1.ActivateTaskResponse) and answer.ok is x1.Ok.ACKNOWLEDGED
        (folder / "a.json").write_bytes(signed(warrants.ANN))
        (folder / "b.json").write_bytes(signed())
        assert await service.scan() == 1
        assert isinstance(at.follows[-1], Armed)
        (folder / "c.json").write_bytes(warrants.signed(warrants.revocation(2)))
        assert await service.scan() == 1, "what has been read once is not read again"
        assert isinstance(at.follows[-1], Disarmed)

    at.run(test)


def test_after_a_restart(at: Place) -> None:
    async def first(service: X1Service, client: X1Client) -> None:
        await arm(client)

    async def second(service: X1Service, client: X1Client) -> None:
        assert [type(each) for each in at.follows] == [DestinationSet, Armed]
        details = await client.ask(x1.GetTaskDetailsRequest, XID)
        assert isinstance(details, x1.GetTaskDetailsResponse) and details.details.task == task()

    at.run(first)
    at.follows.clear()
    at.run(second)
    assert b"alice" not in at.store.read_bytes()


def test_time_ends_a_window_while_nobody_asks(at: Place) -> None:
    at.settings = lab.settings(fail_safe=False)

    async def test(service: X1Service, client: X1Client) -> None:
        await arm(client)
        stop = asyncio.Event()
        at.clock.go(30 * DAY)
        running = asyncio.create_task(service.run(stop))
        while not isinstance(at.follows[-1], Disarmed):
            await asyncio.sleep(0)
        await client.close()
        stop.set()
        await running

    at.run(test)


def test_what_does_not_start(at: Place) -> None:
    at.settings = lab.settings(ne="poi", admf="admf")
    at.store.write_bytes(b"no database" * 100)
    with pytest.raises(RoleError, match="x1.db"):
        at.service()
    at.store.unlink()
    at.settings = lab.settings(ne="df")
    at.files, certificate = at.folder, (at.files / "poi.pem").read_bytes()
    (at.files / "df.pem").write_bytes(certificate)
    with pytest.raises(TlsError, match="bound to another"):
        at.service()


def test_another_trust_list(at: Place) -> None:
    async def test(service: X1Service, client: X1Client) -> None:
        await arm(client)
        await service.trust(warrants.trust(warrants.entry(warrants.ANN), warrants.entry(warrants.EVE)))
        assert isinstance(at.follows[-1], Disarmed)
        await service.happened(lambda now: service.element.ne_fault("a", "text", now))

    at.run(test)


# Reports


def reporting(at: Place, test: Callable[[Admf, X1Service, X1Client], object], role: str = lab.ADMF) -> Admf:
    async def both() -> Admf:
        admf = Admf(at.files, role)
        at.admf = await admf.start()
        service = at.service()
        client = at.client(await service.start())
        try:
            async with asyncio.timeout(lab.LIMIT):
                await test(admf, service, client)  # type: ignore[misc]
        finally:
            await client.close()
            await service.stop()
            await admf.stop()
        return admf

    return asyncio.run(both())


def test_reports_are_sent_in_their_order(at: Place) -> None:
    async def test(admf: Admf, service: X1Service, client: X1Client) -> None:
        await arm(client)
        element = service.element
        await service.happened(lambda now: element.destination_fault(place().did, "link", "no connection", now))
        await service.happened(lambda now: element.destination_clear(place().did, "link", now))
        assert service._reporter is not None
        service._reporter.put(Waiting(None, NeIssue(NeIssueType.WARNING, "\0: no text of XML")))
        await service.happened(lambda now: element.task_fault(XID, "b", "\0: no text of XML", now))
        assert isinstance(await client.ask(x1.GetAllDetailsRequest), x1.GetAllDetailsResponse)
        await service.happened(lambda now: element.task_clear(XID, "b", now))
        await service.happened(lambda now: element.task_fault(XID, "a", "text", now))
        await service.reported()

    admf = reporting(at, test)
    restarted, fault, clear, ill, over, issue = admf.reports
    assert isinstance(ill, x1.ReportTaskIssueRequest) and ill.details == "?: no text of XML"
    assert isinstance(over, x1.ReportTaskIssueRequest) and over.report is TaskReportType.ALL_CLEAR
    assert isinstance(restarted, x1.ReportNEIssueRequest) and restarted.issue is NeIssueType.WARNING
    assert isinstance(fault, x1.ReportDestinationIssueRequest) and fault.details == "no connection"
    assert isinstance(clear, x1.ReportDestinationIssueRequest) and clear.report is TaskReportType.ALL_CLEAR
    assert isinstance(issue, x1.ReportTaskIssueRequest) and issue.xid == XID


def test_a_report_is_sent_until_it_is_acknowledged(at: Place) -> None:
    seen: list[str] = []

    def answer(report: x1.Request) -> web.Response | None:
        seen.append(report.header.transaction_id)
        bad = {
            1: https.response(503),
            2: https.response(200, b"no XML"),
            3: https.response(200, x1.build_response(x1.TopLevelErrorResponse("admf", "poi", 0, x1.VERSION))),
            4: https.response(
                200,
                x1.build_response(
                    [x1.acknowledgement(x1.PingRequest(report.header), 0), x1.acknowledgement(report, 0)]
                ),
            ),
            5: https.response(200, x1.build_response([x1.refusal(report, ErrorCode.GENERIC, 0)])),
        }
        return bad.get(len(seen))

    async def test(admf: Admf, service: X1Service, client: X1Client) -> None:
        admf.answer = answer
        assert service._reporter is not None
        service._reporter._pause = lambda _: asyncio.ensure_future(asyncio.sleep(0))
        await service.reported()

    admf = reporting(at, test)
    assert len(seen) == len(set(seen)) == 5, "each attempt is a transaction of its own; what was refused was heard"
    assert not admf.reports


def test_only_the_admf_is_told(at: Place) -> None:
    async def test(admf: Admf, service: X1Service, client: X1Client) -> None:
        tried = asyncio.Event()

        def pause(_: float) -> asyncio.Future[None]:
            tried.set()
            return asyncio.get_running_loop().create_future()

        assert service._reporter is not None
        service._reporter._pause = pause
        await tried.wait()

    assert not reporting(at, test, lab.DF).reports


def test_reports_that_wait_are_bounded(at: Place) -> None:
    async def test() -> None:
        reporter = Reporter(at.settings, None, at.clock, lambda _: None)  # type: ignore[arg-type]
        reporter.put(*(Waiting(None, NeIssue(NeIssueType.WARNING, str(number))) for number in range(REPORTS + 2)))
        assert reporter.given_up == 2

    asyncio.run(test())


def test_why_an_order_is_refused_is_in_the_log(at: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The ADMF keeps codes alone, and 3000 helps nobody."""

    async def test(service: X1Service, client: X1Client) -> None:
        await client.ask(x1.CreateDestinationRequest, place())
        assert code(await client.ask(x1.ActivateTaskRequest, task(b""))) == ErrorCode.ACTIVATE_FAILED

    with caplog.at_level(logging.WARNING, "midcall.li.x1"):
        at.run(test)
    said = [each.getMessage() for each in caplog.records if "is refused" in each.getMessage()]
    assert said == ["ActivateTaskRequest is refused: the task could not be activated: no signed warrant"]


def test_what_is_no_file_among_placed_warrants_is_not_waited_for(at: Place, tmp_path: Path) -> None:
    """Whoever may write there, and no more, must not be able to stop an element."""
    folder = tmp_path / "placed"
    folder.mkdir()
    at.more = {"placed": folder}
    os.mkfifo(folder / "a.json")
    (folder / "b.json").symlink_to("/dev/zero")
    (folder / "c.json").mkdir()
    (folder / "d.json").symlink_to(tmp_path / "nothing")
    (folder / "e.json").write_bytes(bytes(1 << 20))
    (folder / "f.json").write_bytes(signed())

    async def test(service: X1Service, client: X1Client) -> None:
        assert await service.scan() == 1
        assert "w-1" in {each.lower() for each in service.element._tasks._authorities._register.known}

    at.run(test)
    with pytest.raises(OSError):
        placed.mark(folder / "a.json")
    assert placed.read(folder / "a.json") == b""

"""A link to a destination fails and comes back: the ADMF is told, and may ask (TS 103 221-1 6.5.3)."""

from __future__ import annotations

import asyncio
import threading

from imswire import x1
from imswire.x1 import TaskReportType
from midcall.base.link_report import LinkEvent
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.service import X1Service
from midcall.live.destination_faults import DestinationFaults
from midcall.live.link_book import LinkBook
from tests.midcall.base.x1_element.conftest import at, files
from tests.midcall.base.x1_element.lab import Admf, Place
from tests.midcall.base.x1_element.test_service import arm, reporting
from tests.midcall.base.x1_element.world import place

__all__ = ["at", "files"]


def test_a_link_that_fails_is_a_fault_of_its_destination(at: Place) -> None:  # noqa: F811
    did = place().did

    async def test(admf: Admf, service: X1Service, client: X1Client) -> None:
        book, faults = LinkBook(), DestinationFaults(service, lambda event: [event.link])
        book.tell(faults.told)
        running = asyncio.create_task(faults.run())

        def happen(link: str, part: str, state: str) -> None:
            event = LinkEvent(link, part, state, f"{part} is {state}", 0)  # type: ignore[arg-type]
            thread = threading.Thread(target=book.told, args=(event,))
            thread.start()
            thread.join()

        async def status() -> x1.DestinationStatus:
            answer = await client.ask(x1.GetDestinationDetailsRequest, did)
            assert isinstance(answer, x1.GetDestinationDetailsResponse)
            return answer.details.status

        await arm(client)
        quiet = await status()
        happen("another", "hi3", "down")
        happen(did, "hi3", "down")
        happen(did, "spool", "fault")
        while len(admf.reports) < 2:
            await asyncio.sleep(0.01)
        ill = await status()
        happen(did, "hi3", "up")
        happen(did, "spool", "cleared")
        while len(admf.reports) < 3:
            await asyncio.sleep(0.01)
        assert quiet == await status() != ill
        running.cancel()

    admf = reporting(at, test)
    _, fault, clear = admf.reports
    assert isinstance(fault, x1.ReportDestinationIssueRequest) and fault.did == did
    assert fault.details == "hi3: hi3 is down" and fault.report is TaskReportType.NON_TERMINATING_FAULT
    assert isinstance(clear, x1.ReportDestinationIssueRequest) and clear.report is TaskReportType.ALL_CLEAR

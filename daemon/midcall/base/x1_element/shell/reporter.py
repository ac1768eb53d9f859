"""Reports of an element to its ADMF (TS 103 221-1 6.5): in their order, until each is acknowledged.

They are kept in the element's store meanwhile, so that a restart forgets none.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from imswire import x1
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.x1_element.faults import NE
from midcall.base.x1_element.settings import Settings
from midcall.base.x1_element.shell.store import REPORTS
from midcall.base.x1_element.values import DestinationIssue, Issue, TaskIssue
from midcall.events import Instant

PATH = "/X1/ADMF"
KIND = "application/xml"
TIME1 = 5.0
"""Seconds in which an answer has to be there (TS 103 221-1 5.2.3)."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
li_log = logging.getLogger("midcall.li.x1")


class Waiting(NamedTuple):
    """A report, and its number in the store (None: the store did not take it)."""

    number: int | None
    issue: Issue


class Reporter:
    """Sends one report after the other; ``told`` hears the number of each that is acknowledged.

    ``pause`` waits between attempts.
    """

    def __init__(
        self,
        settings: Settings,
        client: HttpsClient,
        now: Callable[[], Instant],
        told: Callable[[int], None],
        pause: Callable[[float], asyncio.Future[None] | asyncio.Task[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._client = client
        self._now = now
        self._told = told
        self._pause = pause or (lambda seconds: asyncio.ensure_future(asyncio.sleep(seconds)))
        self._waiting: deque[Waiting] = deque()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.given_up = 0

    def is_new(self, issue: Issue) -> bool:
        """Whether it says something else than what waits last of its subject.

        An element that starts again and again has the same to say each time.
        """
        subject = _subject(issue)
        return issue != next((each.issue for each in reversed(self._waiting) if _subject(each.issue) == subject), None)

    def put(self, *reports: Waiting) -> None:
        """To be told."""
        for report in reports:
            if len(self._waiting) >= REPORTS:
                self._waiting.popleft()
                self.given_up += 1
            self._waiting.append(report)
        if reports:
            self._idle.clear()
            self._more.set()

    async def idle(self) -> None:
        """Until all has been acknowledged."""
        await self._idle.wait()

    async def run(self) -> None:
        """For ever."""
        attempt = 0
        while True:
            if not self._waiting:
                self._idle.set()
                self._more.clear()
                await self._more.wait()
            report = self._waiting[0]
            try:
                await self._tell(report.issue)
            except (Unreachable, x1.X1Error) as error:
                # The ADMF's own words may be anything; ours name what happened.
                li_log.warning("a report is not acknowledged: %s", error if isinstance(error, Unreachable) else "no X1")
                longest = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
                attempt = min(attempt + 1, 10)
                await self._pause(longest * random.uniform(0.5, 1.0))  # noqa: S311  # not a secret
                continue
            attempt = 0
            if self._waiting and self._waiting[0] is report:
                self._waiting.popleft()
            if report.number is not None:
                self._told(report.number)

    async def _tell(self, issue: Issue) -> None:
        """Each attempt is a transaction of its own (5.2.3). Unreachable, X1Error."""
        at, transaction = self._now().wall, str(uuid.uuid4())
        header = x1.Header(self._settings.admf, self._settings.ne, at, x1.VERSION, transaction)
        try:
            octets = x1.build_request([request(issue, header)])
        except x1.X1Error as error:
            # A text of the element's own function that X1 has no room for: it would be so each time.
            li_log.error("a report cannot be written: %s", error)
            return
        answer = await self._client.post(PATH, octets, KIND, TIME1, x1.RESPONSE_LIMITS.octets)
        if answer.status != 200:
            raise Unreachable(f"answers with status {answer.status}")
        found = x1.parse_response(bytes(answer.body))
        if isinstance(found, x1.TopLevelErrorResponse) or len(found) != 1:
            raise Unreachable("does not answer the report")
        (response,) = found
        if isinstance(response, x1.Malformed) or response.header.transaction_id != header.transaction_id:
            raise Unreachable("does not answer the report")
        if isinstance(response, x1.ErrorResponse):
            # It was heard; to say it again would change nothing.
            li_log.warning("a report is refused by the ADMF: %d", response.error.code)


def _subject(issue: Issue) -> str:
    """An XID, a DID, or the element itself."""
    if isinstance(issue, TaskIssue):
        return issue.xid
    return issue.did if isinstance(issue, DestinationIssue) else NE


def request(issue: Issue, header: x1.Header) -> x1.Request:
    """A report as the message that carries it."""
    if isinstance(issue, TaskIssue):
        return x1.ReportTaskIssueRequest(header, issue.xid, issue.report, issue.code, issue.details)
    if isinstance(issue, DestinationIssue):
        return x1.ReportDestinationIssueRequest(header, issue.did, issue.report, issue.code, issue.details)
    return x1.ReportNEIssueRequest(header, issue.issue, issue.description, issue.code)

"""The ADMF's side of X1, as tests and ``midcall warrant activate`` need it: ask an element, and believe its answer."""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable
from typing import Any

from imswire import x1
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element.shell.binding import BoundName

PATH = "/X1/NE"
KIND = "application/xml"
TIME1 = 5.0
"""Seconds in which an answer has to be there (TS 103 221-1 5.2.3)."""
MICROSECOND = 1_000


class X1Client:
    """Asks the element ``ne`` at ``url``, as ``admf``. To be made inside a running loop."""

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext,
        admf: str,
        ne: str,
        *,
        names: tuple[str, ...] = (),
        now: Callable[[], int] = time.time_ns,
        draw: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        """``names``: of subjectAltName, one of which the element has to show besides its identifier."""
        self._https = HttpsClient(url, TlsEnd(context, BoundName("ne", ne, *names)), 1)
        self._admf, self._ne = admf, ne
        self._now = now
        self._draw = draw
        self._last = 0

    def request(self, kind: type[x1.Request], *members: Any) -> x1.Request:
        """A request with a header of its own: a new transaction, and a time after that of the one before."""
        self._last = max(self._now() // MICROSECOND * MICROSECOND, self._last + MICROSECOND)
        header = x1.Header(self._admf, self._ne, self._last, x1.VERSION, str(self._draw()))
        return kind(header, *members)

    async def ask(self, kind: type[x1.Request], *members: Any) -> x1.Response:
        """One request, and its answer, be it an ErrorResponse. Unreachable, X1Error."""
        (response,) = await self.send([self.request(kind, *members)])
        return response

    async def send(self, requests: list[x1.Request]) -> tuple[x1.Response, ...]:
        """Requests in one document, and an answer to each. Unreachable: not asked, or not answered; X1Error."""
        return self.read(requests, await self.post(x1.build_request(requests)))

    async def post(self, octets: bytes) -> bytes:
        """A document as it is. Unreachable."""
        answer = await self._https.post(PATH, octets, KIND, TIME1, x1.RESPONSE_LIMITS.octets)
        if answer.status != 200:
            raise Unreachable(f"answers with status {answer.status}")
        return bytes(answer.body)

    def read(self, requests: list[x1.Request], octets: bytes) -> tuple[x1.Response, ...]:
        """Answers, each of which has to be one to its request. Unreachable, X1Error."""
        found = x1.parse_response(octets)
        if isinstance(found, x1.TopLevelErrorResponse):
            raise Unreachable("does not understand what it was asked")
        if len(found) != len(requests):
            raise Unreachable("does not answer all that it was asked")
        responses = []
        for request, response in zip(requests, found, strict=True):
            if isinstance(response, x1.Malformed):
                raise response.error
            mine, its = request.header, response.header
            answers = (
                isinstance(response, x1.ErrorResponse) or type(response).__name__ == f"{request.message_type}Response"
            )
            same = (mine.admf_identifier, mine.ne_identifier, mine.transaction_id) == (
                its.admf_identifier,
                its.ne_identifier,
                its.transaction_id,
            )
            if not answers or not same:
                raise Unreachable("answers something else than it was asked")
            responses.append(response)
        return tuple(responses)

    async def close(self) -> None:
        await self._https.close()

"""Where elements report (TS 103 221-1 6.5): X1 from NE to ADMF, over HTTPS with certificates on both sides."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from aiohttp import web

from imswire import x1
from imswire.x1 import ErrorCode
from midcall.base import https
from midcall.base.bounded import BoundedTable
from midcall.base.https import HttpsServer, Limits
from midcall.base.rates import Rates
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element import Peer
from midcall.events import Instant

PATH = "/X1/ADMF"
KIND = "application/xml"
BODY_SECONDS = 5.0
CONNECTIONS = 512
CERTIFICATES = 512
PER_MINUTE, BURST = 3_000, 1_000
li_log = logging.getLogger("midcall.li.admf")
_REPORTS = (x1.ReportTaskIssueRequest, x1.ReportDestinationIssueRequest, x1.ReportNEIssueRequest)


class ReportDoor:
    """``heard`` is given each report of one of the elements ``known``; who says he is another one is refused."""

    def __init__(
        self,
        admf: str,
        known: frozenset[str],
        end: TlsEnd,
        heard: Callable[[x1.Request, str], None],
        now: Callable[[], Instant],
    ) -> None:
        self._admf, self._known = admf, known
        self._heard = heard
        self._now = now
        rates: BoundedTable[bytes, int] = BoundedTable("admf.reports.rates", CERTIFICATES)
        self._rates = Rates(rates, PER_MINUTE, BURST)
        self._server = HttpsServer(self._handle, end, Limits(connections=CONNECTIONS), _no_http)
        self.strangers = 0

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """OSError."""
        return await self._server.start(host, port)

    async def stop(self, seconds: float) -> None:
        await self._server.stop(seconds)

    async def _handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        der = https.certificate(request)
        if caller is None or der is None:
            return https.closing(https.response(403))
        try:
            peer = Peer.of(der)
        except ValueError:
            return https.closing(https.response(403))
        if not self._rates.take(hashlib.sha256(der).digest(), self._now().mono):
            return https.closing(https.response(429))
        if request.path != PATH or request.method != "POST":
            return https.response(404 if request.path != PATH else 405)
        try:
            octets = await https.body(request, x1.REQUEST_LIMITS.octets, BODY_SECONDS)
        except https.TooLong:
            return https.closing(https.response(413))
        except https.TooSlow:
            return https.closing(https.response(408))
        return https.response(200, self.answer(bytes(octets), peer), KIND)

    def answer(self, octets: bytes, peer: Peer) -> bytes:
        """The document that answers a document."""
        at = self._now().wall
        ne = next((each for each in sorted(self._known) if peer.is_bound("ne", each)), "unknown")
        try:
            messages = x1.parse_requests(octets)
        except x1.X1Error:
            return x1.build_response(x1.TopLevelErrorResponse(self._admf, ne, at, x1.VERSION))
        responses: list[x1.Response] = []
        for each in messages:
            if isinstance(each, x1.Malformed):
                responses.append(x1.correction(each, at, self._admf, ne))
            else:
                responses.append(self._one(each, peer, at))
        return x1.build_response(responses)

    def _one(self, request: x1.Request, peer: Peer, at: int) -> x1.Response:
        header = request.header
        code = self._refusal(header, peer)
        if code is None and not isinstance(request, (*_REPORTS, x1.PingRequest)):
            code = ErrorCode.UNSUPPORTED
        if code is not None:
            self.strangers += code is not ErrorCode.UNSUPPORTED
            li_log.warning("a message of an element is refused: %d", code)
            return x1.refusal(request, code, at)
        if isinstance(request, _REPORTS):
            self._heard(request, header.ne_identifier)
        return x1.acknowledgement(request, at)

    def _refusal(self, header: x1.Header, peer: Peer) -> ErrorCode | None:
        """Who says it, and to whom (8.2.4)."""
        if not peer.is_bound("ne", header.ne_identifier):
            return ErrorCode.NE_NOT_CERTIFIED
        if header.ne_identifier not in self._known:
            return ErrorCode.NE_UNEXPECTED
        return None if header.admf_identifier == self._admf else ErrorCode.ADMF_UNEXPECTED


def _no_http(caller: str | None) -> web.Response:
    return https.response(400 if caller is not None else 403)

"""The LI plane of a role: where LI staff ask how interception stands, and why a call has no content.

HTTPS with certificates on both sides; who is not listed is told one thing whatever is asked. A call that is under no
armed task is answered with the same octets on the same way, whether it is there or not: nobody learns here who calls
whom without a warrant. Every question is logged, by certificate and by a hash of the Call-ID, without identities.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from midcall import __version__
from midcall import config as config_file
from midcall.base import https
from midcall.base.audit_link import Act, AuditClient, Intent, Kind, NotAudited
from midcall.base.bounded import BoundedTable
from midcall.base.frame import RoleError
from midcall.base.https import HttpsServer, Limits
from midcall.base.rates import Rates
from midcall.base.tls_end import TlsEnd
from midcall.config import LiTable
from midcall.live.ladder import (
    AUDIT_PATH,
    EXPLAIN_PATH,
    KIND,
    MAX_CALL_ID,
    MAX_QUESTION,
    STATUS_PATH,
    Explanation,
    NotExplained,
    Question,
    TaskLadder,
)

CONNECTIONS = 16
CERTIFICATES = 256
BODY_SECONDS = 5.0
STOP_SECONDS = 0.3
CALL_OCTETS = 8
NOT_EXPLAINED = msgspec.json.encode(NotExplained())
log = logging.getLogger("midcall.li.plane")

Status = Callable[[], Awaitable[dict[str, Any]]]
Explain = Callable[[str], Awaitable[tuple[TaskLadder, ...]]]


class LiPlane:
    """One endpoint. ``status`` and ``explain`` are the role's; the latter gives nothing for calls under no task.

    ``counts``: ``asked``, ``strangers``, ``refused`` for their rate, ``explained``, ``not_explained``.
    """

    def __init__(
        self,
        role: str,
        element: str,
        table: LiTable,
        end: TlsEnd,
        status: Status,
        explain: Explain,
        audit: AuditClient | None = None,
    ) -> None:
        self.counts = dict.fromkeys(("asked", "strangers", "refused", "explained", "not_explained"), 0)
        self._role = role
        self._element = element
        self._table = table
        self._status = status
        self._explain = explain
        self._audit = audit
        self._at_work: asyncio.Task[bytes] | None = None
        rates: BoundedTable[bytes, int] = BoundedTable("live.li.rates", CERTIFICATES)
        self._rates = Rates(rates, table.per_minute, table.burst)
        limits = Limits(connections=CONNECTIONS)
        self._server = HttpsServer(self._handle, end, limits, _no_http, self._stranger)

    async def start(self) -> tuple[str, int]:
        """Open the door; returns its address. RoleError."""
        try:
            return await self._server.start(*config_file.address(self._table.listen))
        except OSError as error:
            raise RoleError(f"LI plane: cannot listen: {error.strerror or error}") from None

    async def stop(self) -> None:
        await self._server.stop(STOP_SECONDS)

    # The door

    async def _handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        self.counts["asked"] += 1
        mark = _certificate(request)
        if caller is None or mark is None:
            return https.closing(https.response(403))
        if not self._rates.take(mark, time.monotonic_ns()):
            self.counts["refused"] += 1
            self._told(caller, mark, "too many questions")
            self._refuse(mark, 429)
            response = https.closing(https.response(429))
            response.headers["Retry-After"] = "1"
            return response
        if request.path == STATUS_PATH and request.method == "GET":
            self._told(caller, mark, "status")
            return await self._audited(Act.LI_STATUS, None, mark, self._status_response)
        if request.path == EXPLAIN_PATH and request.method == "POST":
            return await self._explained(request, caller, mark)
        if request.path == AUDIT_PATH and request.method == "POST" and self._audit is not None:
            # Says nothing of interception: witnesses keep it.
            return https.response(200, msgspec.json.encode({"head": self._audit.head}), KIND)
        self._told(caller, mark, "a question that there is not")
        self._refuse(mark, 404)
        return https.response(405 if request.path in (STATUS_PATH, EXPLAIN_PATH) else 404)

    def _stranger(self) -> None:
        self.counts["strangers"] += 1
        log.warning("a connection of somebody who is not listed")
        self._refuse(None, 403)

    def _refuse(self, mark: bytes | None, code: int) -> None:
        """A question that gets no answer is one all the same."""
        if self._audit is not None:
            self._audit.refused(Act.LI_REFUSE, actor=mark, code=code)

    async def _explained(self, request: web.BaseRequest, caller: str, mark: bytes) -> web.Response:
        try:
            octets = await https.body(request, MAX_QUESTION, BODY_SECONDS)
            call_id = msgspec.json.decode(octets, type=Question).call_id
        except https.TooLong:
            self._told(caller, mark, "a question that is too long")
            return https.closing(https.response(413))
        except https.TooSlow:
            self._told(caller, mark, "a question that did not end")
            return https.closing(https.response(408))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._told(caller, mark, "a question that cannot be read")
            return https.response(400)
        if not 0 < len(call_id) <= MAX_CALL_ID:
            self._told(caller, mark, "a question that cannot be read")
            return https.response(400)
        held = None if self._audit is None else self._audit.digest(Kind.CALL, call_id)
        return await self._audited(Act.LI_EXPLAIN, held, mark, lambda: self._ladders(call_id, caller, mark))

    async def _ladders(self, call_id: str, caller: str, mark: bytes) -> web.Response:
        tasks = await self._explain(call_id)
        self.counts["explained" if tasks else "not_explained"] += 1
        self._told(caller, mark, "explained" if tasks else "not explained", call=_named(call_id), tasks=len(tasks))
        if not tasks:
            return https.response(404, NOT_EXPLAINED, KIND)
        found = Explanation(__version__, self._role, self._element, tasks)
        return https.response(200, msgspec.json.encode(found), KIND)

    async def _audited(
        self, act: Act, held: bytes | None, mark: bytes, answer: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        """An answer, once the audit knows that it is going to be given; without an audit that can be written none."""
        intent: Intent | None = None
        if self._audit is not None:
            try:
                intent = await self._audit.intent(act, held, actor=mark)
            except NotAudited as error:
                log.warning("not answered: %s", error)
                return https.response(503)
        try:
            return await answer()
        finally:
            if intent is not None:
                intent.done()

    async def _status_response(self) -> web.Response:
        return https.response(200, await self._whole_status(), KIND)

    async def _whole_status(self) -> bytes:
        """One at a time: who asks meanwhile gets the same, for it may read whole spools."""
        if self._at_work is None or self._at_work.done():
            self._at_work = asyncio.create_task(self._made())
        return await asyncio.shield(self._at_work)

    async def _made(self) -> bytes:
        head = {"version": __version__, "role": self._role, "element": self._element}
        found: dict[str, Any] = head | await self._status() | {"li_plane": self.counts}
        if self._audit is not None:
            stands = {"writable": self._audit.writable, "waiting": self._audit.waiting}
            found["audit"] = stands | {"head": self._audit.head} | self._audit.counts
        return msgspec.json.encode(found)

    def _told(self, caller: str, mark: bytes, outcome: str, **more: str | int) -> None:
        log.info("%s", outcome, extra={"caller": caller, "certificate": mark.hex()[: https.MARK_DIGITS], **more})


def _certificate(request: web.BaseRequest) -> bytes | None:
    """What names a certificate, whatever other names are in it."""
    octets = https.certificate(request)
    return None if octets is None else hashlib.sha256(octets).digest()


def _named(call_id: str) -> str:
    """A Call-ID in a log: who knows it finds it there, who does not learns nothing."""
    octets = call_id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(octets, digest_size=CALL_OCTETS, person=b"midcall.li.call").hexdigest()


def _no_http(caller: str | None) -> web.Response:
    return https.response(400 if caller is not None else 403)

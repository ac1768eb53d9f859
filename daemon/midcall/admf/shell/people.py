"""Where people ask the ADMF: HTTPS with certificates on both sides; each certificate is one person with one role.

Who is not listed, and who asks what is not for his role, is told one thing whatever was asked, and the audit is told.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from midcall.admf import wire
from midcall.admf.roles import Command, Person
from midcall.admf.shell.acts import Acts, NotAudited
from midcall.admf.shell.desk import Desk
from midcall.admf.shell.store import StoreError
from midcall.admf.values import Denied
from midcall.base import https
from midcall.base.bounded import BoundedTable
from midcall.base.https import HttpsServer, Limits
from midcall.base.rates import Rates
from midcall.base.tls import canonical
from midcall.base.tls_end import TlsEnd
from midcall.base.warrant import MAX_OCTETS
from midcall.events import Instant

CONNECTIONS = 64
CERTIFICATES = 1_024
BODY_SECONDS = 5.0
PATHS = {wire.path(each): each for each in Command}
T = TypeVar("T")
li_log = logging.getLogger("midcall.li.admf")
_NOT_YOURS = wire.Refusal("role", "this certificate may not ask that")


class PeopleDoor:
    """``people`` by the name in their certificates."""

    def __init__(
        self,
        people: Mapping[str, Person],
        end: TlsEnd,
        desk: Desk,
        acts: Acts,
        now: Callable[[], Instant],
        per_minute: int,
        burst: int,
    ) -> None:
        self.know(people)
        self._desk, self._acts, self._now = desk, acts, now
        rates: BoundedTable[bytes, int] = BoundedTable("admf.people.rates", CERTIFICATES)
        self._rates = Rates(rates, per_minute, burst)
        self._server = HttpsServer(self._handle, end, Limits(connections=CONNECTIONS), _no_http)
        self._answers: dict[Command, Callable[[Person, bytes], Awaitable[Any]]] = {
            Command.DRAFT: desk.draft,
            Command.APPROVE: lambda person, octets: desk.approve(person, _read(octets, wire.Approval)),
            Command.ACTIVATE: lambda person, octets: desk.activate(person, _read(octets, wire.Named)),
            Command.REVOKE: lambda person, octets: desk.revoke(person, _read(octets, wire.Named)),
            Command.SHOW: lambda person, octets: desk.show(person, _read(octets, wire.Named)),
            Command.LIST: lambda person, _: desk.list(person),
            Command.ALARMS: lambda person, _: desk.alarms(person),
            Command.HEALTH: lambda person, _: desk.health(person),
            Command.CLOCK: lambda person, _: desk.clock(person),
        }

    def know(self, people: Mapping[str, Person]) -> None:
        """These, from now on."""
        self._people = {canonical(name): person for name, person in people.items()}

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """OSError."""
        return await self._server.start(host, port)

    async def stop(self, seconds: float) -> None:
        await self._server.stop(seconds)

    async def _handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        der = https.certificate(request)
        mark = None if der is None else hashlib.sha256(der).digest()
        person = None if caller is None else self._people.get(canonical(caller))
        command = PATHS.get(request.path)
        if mark is None or person is None or command is None or not person.may(command):
            self._acts.stranger(command or "", person, mark)
            return https.closing(_json(403, _NOT_YOURS))
        if not self._rates.take(mark, self._now().mono):
            li_log.warning("too many questions", extra={"certificate": mark.hex()[: https.MARK_DIGITS]})
            return https.closing(https.response(429))
        if request.method != "POST":
            return https.response(405)
        try:
            octets = await https.body(request, MAX_OCTETS, BODY_SECONDS)
        except https.TooLong:
            return https.closing(https.response(413))
        except https.TooSlow:
            return https.closing(https.response(408))
        return await self._answer(command, person, bytes(octets))

    async def _answer(self, command: Command, person: Person, octets: bytes) -> web.Response:
        try:
            return _json(200, await self._answers[command](person, octets))
        except Denied as denied:
            return _json(409, wire.Refusal(denied.code, str(denied)[:512]))
        except NotAudited:
            return _json(503, wire.Refusal("audit", "the audit cannot be written: nothing was done"))
        except StoreError:
            return _json(503, wire.Refusal("store", "the store cannot be written: nothing begins, what ends has ended"))


def _read(octets: bytes, kind: type[T]) -> T:
    """Denied: it is not what is asked with this command."""
    try:
        return msgspec.json.decode(octets, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Denied("form", "the request cannot be read") from None


def _json(status: int, what: object) -> web.Response:
    return https.response(status, msgspec.json.encode(what), wire.KIND)


def _no_http(caller: str | None) -> web.Response:
    return https.response(400 if caller is not None else 403)

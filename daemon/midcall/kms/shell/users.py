"""The door for user equipment: Ticket Request and Ticket Resolve (TS 33.328, RFC 6043 4.2)."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from imswire.mikey import ErrorNo
from midcall.base import https
from midcall.base.bounded import BoundedTable
from midcall.base.rates import Rates, network
from midcall.config import KmsUsers
from midcall.kms.shell import mikey_http
from midcall.kms.shell.desk import Desk, log
from midcall.kms.shell.mikey_http import Refused
from midcall.kms.shell.peers import Elsewhere, PeerFault
from midcall.kms.shell.sealed import StoreError
from midcall.kms.values import Asker, KmsRefusal

ADDRESSES = 65_536
SUBSCRIBERS = 65_536
_USERS = frozenset((Asker.USER,))


class UserDoor:
    """Answers users, those of foreign tickets by asking the KMS that issued them."""

    def __init__(self, desk: Desk, settings: KmsUsers, elsewhere: Elsewhere | None) -> None:
        self._desk = desk
        self._settings = settings
        self._elsewhere = elsewhere
        self._addresses = Rates(
            BoundedTable("kms.rates.addresses", ADDRESSES), settings.per_address, settings.per_address_burst
        )
        self._subscribers = Rates(
            BoundedTable("kms.rates.subscribers", SUBSCRIBERS), settings.per_subscriber, settings.per_subscriber_burst
        )

    async def handle(self, request: web.BaseRequest, _: str | None) -> web.StreamResponse:
        try:
            if not self._addresses.take(network(request.remote), self._desk.now().mono):
                raise Refused(429, last=True)
            kind = mikey_http.wanted(request)
            body = await mikey_http.read(request, self._settings.request_seconds)
        except Refused as refused:
            return mikey_http.plain(refused)
        try:
            return body.answer(await self._answer(body.octets, kind))
        except Refused as refused:
            return mikey_http.plain(refused)
        except PeerFault as fault:
            return mikey_http.refusal(self._desk, body, KmsRefusal(str(fault)), fault.status)
        except KmsRefusal as refused:
            log.info("a user is refused: error %d", refused.error_no)
            return mikey_http.refusal(self._desk, body, refused)

    async def _answer(self, octets: bytes, kind: str) -> bytes:
        desk, now = self._desk, self._desk.now()
        with suppress(StoreError):
            desk.refresh()
        question = desk.kms.read(octets, now.wall, _USERS)
        # Only who has proved to be somebody is counted as that, or anybody could use up another's.
        if not self._subscribers.take(question.account, now.mono):
            raise Refused(429)
        mikey_http.fits(question, kind)
        peer = desk.kms.issuer(question)
        if peer is None:
            return desk.kms.reply(question, now.wall, desk.draw)
        if self._elsewhere is None:
            raise KmsRefusal("the ticket is of another KMS", ErrorNo.INVALID_TICKET)
        forwarded = desk.kms.forward(question, peer, now.wall, desk.draw)
        answer = await self._elsewhere.resolve(peer, forwarded.request)
        now = desk.now()
        return desk.kms.relay(forwarded, answer, now.wall, now.mono).octets


def refuse(_: str | None) -> web.Response:
    """For what is no HTTP."""
    return https.response(400)

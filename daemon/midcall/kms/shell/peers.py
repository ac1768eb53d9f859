"""Between KMSs of different domains (RFC 6043 10): asked for own tickets, and asking others for their own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from aiohttp import web

from imswire import mikey
from midcall.base.bounded import BoundedTable
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.rates import Rates
from midcall.config import KmsPeers
from midcall.kms.shell import mikey_http
from midcall.kms.shell.desk import Desk, log
from midcall.kms.shell.mikey_http import Refused
from midcall.kms.shell.sealed import StoreError
from midcall.kms.store import PeerKms
from midcall.kms.values import Asker, KmsRefusal

MAX_PEERS = 1_024
_PEERS = frozenset((Asker.PEER,))


class PeerFault(Exception):
    """Another KMS gave nothing; ``status`` is what the user is told in HTTP."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class Elsewhere:
    """Asks the KMSs of other domains."""

    def __init__(self, clients: Mapping[str, HttpsClient], seconds: float) -> None:
        self._clients = clients
        self._seconds = seconds

    async def resolve(self, peer: PeerKms, request: bytes) -> bytes:
        """Its RESOLVE_RESP, unproved. PeerFault, KmsRefusal."""
        client = self._clients.get(peer.identity)
        if client is None:
            raise KmsRefusal("the ticket is of a KMS that is not asked", mikey.ErrorNo.INVALID_TICKET)
        path = f"{mikey_http.PATH}?requesttype=ticketresolve"
        try:
            answer = await client.post(path, request, mikey_http.KIND, self._seconds, mikey_http.MAX_MESSAGE)
        except Unreachable as error:
            log.warning("KMS %s: %s", peer.identity, error)
            raise PeerFault("the KMS of the ticket cannot be asked", 504) from None
        if answer.status == 403:
            raise KmsRefusal("the KMS of the ticket refuses", mikey.ErrorNo.INVALID_TICKET)
        if answer.status != 200:
            log.warning("KMS %s: answers with status %d", peer.identity, answer.status)
            raise PeerFault("the KMS of the ticket does not answer", 502)
        octets = bytes(answer.body)
        answer.body[:] = bytes(len(octets))
        return octets

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


class PeerDoor:
    """Answers other KMSs: each for its own users, under its own certificate and its own key."""

    def __init__(self, desk: Desk, settings: KmsPeers) -> None:
        self._desk = desk
        self._seconds = settings.deadline_seconds
        self._names = {each.name: each.identity for each in settings.peer}
        self._rates = Rates(BoundedTable("kms.rates.peers", MAX_PEERS), settings.per_minute, settings.per_minute)

    async def handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        if caller is None:
            return refuse(None)
        try:
            if not self._rates.take(caller.encode(), self._desk.now().mono):
                raise Refused(429)
            kind = mikey_http.wanted(request)
            body = await mikey_http.read(request, self._seconds)
        except Refused as refused:
            return mikey_http.plain(refused)
        try:
            now = self._desk.now().wall
            with suppress(StoreError):
                self._desk.refresh()
            question = self._desk.kms.read(body.octets, now, _PEERS)
            mikey_http.fits(question, kind)
            if question.peer is None or question.peer.identity != self._names.get(caller):
                raise KmsRefusal("the key is not that of the certificate", mikey.ErrorNo.AUTH_FAILURE)
            return body.answer(self._desk.kms.reply(question, now, self._desk.draw))
        except KmsRefusal as refused:
            log.info("KMS %s is refused: error %d", self._names.get(caller), refused.error_no)
            return mikey_http.refusal(self._desk, body, refused)


def refuse(_: str | None) -> web.Response:
    """The one answer to who is not a peer."""
    return mikey_http.plain(Refused(403, last=True))

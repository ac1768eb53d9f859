"""The door for mediation functions: get_keys (TS 33.107 7A.7.2), and Resolve for a node where that is configured.

Who is not listed is told one thing whatever is asked, before any of it is read. Who is listed is told why there are
no keys. Nothing of a question or an answer is logged but its transaction and how it ended.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from imswire import mikey, xk
from imswire.mikey.derive import MAX_UPDATES
from imswire.xk import Code
from midcall.base import https, placing
from midcall.base.audit_link import Intent, NotAudited
from midcall.base.tls import canonical
from midcall.base.warrant import MAX_OCTETS
from midcall.config import KmsXk
from midcall.events import Instant, Kept, Side, TicketExchange, Update
from midcall.kms.authority import Authority, Granted, NoAuthority
from midcall.kms.shell import mikey_http
from midcall.kms.shell.desk import Desk, Disclosure, li_log
from midcall.kms.shell.sealed import StoreError
from midcall.kms.values import Asker, GetKeys, KmsRefusal, SessionKeyAnswer

KIND = "application/json"
LONG = 8
"""Updates of a bundle that are derived at once; more of them leave the loop to others meanwhile."""
_NODES = frozenset((Asker.NODE,))


class _Stop(Exception):
    """A question without keys for an answer."""

    def __init__(self, code: Code, reason: str, rule: str = "", last: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.rule = rule
        self.last = last


class XkDoor:
    """Answers at most ``settings.in_flight`` questions at once."""

    def __init__(self, desk: Desk, settings: KmsXk, authority: Authority) -> None:
        self._desk = desk
        self._settings = settings
        self._authority = authority
        self.know(settings)
        self._at_work = 0
        self._threads = asyncio.Semaphore(2)

    def know(self, settings: KmsXk) -> None:
        """Who may place warrants, and ask for nothing, from now on."""
        self._placers = frozenset(map(canonical, settings.placers))

    def stranger(self) -> None:
        """Somebody who is not listed; whatever was to be asked was not read."""
        self._desk.tell(Disclosure("", Code.REFUSED))
        self._desk.audit.refused(None, Code.REFUSED.status)

    async def handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        if caller is None:
            return refuse(None)
        if self._at_work >= self._settings.in_flight:
            return self._refused(caller, _Stop(Code.BUSY, "too many questions at once", last=True))
        self._at_work += 1
        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                if canonical(caller) in self._placers:
                    return await self._place(request, caller)
                if request.path == mikey_http.PATH and self._settings.node:
                    return await self._resolve(request, caller)
                return await self._get_keys(request, caller)
        except TimeoutError:
            return self._refused(caller, _Stop(Code.DEADLINE, "not answered in time", last=True))
        finally:
            self._at_work -= 1

    async def _place(self, request: web.BaseRequest, caller: str) -> web.StreamResponse:
        """A revocation, or a later version: it is remembered, and nothing is given."""
        if request.path != placing.PATH or request.method != "POST":
            return refuse(None)
        try:
            octets = await https.body(request, MAX_OCTETS, None)
            self._desk.refresh()
            self._authority.place(bytes(octets), self._desk.now())
        except https.TooLong:
            return self._refused(caller, _Stop(Code.TOO_LARGE, f"longer than {MAX_OCTETS} octets", last=True))
        except NoAuthority as error:
            return self._refused(caller, _Stop(error.code, error.reason, error.rule))
        except StoreError as error:
            li_log.error("%s", error)
            return self._refused(caller, _Stop(Code.FAULT, "the versions of warrants cannot be read or stored"))
        self._told(caller, "placed", None, None)
        return https.response(200, b"{}", KIND)

    async def _get_keys(self, request: web.BaseRequest, caller: str) -> web.StreamResponse:
        asked: xk.Request | None = None
        granted: Granted | None = None
        try:
            asked = await self._question(request)
            granted = self._allow(asked)
            answer = await self._given(asked, granted)
        except _Stop as stop:
            return self._refused(caller, stop, asked, granted)
        except KmsRefusal as refused:
            return self._refused(caller, _Stop(refused.code, refused.reason), asked, granted)
        self._told(caller, "keys", asked, granted, keys=len(answer.keys))
        octets = xk.write_keys(_response(asked.transaction, self._desk.kms.identity, answer))
        return await _send_once(request, octets)

    async def _question(self, request: web.BaseRequest) -> xk.Request:
        if request.path != xk.PATH or request.method != "POST" or request.content_type != KIND:
            raise _Stop(Code.METHOD, f"only {KIND} is answered, by POST to {xk.PATH}", last=True)
        try:
            octets = await https.body(request, xk.MAX_REQUEST, None)
            return xk.read_request(octets)
        except https.TooLong:
            raise _Stop(Code.TOO_LARGE, f"longer than {xk.MAX_REQUEST} octets, or compressed", last=True) from None
        except xk.XkError as error:
            raise _Stop(Code.FORM, str(error)) from None

    def _allow(self, asked: xk.Request) -> Granted:
        warrant = None if asked.warrant is None else asked.warrant.encode("utf-8", "surrogatepass")
        try:
            self._desk.refresh()
            return self._authority.check(warrant, asked.xid, asked.identity, self._desk.now())
        except NoAuthority as error:
            raise _Stop(error.code, error.reason, error.rule) from None
        except StoreError as error:
            # What cannot be remembered cannot be kept from coming back: nothing is given under it.
            li_log.error("%s", error)
            raise _Stop(Code.FAULT, "the versions of warrants cannot be read or stored") from None

    async def _given(self, asked: xk.Request, granted: Granted) -> SessionKeyAnswer:
        """Keys of which the audit knows."""
        intent = await self._announced(asked.xid, granted)
        answer: SessionKeyAnswer | None = None
        try:
            answer = await self._keys(asked)
            return answer
        finally:
            if intent is not None and answer is not None:
                intent.done(len(answer.keys))
            elif intent is not None:
                intent.refused()

    async def _announced(self, xid: str, granted: Granted) -> Intent | None:
        """In the audit, before a key is."""
        try:
            return await self._desk.audit.before(xid, granted)
        except NotAudited as error:
            raise _Stop(Code.FAULT, str(error)) from None

    async def _keys(self, asked: xk.Request) -> SessionKeyAnswer:
        query = GetKeys(asked.identity, _exchange(asked), asked.parties)
        mono = self._desk.now().mono
        if len(asked.updates) <= LONG:
            return self._desk.kms.get_keys(query, mono)
        async with self._threads:
            return await asyncio.to_thread(self._desk.kms.get_keys, query, mono)

    async def _resolve(self, request: web.BaseRequest, caller: str) -> web.StreamResponse:
        """RESOLVE_INIT_PSK of a node (RFC 6043 12.1), which shows no warrant: ``unsigned`` has been accepted."""
        try:
            kind = mikey_http.wanted(request)
            body = await mikey_http.read(request, self._settings.deadline_seconds)
        except mikey_http.Refused as refused:
            return mikey_http.plain(refused)
        now = self._desk.now().wall
        intent: Intent | None = None
        try:
            question = self._desk.kms.read(body.octets, now, _NODES)
            mikey_http.fits(question, kind)
            intent = await self._announced("", Granted())
            octets = self._desk.kms.reply(question, now, self._desk.draw)
        except _Stop as stop:
            return self._refused(caller, stop)
        except KmsRefusal as refused:
            if intent is not None:
                intent.refused(refused.code.status)
            self._desk.tell(Disclosure(caller, refused.code, unsigned=True))
            return mikey_http.refusal(self._desk, body, refused)
        if intent is not None:
            intent.done()
        self._desk.tell(Disclosure(caller, "keys", unsigned=True))
        return body.answer(octets)

    def _refused(
        self, caller: str, stop: _Stop, asked: xk.Request | None = None, granted: Granted | None = None
    ) -> web.Response:
        self._told(caller, stop.code, asked, granted, stop.rule)
        self._desk.audit.refused(None if asked is None else asked.xid, stop.code.status, caller)
        transaction = None if asked is None else asked.transaction
        refusal = xk.Refusal(code=stop.code, reason=stop.reason[:512], rule=stop.rule, transaction=transaction)
        response = https.response(stop.code.status, xk.write(refusal), KIND)
        if stop.code is Code.BUSY:
            response.headers["Retry-After"] = "1"
        return https.closing(response) if stop.last else response

    def _told(
        self,
        caller: str,
        outcome: str,
        asked: xk.Request | None,
        granted: Granted | None,
        rule: str = "",
        keys: int = 0,
    ) -> None:
        unsigned = granted is not None and not granted.digest
        transaction = "" if asked is None else asked.transaction
        digest = "" if granted is None else granted.digest
        self._desk.tell(Disclosure(caller, outcome, rule, transaction, digest, keys, unsigned))


def refuse(caller: str | None) -> web.Response:
    """The one answer to who is not listed, and to what is no HTTP."""
    code = Code.REFUSED if caller is None else Code.FORM
    return https.closing(https.response(code.status, xk.write(xk.Refusal(code=code)), KIND))


def _exchange(asked: xk.Request) -> TicketExchange:
    """The sides do not matter to who derives keys: MIKEY's own identities do."""
    return TicketExchange(
        None,
        Side.CALLER,
        _kept(asked.init),
        None if asked.response is None else _kept(asked.response),
        tuple(
            Update(Side.CALLER, _kept(each.init), None if each.response is None else _kept(each.response))
            for each in asked.updates
        ),
    )


def _kept(seen: xk.Seen) -> Kept:
    return Kept(seen.octets, Instant.of_capture(seen.at), 0)


def _response(transaction: str, identity: str, answer: SessionKeyAnswer) -> xk.Response:
    failures = tuple(each[:512] for each in answer.failures[:MAX_UPDATES])
    return xk.Response(transaction=transaction, kms=identity, keys=tuple(map(_key, answer.keys)), failures=failures)


def _key(each: mikey.SessionKeys) -> xk.Key:
    return xk.Key(
        cs_id=each.cs_id,
        generation=each.generation,
        ssrc=each.ssrc,
        roc=each.roc,
        seq=each.seq,
        key=each.master_key,
        salt=each.master_salt,
        mki=each.spi,
        policy=each.params,
        proved=each.proved,
    )


async def _send_once(request: web.BaseRequest, octets: bytearray) -> web.StreamResponse:
    """Send an answer with keys and wipe it; TLS has taken its octets when the end is written."""
    response = https.response(200, octets, KIND)
    try:
        await response.prepare(request)
        await response.write_eof()
    finally:
        octets[:] = bytes(len(octets))
    return response

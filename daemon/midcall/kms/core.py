"""The key management service: issue, resolve (RFC 6043), get_keys (TS 33.107 7A.7.2). Stateless towards tickets.

A core: times and random octets are arguments. A ticket is opened here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Set

from msgspec import structs

from imswire import mikey
from imswire.mikey import exchange, prf
from imswire.mikey import values as v
from imswire.mikey.numbers import SALTED, TGKS, KeyType
from imswire.mikey.ticket import read_data
from imswire.xk import Code
from midcall.base.bounded import BoundedTable
from midcall.kms.askers import certified, nobody, proved, shared
from midcall.kms.foreign import ForeignKeys
from midcall.kms.identities import forms, text
from midcall.kms.store import KmsStore, PeerKms, TicketProtectionKey
from midcall.kms.values import (
    Asker,
    Draw,
    Forwarded,
    GetKeys,
    KmsRefusal,
    Question,
    Relayed,
    SessionKeyAnswer,
)

SECOND = 1_000_000_000
# RFC 6043 3.7: messages further from now are refused, and remembered as long, so that none counts twice.
MAX_SKEW = 300 * SECOND
REPLAY_ENTRIES = 65_536
MAX_KEYS_WISHED = 16

REQUESTS = frozenset((mikey.DataType.REQUEST_INIT_PSK, mikey.DataType.REQUEST_INIT_PK))
RESOLVES = frozenset((mikey.DataType.RESOLVE_INIT_PSK, mikey.DataType.RESOLVE_INIT_PK))
ANYBODY = frozenset(Asker)


class Kms:
    """One KMS; two at work share nothing but their store."""

    def __init__(self, store: KmsStore, foreign: ForeignKeys | None = None, max_life: int | None = None) -> None:
        """``max_life``: the longest that a ticket is issued for (ns); its TPK may be gone by then."""
        self._store = store
        self._foreign = foreign
        self._max_life = max_life
        self._kms = exchange.uri(mikey.IdRole.KMS, store.identity)
        self._seen: BoundedTable[bytes, int] = BoundedTable("kms.replays", REPLAY_ENTRIES)

    @property
    def identity(self) -> str:
        """Its name in MIKEY."""
        return self._store.identity

    @property
    def store(self) -> KmsStore:
        """What it knows."""
        return self._store

    def renew(self, store: KmsStore) -> None:
        """Go on with another store, but for ticket protection keys."""
        self._store = store.with_tpks(self._store.tpks)

    def turn(self, tpks: tuple[TicketProtectionKey, ...]) -> None:
        """Go on with other ticket protection keys, the first for new tickets."""
        self._store = self._store.with_tpks(tpks)

    # For UEs

    def answer(self, octets: bytes, now: int, draw: Draw) -> bytes:
        """Answer a Ticket Request or Ticket Resolve, of a PSK or PK variant, at wall time ``now`` (ns).

        KmsRefusal: nobody is to be answered with keys; its ``error_no`` is for an Error message. ``draw`` gives
        random octets.
        """
        return self.reply(self.read(octets, now), now, draw)

    def read(self, octets: bytes, now: int, askers: Set[Asker] = ANYBODY) -> Question:
        """Who asks what, proved and fresh; KmsRefusal also when it is none of ``askers``."""
        try:
            message = mikey.parse(octets)
            if message.header.data_type in REQUESTS:
                return self._asked(message, message.identity(mikey.IdRole.INITIATOR), now, askers)
            if message.header.data_type in RESOLVES:
                return self._asked(message, message.identity(mikey.IdRole.RESPONDER), now, askers)
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None
        name = mikey.type_name(message.header.data_type)
        raise KmsRefusal(f"{name} is no request to a KMS", mikey.ErrorNo.UNSUPPORTED_MESSAGE)

    def reply(self, question: Question, now: int, draw: Draw) -> bytes:
        """REQUEST_RESP or RESOLVE_RESP. KmsRefusal."""
        try:
            if question.message.header.data_type in REQUESTS:
                return self._issue(question, now, draw)
            return self._resolve(question, now, draw)
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None

    def error(self, octets: bytes, refusal: KmsRefusal, now: int) -> bytes | None:
        """The Error message for a refusal (RFC 6043 5.4), under the key of who asked when the request proves right.

        None: what came is no MIKEY message, or an Error message itself.
        """
        timestamp, protection = v.Timestamp.ntp_utc(now), None
        try:
            message = mikey.parse(octets)
            resolving = message.header.data_type == mikey.DataType.RESOLVE_INIT_PSK
            who = message.identity(mikey.IdRole.RESPONDER if resolving else mikey.IdRole.INITIATOR)
            if resolving or message.header.data_type == mikey.DataType.REQUEST_INIT_PSK:
                psk, _, _ = shared(self._store, message, who)
                proved(self._store, self._kms, message, who, psk)
                protection = exchange.kms_protection(message, psk, 1)
        except (mikey.MikeyError, KmsRefusal):
            protection = None
        try:
            return exchange.error_message(octets, refusal.error_no, timestamp, protection)
        except mikey.MikeyError:
            return None

    def _issue(self, question: Question, now: int, draw: Draw) -> bytes:
        """Ticket Request (RFC 6043 4.2.1): the wished policy, with one TGK when no keys were wished."""
        message, initiator = question.message, question.who
        if question.asker is not Asker.USER:
            raise KmsRefusal("tickets are issued to users alone", mikey.ErrorNo.INVALID_ID)
        wish = message.need(v.TicketPolicy)
        if wish.ticket_type != 1 or not wish.flags.d:
            raise KmsRefusal("only base tickets made by the KMS are issued", mikey.ErrorNo.INVALID_TICKET)
        suite = _suite(message.header.prf)
        data = mikey.PolicyData.read(wish)
        if not data.responders:
            raise KmsRefusal("the wished policy names no responder", mikey.ErrorNo.INVALID_TP_PAR)
        end = self._end(data, now)
        session = _wished(data.kemac, suite, draw)
        contradiction = mikey.contradiction(wish.flags, session)
        if contradiction is not None:
            raise KmsRefusal(f"the wished policy contradicts itself: {contradiction}", mikey.ErrorNo.INVALID_TP_PAR)
        data = structs.replace(data, kms=self._kms, initiator=initiator, kemac=None)
        granted = structs.replace(
            wish,
            flags=structs.replace(wish.flags, k=end is not data.end),
            tp_data=structs.replace(data, end=end).write(),
        )
        tpk = self._store.tpks[0]
        # RFC 6043 12.1: a RAND as long as the longest key that is derived with it.
        rand, mpk = draw(max(suite.octets, len(tpk.key))), draw(suite.octets)
        timestamp = v.Timestamp.ntp_utc(now)
        ticket = mikey.seal_ticket(
            granted,
            tpk.key,
            (_mpk(mpk, b"\x10"), *session),
            timestamp=timestamp,
            rand=rand,
            encr_alg=suite.encr_alg,
            auth_alg=suite.mac_alg,
            tpk_id=tpk.id,
        )
        opened = mikey.open_ticket(ticket, tpk.key)
        mpks = [_mpk(opened.mpki, b"\x11")] + ([_mpk(opened.mpkr, b"\x12")] if wish.flags.i else [])
        return exchange.request_resp(
            question.asked, suite, timestamp=timestamp, kms=self._kms, ticket=ticket, keys=(*mpks, *session)
        )

    def _end(self, data: mikey.PolicyData, now: int) -> v.Timestamp | None:
        """The wished end, or the latest that a ticket of now may have: none outlives its key."""
        if self._max_life is None:
            return data.end
        begin, end = (None if each is None else each.unix_ns for each in (data.start, data.end))
        if begin is not None and begin - now > self._max_life:
            raise KmsRefusal("the ticket would begin after its key", mikey.ErrorNo.INVALID_TP_PAR)
        return (
            v.Timestamp.ntp_utc_32((now + self._max_life) // 1_000_000_000)
            if end is None or end - now > self._max_life
            else data.end
        )

    def _resolve(self, question: Question, now: int, draw: Draw) -> bytes:
        """Ticket Resolve (RFC 6043 4.2.3), for a responder of the ticket or an authorised node."""
        asked, responder = question.asked, question.who
        ticket = question.message.need(v.Ticket)
        keys = self.open(ticket, _as_it_came(question.message))
        if question.asker is Asker.NODE:
            # RFC 6043 12.1: unforked, so that one answer serves every fork of the call.
            return self._released(asked, keys, forked=False, now=now)
        if question.asker is Asker.PEER and self._store.knows(text(responder)):
            raise KmsRefusal("another KMS asks for a user of this one", mikey.ErrorNo.INVALID_ID)
        self._valid(ticket, keys, now)
        self._may_resolve(ticket, responder)
        if not ticket.policy.flags.i:
            return self._released(asked, keys, forked=True, now=now)
        exchange.check_initiator_data(ticket, keys)
        modifier = draw(_suite(ticket.policy.prf).octets)
        return self._forked(asked, keys, responder, modifier, now)

    def _released(self, asked: exchange.Asked, keys: mikey.TicketKeys, *, forked: bool, now: int) -> bytes:
        suite = _suite(asked.message.header.prf)
        flags = asked.message.need(v.Ticket).policy.flags
        mpks = [_mpk(keys.mpki, b"\x11")]
        if flags.i and not forked:
            mpks.append(_mpk(keys.mpkr, b"\x12"))
        return exchange.resolve_resp(
            asked, suite, timestamp=v.Timestamp.ntp_utc(now), kms=self._kms, keys=(*mpks, *keys.keys)
        )

    def _forked(
        self, asked: exchange.Asked, keys: mikey.TicketKeys, responder: v.Idr, modifier: bytes, now: int
    ) -> bytes:
        """Key forking (RFC 6043 5.1.1): MPKr and TGKs bound to this responder."""
        func = asked.message.need(v.Ticket).policy.prf

        def fork(constant: bytes, key: bytes) -> bytes:
            return prf.prf(func, key, prf.fork_label(constant, responder.data, modifier), len(key))

        session = tuple(
            structs.replace(key, key=fork(prf.FORKED_TGK, key.key)) if key.key_type in TGKS else key
            for key in keys.keys
        )
        mpkr = fork(prf.FORKED_MPKR, keys.mpkr)
        return exchange.resolve_resp(
            asked,
            _suite(asked.message.header.prf),
            timestamp=v.Timestamp.ntp_utc(now),
            kms=self._kms,
            keys=(_mpk(keys.mpki, b"\x11"), _mpk(mpkr, b"\x12"), *session),
            responder=responder,
            modifier=modifier,
        )

    # Between KMSs (RFC 6043 8)

    def issuer(self, question: Question) -> PeerKms | None:
        """The other KMS whose ticket a Ticket Resolve is about; None: it is for this one to answer. KmsRefusal."""
        ticket = question.message.first(v.Ticket)
        if question.message.header.data_type not in RESOLVES or ticket is None:
            return None
        try:
            issuer = self._other(mikey.PolicyData.read(ticket.policy))
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None
        if issuer is None:
            return None
        if question.asker is not Asker.USER:
            raise KmsRefusal("only for own users another KMS is asked", mikey.ErrorNo.INVALID_ID)
        peer = self._store.peer_named(issuer)
        if peer is None:
            raise KmsRefusal(f"the ticket is of another KMS, {issuer!r}", mikey.ErrorNo.INVALID_TICKET)
        return peer

    def _other(self, policy: mikey.PolicyData) -> str | None:
        """The KMS that a ticket names, when it is not this one."""
        issuer = policy.kms
        return None if issuer is None or issuer.data == self._kms.data else text(issuer)

    def forward(self, question: Question, peer: PeerKms, now: int, draw: Draw) -> Forwarded:
        """What to ask the other KMS for the user."""
        suite = _suite(question.message.header.prf)
        request = exchange.resolve_init(
            suite,
            peer.psk,
            csb_id=int.from_bytes(draw(4), "big"),
            timestamp=v.Timestamp.ntp_utc(now),
            rand=draw(suite.octets),
            responder=question.who,
            kms=exchange.uri(mikey.IdRole.KMS, peer.identity),
            ticket=question.message.need(v.Ticket),
            psk_id=peer.psk_id,
        )
        return Forwarded(peer, request, question)

    def relay(self, forwarded: Forwarded, answer: bytes, now: int, mono: int) -> Relayed:
        """RESOLVE_RESP for the user from that of the other KMS; KmsRefusal: the answer does not prove right.

        With a cache of foreign keys it is kept there, at ``mono`` of the monotonic count.
        """
        asked, ticket = forwarded.question.asked, forwarded.question.message.need(v.Ticket)
        try:
            released = exchange.open_answer(answer, forwarded.request, forwarded.peer.psk)
        except mikey.MikeyError as error:
            raise KmsRefusal(f"{forwarded.peer.identity}: {error}", error.error_no) from None
        mpks = [_mpk(released.mpki, b"\x11")] + ([_mpk(released.mpkr, b"\x12")] if released.mpkr else [])
        octets = exchange.resolve_resp(
            asked,
            _suite(asked.message.header.prf),
            timestamp=v.Timestamp.ntp_utc(now),
            kms=self._kms,
            keys=(*mpks, *released.keys),
            responder=released.responder,
            modifier=released.modifier,
        )
        if self._foreign is not None:
            self._foreign.keep(ticket, released, mono)
        return Relayed(octets, ticket, released)

    # For the mediation function

    def get_keys(self, query: GetKeys, mono: int = 0) -> SessionKeyAnswer:
        """Session keys of a bundle, when it is one of the targeted user (TS 33.107 7A.7.2). KmsRefusal: why not.

        ``mono`` is the monotonic count, for the age of what is kept of foreign tickets.
        """
        seen = query.exchange
        try:
            messages = mikey.Exchange.read(seen.init.octets, None if seen.response is None else seen.response.octets)
            policy = mikey.PolicyData.read(messages.ticket.policy)
            self._belongs(query.identity, policy, messages)
            resolved = self._opened(policy, messages, mono)
            self._valid_then(policy, messages.init, seen.init.at.wall)
            derivation = mikey.Derivation(messages, resolved, query.parties)
            updates = [
                mikey.UpdateMessages(u.init.octets, None if u.response is None else u.response.octets)
                for u in seen.updates
            ]
            derived = derivation.run(updates)
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None
        return SessionKeyAnswer(derived, tuple(str(failure) for failure in derivation.failures))

    def _opened(self, policy: mikey.PolicyData, messages: mikey.Exchange, mono: int) -> mikey.Resolved:
        """What resolving the ticket gives, or gave when an own user resolved that of another KMS."""
        if self._other(policy) is None:
            keys = self.open(messages.ticket, _as_it_came(messages.init))
            return mikey.Resolved(keys.mpki, keys.mpkr, keys.keys)
        kept = None if self._foreign is None else self._foreign.find(messages, mono)
        if kept is None:
            raise KmsRefusal(
                "the ticket is of another KMS, and what that released is not kept here",
                mikey.ErrorNo.INVALID_TICKET,
                Code.FOREIGN,
            )
        return kept

    def open(self, ticket: v.Ticket, octets: bytes | None = None) -> mikey.TicketKeys:
        """Open a ticket of this KMS; KmsRefusal: it names another KMS's key, or none that opens it.

        ``octets``: the payload as it came, when it came in a message.
        """
        flags = ticket.policy.flags
        if not flags.d and not flags.e:
            raise KmsRefusal(
                "the ticket is between its two users alone (mode 4)", mikey.ErrorNo.INVALID_TICKET, Code.TICKET
            )
        data = read_data(ticket.ticket_data)
        if data.tpk_id is not None:
            tpk = self._store.tpk(data.tpk_id)
            if tpk is None:
                shown = data.tpk_id.decode("ascii", "backslashreplace")
                reason = f"unknown ticket protection key {shown!r}"
                raise KmsRefusal(reason, mikey.ErrorNo.INVALID_TICKET, Code.TICKET)
            return mikey.open_ticket(ticket, tpk.key, data, octets)
        for tpk in self._store.tpks:
            try:
                return mikey.open_ticket(ticket, tpk.key, data, octets)
            except mikey.MikeyError:
                continue
        raise KmsRefusal("no ticket protection key opens the ticket", mikey.ErrorNo.INVALID_TICKET, Code.TICKET)

    def _belongs(self, identity: str, policy: mikey.PolicyData, messages: mikey.Exchange) -> None:
        """The keys must be the target's: an identity of that user among those of ticket and messages."""
        named = [policy.initiator, *policy.responders]
        named.append(messages.init.identity(mikey.IdRole.INITIATOR))
        named.append(messages.init.identity(mikey.IdRole.RESPONDER))
        if messages.response is not None:
            named.append(messages.response.identity(mikey.IdRole.RESPONDER))
        wanted = self._store.same_user(identity)
        for each in named:
            if each is not None and wanted & forms(each):
                return
        reason = "the ticket exchange is not of the targeted user"
        raise KmsRefusal(reason, mikey.ErrorNo.INVALID_ID, Code.NOT_OF_TARGET)

    def _valid_then(self, policy: mikey.PolicyData, init: mikey.MikeyMessage, captured: int) -> None:
        """Validity at the time of the TRANSFER_INIT, as the message or the capture tells it."""
        told = init.need(v.Timestamp).unix_ns
        reason = policy.outside(captured)
        if reason is not None and (told is None or policy.outside(told) is not None):
            raise KmsRefusal(f"{reason} at the time of its TRANSFER_INIT", mikey.ErrorNo.INVALID_TICKET, Code.TICKET)

    # Who asks, and when

    def _asked(self, message: mikey.MikeyMessage, who: v.Idr | None, now: int, askers: Set[Asker]) -> Question:
        """A request that proved right and is fresh, and what kind of party sent it."""
        peer: PeerKms | None = None
        if message.header.data_type in (mikey.DataType.REQUEST_INIT_PK, mikey.DataType.RESOLVE_INIT_PK):
            if who is None:
                raise nobody()
            asked, asker = certified(self._store, self._kms, message, who, now), Asker.USER
        else:
            psk, asker, peer = shared(self._store, message, who)
            asked, who = proved(self._store, self._kms, message, who, psk)
        if asker not in askers:
            raise KmsRefusal("who asks is not answered here", mikey.ErrorNo.AUTH_FAILURE)
        self._fresh(message, now)
        owner = None if asked.psk_id else self._store.named(text(who))
        account = asked.psk_id or (b"" if owner is None else owner.psk_id) or who.data
        return Question(asked, asker, who, account, peer)

    def _fresh(self, message: mikey.MikeyMessage, now: int) -> None:
        """RFC 6043 3.7, 5.4: inside the skew, and not seen before; only authenticated messages come here."""
        told = message.need(v.Timestamp).unix_ns
        if told is None or abs(told - now) > MAX_SKEW:
            raise KmsRefusal("the timestamp is too far from the KMS's clock", mikey.ErrorNo.INVALID_TS)
        signature = message.first(v.Sign)
        mark = message.need(v.V).mac if signature is None else signature.signature
        if mark in self._seen:
            raise KmsRefusal("the message was seen before", mikey.ErrorNo.INVALID_TS)
        self._seen.put(mark, now)

    def _valid(self, ticket: v.Ticket, keys: mikey.TicketKeys, now: int) -> None:
        reason = mikey.PolicyData.read(ticket.policy).outside(now)
        if reason is not None:
            raise KmsRefusal(reason, mikey.ErrorNo.INVALID_TICKET)
        contradiction = mikey.contradiction(ticket.policy.flags, keys.keys)
        if contradiction is not None:
            raise KmsRefusal(f"the ticket contradicts itself: {contradiction}", mikey.ErrorNo.INVALID_TP_PAR)

    def _may_resolve(self, ticket: v.Ticket, responder: v.Idr) -> None:
        wanted = self._store.same_user(text(responder))
        for each in mikey.PolicyData.read(ticket.policy).responders:
            if wanted & forms(each):
                return
        raise KmsRefusal("the ticket does not name this responder", mikey.ErrorNo.INVALID_ID)


def _as_it_came(message: mikey.MikeyMessage) -> bytes | None:
    """The octets of the ticket's payload."""
    placed = message.placed(mikey.PayloadType.TICKET)
    return None if placed is None else placed.octets


def _suite(func: int) -> exchange.Suite:
    return exchange.SUITE_256 if func == mikey.PrfFunc.HMAC_SHA_256 else exchange.SUITE_128


def _mpk(key: bytes, spi: bytes) -> v.KeyData:
    return v.KeyData(KeyType.MPK, key, validity=v.Validity(mikey.KvType.SPI, spi))


def _wished(kemac: v.Kemac | None, suite: exchange.Suite, draw: Draw) -> tuple[v.KeyData, ...]:
    """Keys of the wished types, lengths and SPIs, filled with random octets (RFC 6043 6.10)."""
    if kemac is None:
        return (v.KeyData(KeyType.TGK, draw(suite.octets), validity=v.Validity(mikey.KvType.SPI, b"\x01")),)
    wished = exchange.wished_keys(kemac)
    if len(wished) > MAX_KEYS_WISHED:
        raise KmsRefusal("more keys wished than are given", mikey.ErrorNo.INVALID_TP_PAR)
    return tuple(
        structs.replace(
            key,
            key=draw(len(key.key)),
            salt=draw(len(key.salt)) if key.key_type in SALTED else b"",
        )
        for key in wished
        if key.key_type != KeyType.MPK
    )

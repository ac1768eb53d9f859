"""The key management service: issue, resolve (RFC 6043), get_keys (TS 33.107 7A.7.2). Stateless towards tickets.

A core: times and random octets are arguments. A ticket is opened here and nowhere else.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from msgspec import Struct, structs

from imswire import mikey, sip
from imswire.mikey import certificates, exchange, exchange_pk, prf
from imswire.mikey import values as v
from imswire.mikey.numbers import SALTED, TGKS, KeyType
from midcall.base.bounded import BoundedTable
from midcall.events import TicketExchange
from midcall.kms.store import KmsStore, PeerKms, Subscriber

SECOND = 1_000_000_000
# RFC 6043 3.7: messages further from now are refused, and remembered as long, so that none counts twice.
MAX_SKEW = 300 * SECOND
REPLAY_ENTRIES = 65_536
MAX_KEYS_WISHED = 16

REQUESTS = frozenset((mikey.DataType.REQUEST_INIT_PSK, mikey.DataType.REQUEST_INIT_PK))
RESOLVES = frozenset((mikey.DataType.RESOLVE_INIT_PSK, mikey.DataType.RESOLVE_INIT_PK))

Draw = Callable[[int], bytes]


class KmsRefusal(Exception):
    """The KMS does not answer; the text says why and names no key."""

    def __init__(self, reason: str, error_no: mikey.ErrorNo = mikey.ErrorNo.UNSPECIFIED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error_no = error_no


class GetKeys(Struct, frozen=True):
    """get_keys: the identity that matched, and the raw messages of one crypto session bundle.

    ``parties``: URIs that the MACs may cover, for messages that name nobody; they give no right to any key.
    """

    identity: str
    exchange: TicketExchange
    parties: tuple[str, ...] = ()


class SessionKeyAnswer(Struct, frozen=True):
    """get_keys_response: keys of each crypto session, and why a later message gave none."""

    keys: tuple[mikey.SessionKeys, ...]
    failures: tuple[str, ...] = ()


class _Asker(enum.Enum):
    """Who may ask a KMS: a user of its own, an authorised node, another KMS for a user of its own."""

    USER = 1
    NODE = 2
    PEER = 3


class Forwarded(Struct, frozen=True):
    """A Ticket Resolve on its way to the KMS that can open the ticket."""

    peer: PeerKms
    request: bytes
    asked: exchange.Asked


class Kms:
    """One KMS; two at work share nothing but their store."""

    def __init__(self, store: KmsStore) -> None:
        self._store = store
        self._kms = exchange.uri(mikey.IdRole.KMS, store.identity)
        self._seen: BoundedTable[bytes, int] = BoundedTable("kms.replays", REPLAY_ENTRIES)

    # For UEs

    def answer(self, octets: bytes, now: int, draw: Draw) -> bytes:
        """Answer a Ticket Request or Ticket Resolve, of a PSK or PK variant, at wall time ``now`` (ns).

        KmsRefusal: nobody is to be answered with keys; its ``error_no`` is for an Error message. ``draw`` gives
        random octets.
        """
        try:
            message = mikey.parse(octets)
            if message.header.data_type in REQUESTS:
                return self._issue(message, now, draw)
            if message.header.data_type in RESOLVES:
                return self._resolve(message, now, draw)
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None
        name = mikey.type_name(message.header.data_type)
        raise KmsRefusal(f"{name} is no request to a KMS", mikey.ErrorNo.UNSUPPORTED_MESSAGE)

    def _issue(self, message: mikey.MikeyMessage, now: int, draw: Draw) -> bytes:
        """Ticket Request (RFC 6043 4.2.1): the wished policy, with one TGK when no keys were wished."""
        initiator = message.identity(mikey.IdRole.INITIATOR)
        asked, asker = self._asked(message, initiator, now)
        if asker is not _Asker.USER:
            raise KmsRefusal("tickets are issued to users alone", mikey.ErrorNo.INVALID_ID)
        wish = message.need(v.TicketPolicy)
        if wish.ticket_type != 1 or not wish.flags.d:
            raise KmsRefusal("only base tickets made by the KMS are issued", mikey.ErrorNo.INVALID_TICKET)
        suite = _suite(message.header.prf)
        data = mikey.PolicyData.read(wish)
        if not data.responders:
            raise KmsRefusal("the wished policy names no responder", mikey.ErrorNo.INVALID_TP_PAR)
        session = _wished(data.kemac, suite, draw)
        contradiction = mikey.contradiction(wish.flags, session)
        if contradiction is not None:
            raise KmsRefusal(f"the wished policy contradicts itself: {contradiction}", mikey.ErrorNo.INVALID_TP_PAR)
        granted = structs.replace(
            wish, tp_data=structs.replace(data, kms=self._kms, initiator=initiator, kemac=None).write()
        )
        timestamp, rand, mpk = v.Timestamp.ntp_utc(now), draw(suite.octets), draw(suite.octets)
        tpk = self._store.tpks[0]
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
            asked, suite, timestamp=timestamp, kms=self._kms, ticket=ticket, keys=(*mpks, *session)
        )

    def _resolve(self, message: mikey.MikeyMessage, now: int, draw: Draw) -> bytes:
        """Ticket Resolve (RFC 6043 4.2.3), for a responder of the ticket or an authorised node."""
        responder = message.identity(mikey.IdRole.RESPONDER)
        asked, asker = self._asked(message, responder, now)
        ticket = message.need(v.Ticket)
        keys = self.open(ticket)
        if asker is _Asker.NODE:
            # RFC 6043 12.1: unforked, so that one answer serves every fork of the call.
            return self._released(asked, keys, forked=False, now=now)
        self._valid(ticket, keys, now)
        assert responder is not None
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

    def forward(self, octets: bytes, now: int, draw: Draw) -> Forwarded | None:
        """A Ticket Resolve of an own user for a ticket of another KMS: what to ask that KMS; None: the ticket is ours.

        KmsRefusal: the user is not to be answered, or the other KMS is not known.
        """
        try:
            message = mikey.parse(octets)
            ticket = message.first(v.Ticket)
            issuer = None if ticket is None else mikey.PolicyData.read(ticket.policy).kms
            if message.header.data_type not in RESOLVES or ticket is None or issuer is None:
                return None
            if issuer.data == self._kms.data:
                return None
            peer = self._store.peer_named(_text(issuer))
            if peer is None:
                raise KmsRefusal(f"the ticket is of another KMS, {_text(issuer)!r}", mikey.ErrorNo.INVALID_TICKET)
            responder = message.identity(mikey.IdRole.RESPONDER)
            asked, asker = self._asked(message, responder, now)
            if asker is not _Asker.USER or responder is None:
                raise KmsRefusal("only for own users another KMS is asked", mikey.ErrorNo.INVALID_ID)
            suite = _suite(message.header.prf)
            request = exchange.resolve_init(
                suite,
                peer.psk,
                csb_id=int.from_bytes(draw(4), "big"),
                timestamp=v.Timestamp.ntp_utc(now),
                rand=draw(suite.octets),
                responder=responder,
                kms=issuer,
                ticket=ticket,
                psk_id=peer.psk_id,
            )
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None
        return Forwarded(peer, request, asked)

    def relay(self, forwarded: Forwarded, answer: bytes, now: int) -> bytes:
        """RESOLVE_RESP for the user from that of the other KMS; KmsRefusal: the answer does not prove right."""
        try:
            released = exchange.open_answer(answer, forwarded.request, forwarded.peer.psk)
        except mikey.MikeyError as error:
            raise KmsRefusal(f"{forwarded.peer.identity}: {error}", error.error_no) from None
        mpks = [_mpk(released.mpki, b"\x11")] + ([_mpk(released.mpkr, b"\x12")] if released.mpkr else [])
        return exchange.resolve_resp(
            forwarded.asked,
            _suite(forwarded.asked.message.header.prf),
            timestamp=v.Timestamp.ntp_utc(now),
            kms=self._kms,
            keys=(*mpks, *released.keys),
            responder=released.responder,
            modifier=released.modifier,
        )

    # For the mediation function

    def get_keys(self, query: GetKeys) -> SessionKeyAnswer:
        """Session keys of a bundle, when it is one of the targeted user (TS 33.107 7A.7.2). KmsRefusal: why not."""
        seen = query.exchange
        try:
            messages = mikey.Exchange.read(seen.init.octets, None if seen.response is None else seen.response.octets)
            ticket = messages.ticket
            keys = self.open(ticket)
            self._belongs(query.identity, messages)
            self._valid_then(ticket, messages.init, seen.init.at.wall)
            derivation = mikey.Derivation(messages, mikey.Resolved(keys.mpki, keys.mpkr, keys.keys), query.parties)
            updates = [
                mikey.UpdateMessages(u.init.octets, None if u.response is None else u.response.octets)
                for u in seen.updates
            ]
            derived = derivation.run(updates)
        except mikey.MikeyError as error:
            raise KmsRefusal(str(error), error.error_no) from None
        return SessionKeyAnswer(derived, tuple(str(failure) for failure in derivation.failures))

    def open(self, ticket: v.Ticket) -> mikey.TicketKeys:
        """Open a ticket of this KMS; KmsRefusal: it names another KMS's key, or none that opens it."""
        flags = ticket.policy.flags
        if not flags.d and not flags.e:
            raise KmsRefusal("the ticket is between its two users alone (mode 4)", mikey.ErrorNo.INVALID_TICKET)
        named = mikey.tpk_id(ticket)
        if named is not None:
            tpk = self._store.tpk(named)
            if tpk is None:
                shown = named.decode("ascii", "backslashreplace")
                raise KmsRefusal(f"unknown ticket protection key {shown!r}", mikey.ErrorNo.INVALID_TICKET)
            return mikey.open_ticket(ticket, tpk.key)
        for tpk in self._store.tpks:
            try:
                return mikey.open_ticket(ticket, tpk.key)
            except mikey.MikeyError:
                continue
        raise KmsRefusal("no ticket protection key opens the ticket", mikey.ErrorNo.INVALID_TICKET)

    def _belongs(self, identity: str, messages: mikey.Exchange) -> None:
        """The keys must be the target's: an identity of that user among those of ticket and messages."""
        policy = mikey.PolicyData.read(messages.ticket.policy)
        named = [policy.initiator, *policy.responders]
        named.append(messages.init.identity(mikey.IdRole.INITIATOR))
        named.append(messages.init.identity(mikey.IdRole.RESPONDER))
        if messages.response is not None:
            named.append(messages.response.identity(mikey.IdRole.RESPONDER))
        wanted = self._store.same_user(identity)
        for each in named:
            if each is not None and wanted & _forms(each):
                return
        raise KmsRefusal("the ticket exchange is not of the targeted user", mikey.ErrorNo.INVALID_ID)

    def _valid_then(self, ticket: v.Ticket, init: mikey.MikeyMessage, captured: int) -> None:
        """Validity at the time of the TRANSFER_INIT, as the message or the capture tells it."""
        told = init.need(v.Timestamp).unix_ns
        policy = mikey.PolicyData.read(ticket.policy)
        reason = policy.outside(captured)
        if reason is not None and (told is None or policy.outside(told) is not None):
            raise KmsRefusal(f"{reason} at the time of its TRANSFER_INIT", mikey.ErrorNo.INVALID_TICKET)

    # Who asks, and when

    def _asked(self, message: mikey.MikeyMessage, who: v.Idr | None, now: int) -> tuple[exchange.Asked, _Asker]:
        """A request that proved right and is fresh, and what kind of party sent it."""
        if who is None:
            raise KmsRefusal("the message does not say who asks", mikey.ErrorNo.INVALID_ID)
        if message.header.data_type in (mikey.DataType.REQUEST_INIT_PK, mikey.DataType.RESOLVE_INIT_PK):
            asked, asker = self._certified(message, who, now), _Asker.USER
        else:
            psk, asker = self._shared(message, who)
            asked = exchange.check_asked(message, psk, self._kms.data)
        self._fresh(message, now)
        return asked, asker

    def _certified(self, message: mikey.MikeyMessage, who: v.Idr, now: int) -> exchange.Asked:
        """Who asks by a certificate that names the identity of the message."""
        if self._store.public_key is None:
            raise KmsRefusal("this KMS has no certificate of its own", mikey.ErrorNo.UNSUPPORTED_MESSAGE)
        signed = exchange_pk.check_asked(message, self._store.public_key, self._kms.data, now)
        named = {form for uri in certificates.uris(signed.certificate) for form in sip.identities(uri)}
        if not named & _forms(who):
            raise KmsRefusal("the certificate is not that of the identity", mikey.ErrorNo.INVALID_CERT)
        return signed.asked

    def _shared(self, message: mikey.MikeyMessage, who: v.Idr) -> tuple[bytes, _Asker]:
        """The key shared with who asks, and what kind of party that is."""
        psk_id = message.identity(mikey.IdRole.PSK)
        name = b"" if psk_id is None else psk_id.data
        node, subscriber, peer = self._store.node(name), self._store.subscriber(name), self._store.peer(name)
        if node is not None:
            if _text(who) != node.identity:
                raise KmsRefusal("the identity is not the node's", mikey.ErrorNo.INVALID_ID)
            return node.psk, _Asker.NODE
        if peer is not None:
            # It asks for one of its users, and has checked who that is (RFC 6043 8).
            return peer.psk, _Asker.PEER
        if subscriber is None:
            raise KmsRefusal("who asks is not known", mikey.ErrorNo.AUTH_FAILURE)
        if not self._is(subscriber, who):
            raise KmsRefusal("the identity is not the subscriber's", mikey.ErrorNo.INVALID_ID)
        return subscriber.psk, _Asker.USER

    @staticmethod
    def _is(subscriber: Subscriber, who: v.Idr) -> bool:
        forms = _forms(who)
        return any(forms & set(sip.identities(name)) for name in subscriber.identities)

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
        wanted = self._store.same_user(_text(responder))
        for each in mikey.PolicyData.read(ticket.policy).responders:
            if wanted & _forms(each):
                return
        raise KmsRefusal("the ticket does not name this responder", mikey.ErrorNo.INVALID_ID)


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


def _forms(identity: v.Idr) -> set[str]:
    """Canonical forms of an identity; a network access identifier is a SIP URI without its scheme."""
    text = _text(identity)
    return set(sip.identities(f"sip:{text}" if identity.id_type == mikey.IdType.NAI else text))


def _text(identity: v.Idr) -> str:
    return identity.data.decode("utf-8", "surrogateescape")

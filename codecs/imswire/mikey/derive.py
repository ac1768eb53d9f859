"""From a ticket exchange to SRTP keys (RFC 6043 5.1, 6.1): proof, forking, key transport, derivation.

Given the raw messages of one crypto session bundle, as one fork of a call saw them, and what the ticket held.
The same steps serve the Responder, the Initiator, a KMS that answers get_keys, and an authorised node that
resolved the ticket itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct, structs

from imswire.mikey import prf
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import MikeyMessage, PolicyData, parse, type_name
from imswire.mikey.numbers import (
    AEAD_CIPHERS,
    TEKS,
    TGKS,
    DataType,
    ErrorNo,
    IdRole,
    KeyType,
    ProtType,
    RandRole,
    SpParam,
)
from imswire.mikey.protect import Protection, covered

DEFAULT_KEY_OCTETS = 16
DEFAULT_SALT_OCTETS = 14
AEAD_SALT_OCTETS = 12
_SESSION_KEYS = TEKS | TGKS | {KeyType.GTGK, KeyType.GTGK_SALT}
# No SRTP profile has a longer one; a policy may claim any number.
MAX_MASTER_OCTETS = 32
MAX_UPDATES = 1024
MAX_CANDIDATES = 16  # responders of a ticket, and parties, that are tried when a message names none


class Resolved(Struct, frozen=True):
    """What resolving a ticket gave. ``forked``: MPKr and TGKs are those of one responder already."""

    mpki: bytes
    mpkr: bytes | None
    keys: tuple[v.KeyData, ...]
    forked: bool = False

    def __repr__(self) -> str:
        return f"Resolved(keys={len(self.keys)}, forked={self.forked}, <redacted>)"


class UpdateMessages(NamedTuple):
    """A CSB update: its first message, and the answer when there was one."""

    init: bytes
    response: bytes | None


class SessionKeys(Struct, frozen=True):
    """SRTP key material of one crypto session; ``generation`` 0 is the initial exchange, n the n-th update.

    ``params`` are the policy's (type to value); ``proved`` is False when no message of the answering side
    vouched for them.
    """

    cs_id: int
    generation: int
    ssrc: int | None
    roc: int | None
    seq: int | None
    master_key: bytes
    master_salt: bytes
    spi: bytes
    params: dict[int, bytes]
    source: str
    proved: bool

    def __repr__(self) -> str:
        return f"SessionKeys(cs_id={self.cs_id}, generation={self.generation}, ssrc={self.ssrc}, <redacted>)"


class Exchange(Struct, frozen=True):
    """The parsed initial exchange and the ticket in it."""

    init: MikeyMessage
    response: MikeyMessage | None
    ticket: v.Ticket

    @property
    def flags(self) -> v.Flags:
        return self.ticket.policy.flags

    @classmethod
    def read(cls, init: bytes, response: bytes | None) -> Exchange:
        """Parse both messages; MikeyError when they are not a TRANSFER_INIT and its TRANSFER_RESP."""
        first = _message(init, DataType.TRANSFER_INIT)
        second = None if response is None else _message(response, DataType.TRANSFER_RESP)
        if second is not None and second.header.csb_id != first.header.csb_id:
            raise MikeyError("HDR", "the response has another CSB ID", field="csb_id")
        return cls(first, second, first.need(v.Ticket))

    @property
    def waits(self) -> bool:
        """Whether no key can be known before the response is there (RFC 6043 5.1.4)."""
        return self.response is None and self.flags.f and (self.flags.g or self.flags.i)


def derive(
    init: bytes, response: bytes | None, updates: Sequence[UpdateMessages], resolved: Resolved
) -> tuple[SessionKeys, ...]:
    """Keys of every crypto session and generation, in the order in which they came into force.

    MikeyError: a message cannot be read or does not prove right; then none of its keys is given.
    """
    return Derivation(Exchange.read(init, response), resolved).run(updates)


class Derivation:
    """The state of one bundle: its keys by SPI, its policies, and the keys that protect its messages."""

    def __init__(self, exchange: Exchange, resolved: Resolved, parties: Iterable[str] = ()) -> None:
        """``parties``: URIs of the two users as their signalling names them, tried when MIKEY leaves them out."""
        self._init = exchange.init
        self._response = exchange.response
        self._flags = exchange.flags
        self._ticket = exchange.ticket
        self._func = exchange.init.header.prf
        self._resolved = resolved
        self._parties = [uri.encode("utf-8", "surrogateescape") for uri in parties][:MAX_CANDIDATES]
        self._sources: dict[bytes, str] = {}
        self._pool: dict[bytes, v.KeyData] = {}
        self._policies: dict[int, v.Sp] = dict(exchange.init.policies)
        self._map: tuple[v.GenericSession, ...] = ()
        self.failures: list[MikeyError] = []

    def run(self, updates: Sequence[UpdateMessages]) -> tuple[SessionKeys, ...]:
        """All generations. An update or a crypto session that gives no keys costs only itself.

        Why it gave none stands in ``failures``.
        """
        keys = self._initial()
        for number, update in enumerate(updates[:MAX_UPDATES], 1):
            before = dict(self._pool), dict(self._sources), dict(self._policies)
            try:
                keys += self._update(update, number)
            except MikeyError as error:
                self._pool, self._sources, self._policies = before
                self.failures.append(error)
        return tuple(keys)

    # The initial exchange

    def _initial(self) -> list[SessionKeys]:
        init, response = self._init, self._response
        self._prove_init()
        if response is None and Exchange(init, None, self._ticket).waits:
            raise MikeyError("TRANSFER_RESP", "not seen, and the keys depend on it")
        mpk = self._responder_mpk()
        self._add(self._ticket_keys(), "ticket")
        protection = self._protection(1, self._resolved.mpki)
        self._add(self._transported(init, protection, init.need(v.Timestamp)), "initiator")
        if response is None:
            return self._sessions(init, _map(init), 0, proved=not self._flags.f)
        self._prove_response(response, mpk)
        self._policies.update(response.policies)
        times = (response.need(v.Timestamp), init.need(v.Timestamp))
        self._add(self._transported(response, self._protection(2, mpk), *times), "responder")
        return self._sessions(response, _map(response) or _map(init), 0, proved=True)

    def _prove_init(self) -> None:
        """V of TRANSFER_INIT: ticket, KMS answer and message belong together."""
        init = self._init
        protection = self._protection(1, self._resolved.mpki)
        octets, verification = covered(init), init.need(v.V)
        for initiator, responder in self._identities(init):
            if protection.proves(verification, octets + initiator + responder):
                return
        raise MikeyError("TRANSFER_INIT", "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)

    def _prove_response(self, response: MikeyMessage, mpk: bytes) -> None:
        protection = self._protection(2, mpk)
        if not protection.proves(response.need(v.V), covered(response) + self._init.octets):
            raise MikeyError("TRANSFER_RESP", "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)

    def _identities(self, *messages: MikeyMessage) -> Iterator[tuple[bytes, bytes]]:
        """Identity_i and Identity_r as the messages name them, or as their sender may have meant them."""
        for message in messages:
            named = message.identity(IdRole.INITIATOR), message.identity(IdRole.RESPONDER)
            if named[0] is not None and named[1] is not None:
                yield named[0].data, named[1].data
        policy = PolicyData.read(self._ticket.policy)
        answering = None if self._response is None else self._response.identity(IdRole.RESPONDER)
        initiators = _candidates(
            (message.identity(IdRole.INITIATOR) for message in messages),
            (policy.initiator,),
            self._parties,
        )
        responders = _candidates(
            (message.identity(IdRole.RESPONDER) for message in messages),
            (*policy.responders[:MAX_CANDIDATES], answering),
            self._parties,
        )
        yield from ((initiator, responder) for initiator in initiators for responder in responders)

    # Forking

    def _responder_mpk(self) -> bytes:
        """The MPK of the response's side: MPKi, or with forking MPKr' (RFC 6043 5.1.1)."""
        if not self._flags.i:
            return self._resolved.mpki
        if self._resolved.mpkr is None:
            raise MikeyError("TICKET", "keys are forked, but the MPKr is not known")
        return self._fork(prf.FORKED_MPKR, self._resolved.mpkr)

    def _fork(self, constant: bytes, key: bytes) -> bytes:
        """A key bound to the responder and modifier of TRANSFER_RESP; as it is when the KMS has forked it."""
        response = self._response
        if self._resolved.forked or response is None:
            return key
        responder, modifier = response.identity(IdRole.RESPONDER), response.rand(RandRole.KMS)
        if responder is None or modifier is None:
            raise MikeyError("TRANSFER_RESP", "keys are forked, but IDRr or RANDRkms is missing")
        return prf.prf(self._ticket.policy.prf, key, prf.fork_label(constant, responder.data, modifier), len(key))

    def _ticket_keys(self) -> Iterator[v.KeyData]:
        for key in self._resolved.keys:
            if key.key_type == KeyType.MPK:
                continue
            if self._flags.i and key.key_type in TGKS:
                yield v.KeyData(key.key_type, self._fork(prf.FORKED_TGK, key.key), key.salt, key.validity)
            else:
                yield key

    # Updates (RFC 6043 5.2)

    def _update(self, update: UpdateMessages, number: int) -> list[SessionKeys]:
        init = self._of_bundle(update.init, DataType.TRANSFER_INIT)
        response = None if update.response is None else self._of_bundle(update.response, DataType.TRANSFER_RESP)
        protection = self._prove_update(init, self._update_tails(init), "first message")
        answer = protection if response is None else self._prove_update(response, [init.octets], "response")
        if response is None and init.header.expects_response:
            raise MikeyError("CSB update", "it wanted a response, and none was seen")
        times = tuple(t for t in (init.first(v.Timestamp), self._init.first(v.Timestamp)) if t is not None)
        self._policies.update(init.policies)
        keys = self._transported(init, protection, *times)
        if response is not None:
            self._policies.update(response.policies)
            keys += self._transported(response, answer, response.need(v.Timestamp), *times)
        self._add(keys, "update")
        last = response or init
        return self._sessions(last, _map(last) or _map(init) or self._moved_to(keys), number, proved=True)

    def _of_bundle(self, octets: bytes, expected: DataType) -> MikeyMessage:
        message = _message(octets, expected)
        if message.header.csb_id != self._init.header.csb_id:
            raise MikeyError("HDR", "the CSB update has another CSB ID", field="csb_id")
        return message

    def _prove_update(self, message: MikeyMessage, tails: Sequence[bytes], role: str) -> Protection:
        """The keys under which a message of an update proves right."""
        octets, verification = covered(message), message.need(v.V)
        for protection in self._update_protections():
            if any(protection.proves(verification, octets + tail) for tail in tails):
                return protection
        raise MikeyError("CSB update", f"the MAC of its {role} is wrong", error_no=ErrorNo.AUTH_FAILURE)

    def _update_protections(self) -> Iterator[Protection]:
        """The keys of the last message of the initial exchange; some senders use those of its first instead."""
        if self._response is not None:
            yield self._protection(2, self._responder_mpk())
        yield self._protection(1, self._resolved.mpki)

    def _update_tails(self, init: MikeyMessage) -> list[bytes]:
        """The identities by their roles in the initial exchange; or the sender's first, when the Responder began."""
        answered = () if self._response is None else (self._response,)
        pairs = list(self._identities(self._init, init, *answered))
        return [i + r for i, r in pairs] + [r + i for i, r in pairs]

    def _moved_to(self, keys: tuple[v.KeyData, ...]) -> tuple[v.GenericSession, ...]:
        """The map in force, for an update that has none: all sessions go on, under the new key if there is one."""
        sessions = (structs.replace(session, has_roc=False) for session in self._map)
        if len(keys) != 1:
            return tuple(sessions)
        return tuple(structs.replace(session, spi=keys[0].spi) for session in sessions)

    # Keys

    def _protection(self, phase: int, mpk: bytes) -> Protection:
        randr = self._response.rand(RandRole.RESPONDER) if phase == 2 and self._response else None
        randi = self._init.rand(RandRole.INITIATOR)
        return Protection(mpk, self._func, self._init.header.csb_id, phase, randi, randr)

    @staticmethod
    def _transported(message: MikeyMessage, protection: Protection, *times: v.Timestamp) -> tuple[v.KeyData, ...]:
        kemac = message.first(v.Kemac)
        return () if kemac is None else protection.open(kemac, *times)

    def _add(self, keys: Iterable[v.KeyData], source: str) -> None:
        for key in keys:
            if key.key_type in _SESSION_KEYS:
                self._pool[key.spi] = key
                self._sources[key.spi] = source

    def _find(self, spi: bytes) -> v.KeyData | None:
        """The key that a crypto session names; the only one, when there is one and the session names none."""
        found = self._pool.get(spi)
        if found is None and len(self._pool) == 1:
            only = next(iter(self._pool.values()))
            if not spi or not only.spi:
                return only
        return found

    def _sessions(
        self, message: MikeyMessage, sessions: tuple[v.GenericSession, ...], generation: int, *, proved: bool
    ) -> list[SessionKeys]:
        """Keys of the crypto sessions of the valid map, which ``message`` set; those without keys are failures."""
        if not sessions:
            raise MikeyError("HDR", f"no crypto session in the map of the {_role(message)}", field="sessions")
        derived: list[SessionKeys] = []
        failures: list[MikeyError] = []
        for session in sessions:
            if session.protocol != ProtType.SRTP:
                continue
            try:
                derived.append(self._session(session, self._named(session, message), generation, proved))
            except MikeyError as error:
                failures.append(error)
        if failures and not derived:
            raise failures[0]
        self.failures += failures
        self._map = sessions
        return derived

    def _named(self, session: v.GenericSession, message: MikeyMessage) -> v.KeyData:
        key = self._find(session.spi)
        if key is None:
            reason = f"crypto session {session.cs_id} names a key that nobody sent"
            raise MikeyError(_role(message), reason, field="spi")
        return key

    def _session(self, session: v.GenericSession, key: v.KeyData, generation: int, proved: bool) -> SessionKeys:
        params = self._params(session)
        key_octets = _octets(params, SpParam.ENCR_KEY_LENGTH, DEFAULT_KEY_OCTETS)
        aead = _number(params, SpParam.ENCR_ALG, 1) in AEAD_CIPHERS
        salt_octets = _octets(params, SpParam.SALT_LENGTH, AEAD_SALT_OCTETS if aead else DEFAULT_SALT_OCTETS)
        master = key.key if key.key_type in TEKS else self._from_tgk(prf.TEK, key.key, session.cs_id, key_octets)
        if key.salt:
            salt = key.salt
        elif key.key_type in TEKS:
            salt = bytes(salt_octets)
        else:
            salt = self._from_tgk(prf.SALT_FROM_TGK, key.key, session.cs_id, salt_octets)
        for name, octets, wanted in (("key", master, key_octets), ("salt", salt, salt_octets)):
            if len(octets) != wanted:
                reason = f"the master {name} of crypto session {session.cs_id} has {len(octets)} octets, not {wanted}"
                raise MikeyError("KEMAC", reason, field=name, error_no=ErrorNo.INVALID_SP_PAR)
        return SessionKeys(
            session.cs_id,
            generation,
            session.ssrc,
            session.roc,
            session.seq,
            master,
            salt,
            key.spi or session.spi,
            params,
            self._sources.get(key.spi, "ticket"),
            proved,
        )

    def _from_tgk(self, constant: bytes, key: bytes, cs_id: int, length: int) -> bytes:
        randi = self._init.rand(RandRole.INITIATOR) if self._flags.h else None
        randr = self._response.rand(RandRole.RESPONDER) if self._flags.g and self._response else None
        return prf.prf(self._func, key, prf.session_label(constant, cs_id, randi, randr), length)

    def _params(self, session: v.GenericSession) -> dict[int, bytes]:
        """The policy that the map names; with several still open, or none named, the first that fits."""
        for number in session.policies:
            sp = self._policies.get(number)
            if sp is not None and sp.protocol == session.protocol:
                return sp.mapping
        return {}


def _candidates(named: Iterable[v.Idr | None], others: Iterable[v.Idr | None], parties: Iterable[bytes]) -> list[bytes]:
    """Identities that a MAC may cover: those that messages name; else ``others``, ``parties``, or none at all."""
    names = list(dict.fromkeys(each.data for each in named if each is not None))
    return names or list(dict.fromkeys((*(each.data for each in others if each is not None), *parties, b"")))


def _map(message: MikeyMessage) -> tuple[v.GenericSession, ...]:
    return tuple(session for session in message.header.sessions if isinstance(session, v.GenericSession))


def _number(params: dict[int, bytes], param: SpParam, default: int) -> int:
    value = params.get(param)
    return default if not value else int.from_bytes(value, "big")


def _octets(params: dict[int, bytes], param: SpParam, default: int) -> int:
    """A length that the policy sets; 0, as some write beside a NULL cipher, is none: authentication needs keys too."""
    octets = _number(params, param, default) or default
    if octets > MAX_MASTER_OCTETS:
        reason = f"more than {MAX_MASTER_OCTETS} octets"
        raise MikeyError("SP", reason, field=param.name.lower(), error_no=ErrorNo.INVALID_SP_PAR)
    return octets


def _message(octets: bytes, expected: DataType) -> MikeyMessage:
    message = parse(octets)
    if message.header.data_type != expected:
        raise MikeyError(
            "HDR",
            f"{type_name(message.header.data_type)} where {expected.name} is expected",
            field="data_type",
            error_no=ErrorNo.INVALID_DT,
        )
    return message


def _role(message: MikeyMessage) -> str:
    return type_name(message.header.data_type)

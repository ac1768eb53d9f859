"""Building and checking the messages of Ticket Request, Transfer and Resolve (RFC 6043 4), PSK variants.

Randomness, identifiers and times are arguments. Each builder gives whole octets, MAC included.
"""

from __future__ import annotations

from msgspec import Struct, structs

from imswire.mikey import prf
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import MikeyMessage, build, parse, peek, read_nested, type_name
from imswire.mikey.numbers import (
    MAC_OCTETS,
    DataType,
    EncrAlg,
    ErrorNo,
    IdRole,
    IdType,
    KeyType,
    MacAlg,
    MapType,
    PayloadType,
    PrfFunc,
    RandRole,
)
from imswire.mikey.payloads import write_chain
from imswire.mikey.protect import Protection, covered
from imswire.mikey.ticket import TicketKeys


class Suite(Struct, frozen=True, gc=False):
    """Algorithms that belong together (RFC 6043 6.1, 6.2): a PRF, an encryption, a MAC, and their key size."""

    prf: int
    encr_alg: int
    mac_alg: int
    octets: int


SUITE_128 = Suite(PrfFunc.MIKEY_1, EncrAlg.AES_CM_128, MacAlg.HMAC_SHA_1_160, 16)
SUITE_256 = Suite(PrfFunc.HMAC_SHA_256, EncrAlg.AES_CM_256, MacAlg.HMAC_SHA_256_256, 32)


def uri(role: IdRole, text: str) -> v.Idr:
    """An identity that is a URI."""
    return v.Idr(role, IdType.URI, text.encode())


def _signed(
    header: v.Header, payloads: list[v.Payload], protection: Protection, mac_alg: int, tail: bytes = b""
) -> bytes:
    """A message with V behind the payloads; ``tail`` is what its MAC covers besides the message."""
    empty = v.V(mac_alg, bytes(MAC_OCTETS[MacAlg(mac_alg)]))
    octets = build(header, [*payloads, empty])
    message = parse(octets)
    mac = protection.mac(mac_alg, covered(message) + tail)
    return octets[: len(octets) - len(mac)] + mac


def _check(message: MikeyMessage, protection: Protection, tail: bytes) -> None:
    if not protection.proves(message.need(v.V), covered(message) + tail):
        name = type_name(message.header.data_type)
        raise MikeyError(name, "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)


def _typed(octets: bytes, *expected: DataType) -> MikeyMessage:
    message = parse(octets)
    if message.header.data_type not in expected:
        raise MikeyError(
            "HDR",
            f"{type_name(message.header.data_type)} where {expected[0].name} is expected",
            field="data_type",
            error_no=ErrorNo.INVALID_DT,
        )
    return message


def _data(identity: v.Idr | None) -> bytes:
    return b"" if identity is None else identity.data


# Ticket Request and Ticket Resolve: a UE and its KMS, under a pre-shared key


class Asked(Struct, frozen=True):
    """A Request or Resolve message as the KMS got it, proved right."""

    message: MikeyMessage
    protection: Protection

    @property
    def psk_id(self) -> bytes:
        return _data(self.message.identity(IdRole.PSK))


def request_init(
    suite: Suite,
    psk: bytes,
    *,
    csb_id: int,
    timestamp: v.Timestamp,
    rand: bytes,
    initiator: v.Idr,
    kms: v.Idr,
    policy: v.TicketPolicy,
    psk_id: bytes,
) -> bytes:
    """REQUEST_INIT_PSK (RFC 6043 4.2.1.1): asks for a ticket with the wished policy."""
    header = v.Header(DataType.REQUEST_INIT_PSK, suite.prf, csb_id, MapType.EMPTY, expects_response=True)
    payloads: list[v.Payload] = [
        timestamp,
        v.Randr(RandRole.INITIATOR, rand),
        initiator,
        kms,
        policy,
        v.Idr(IdRole.PSK, IdType.BYTE_STRING, psk_id),
    ]
    protection = Protection(psk, suite.prf, csb_id, 1, rand)
    return _signed(header, payloads, protection, suite.mac_alg, initiator.data + kms.data)


def resolve_init(
    suite: Suite,
    psk: bytes,
    *,
    csb_id: int,
    timestamp: v.Timestamp,
    rand: bytes,
    responder: v.Idr,
    kms: v.Idr,
    ticket: v.Ticket,
    psk_id: bytes,
) -> bytes:
    """RESOLVE_INIT_PSK (RFC 6043 4.2.3.1): asks for the keys in a ticket."""
    header = v.Header(DataType.RESOLVE_INIT_PSK, suite.prf, csb_id, MapType.EMPTY, expects_response=True)
    payloads: list[v.Payload] = [
        timestamp,
        v.Randr(RandRole.RESPONDER, rand),
        responder,
        kms,
        ticket,
        v.Idr(IdRole.PSK, IdType.BYTE_STRING, psk_id),
    ]
    protection = Protection(psk, suite.prf, csb_id, 1, None, rand)
    return _signed(header, payloads, protection, suite.mac_alg, responder.data + kms.data)


def kms_protection(message: MikeyMessage, psk: bytes, phase: int) -> Protection:
    """Keys of a Request or Resolve (phase 1) and of its answer (phase 2), from pre-shared or envelope key."""
    header = message.header
    randi, randr = message.rand(RandRole.INITIATOR), message.rand(RandRole.RESPONDER)
    return Protection(psk, header.prf, header.csb_id, phase, randi, randr)


def check_asked(message: MikeyMessage, psk: bytes, kms: bytes, who: bytes = b"") -> Asked:
    """Check V of a REQUEST_INIT_PSK or RESOLVE_INIT_PSK; ``kms`` and ``who`` stand in for IDRkms and who asks."""
    resolving = message.header.data_type == DataType.RESOLVE_INIT_PSK
    asker = message.identity(IdRole.RESPONDER if resolving else IdRole.INITIATOR)
    named = message.identity(IdRole.KMS)
    tail = (who if asker is None else asker.data) + (kms if named is None else named.data)
    _check(message, kms_protection(message, psk, 1), tail)
    return Asked(message, kms_protection(message, psk, 2))


def _answer_header(asked: Asked, data_type: DataType) -> v.Header:
    header = asked.message.header
    return v.Header(data_type, header.prf, header.csb_id, header.map_type, header.sessions)


def request_resp(
    asked: Asked,
    suite: Suite,
    *,
    timestamp: v.Timestamp,
    kms: v.Idr,
    ticket: v.Ticket,
    keys: tuple[v.KeyData, ...],
) -> bytes:
    """REQUEST_RESP (RFC 6043 4.2.1.2): the ticket, and its keys for who asked."""
    kemac = asked.protection.seal(keys, suite.encr_alg, timestamp)
    payloads: list[v.Payload] = [timestamp, kms, ticket, kemac]
    header = _answer_header(asked, DataType.REQUEST_RESP)
    return _signed(header, payloads, asked.protection, suite.mac_alg, asked.message.octets)


def resolve_resp(
    asked: Asked,
    suite: Suite,
    *,
    timestamp: v.Timestamp,
    kms: v.Idr,
    keys: tuple[v.KeyData, ...],
    responder: v.Idr | None = None,
    modifier: bytes | None = None,
) -> bytes:
    """RESOLVE_RESP (RFC 6043 4.2.3.2): the keys, and with forking who they are bound to and by what."""
    payloads: list[v.Payload] = [timestamp, kms, asked.protection.seal(keys, suite.encr_alg, timestamp)]
    if responder is not None:
        payloads.append(responder)
    if modifier is not None:
        payloads.append(v.Randr(RandRole.KMS, modifier))
    header = _answer_header(asked, DataType.RESOLVE_RESP)
    return _signed(header, payloads, asked.protection, suite.mac_alg, asked.message.octets)


class Answered(Struct, frozen=True):
    """What a KMS answered: MPKs (one, or two with forking) and session keys; shows none of them."""

    message: MikeyMessage
    mpki: bytes
    mpkr: bytes | None
    keys: tuple[v.KeyData, ...]
    responder: v.Idr | None = None
    modifier: bytes | None = None

    @property
    def ticket(self) -> v.Ticket:
        return self.message.need(v.Ticket)

    def __repr__(self) -> str:
        return f"Answered(keys={len(self.keys)}, <redacted>)"


_QUESTIONS = (
    DataType.REQUEST_INIT_PSK,
    DataType.RESOLVE_INIT_PSK,
    DataType.REQUEST_INIT_PK,
    DataType.RESOLVE_INIT_PK,
)


def open_answer(octets: bytes, asked: bytes, psk: bytes) -> Answered:
    """Check and open a REQUEST_RESP or RESOLVE_RESP to the message that was sent; ``psk`` or the envelope key."""
    first = _typed(asked, *_QUESTIONS)
    message = _typed(octets, DataType.REQUEST_RESP, DataType.RESOLVE_RESP)
    if message.header.csb_id != first.header.csb_id:
        raise MikeyError("HDR", "the answer has another CSB ID", field="csb_id")
    protection = kms_protection(first, psk, 2)
    _check(message, protection, asked)
    keys = protection.open(message.need(v.Kemac), message.need(v.Timestamp), first.need(v.Timestamp))
    mpks = [key.key for key in keys if key.key_type == KeyType.MPK]
    if not mpks:
        raise MikeyError("KEMAC", "no MPK in the answer")
    return Answered(
        message,
        mpks[0],
        mpks[1] if len(mpks) > 1 else None,
        tuple(key for key in keys if key.key_type != KeyType.MPK),
        message.identity(IdRole.RESPONDER),
        message.rand(RandRole.KMS),
    )


def wished_keys(kemac: v.Kemac) -> tuple[v.KeyData, ...]:
    """The key data of the KEMAC in a wished policy: types, lengths and SPIs, the keys zero (RFC 6043 6.10)."""
    if kemac.encr_alg != EncrAlg.NULL:
        raise MikeyError("TP", "the KEMAC of a wish is not encrypted", field="encr_alg")
    return Protection(b"", PrfFunc.MIKEY_1, 0, 0).open(kemac, v.Timestamp(0, bytes(8)))


# Ticket Transfer: Initiator and Responder


class Offer(Struct, frozen=True, kw_only=True):
    """What a TRANSFER_INIT says, MAC and Initiator Data apart (RFC 6043 4.2.2.1)."""

    csb_id: int
    sessions: tuple[v.GenericSession, ...]
    timestamp: v.Timestamp
    rand: bytes
    initiator: v.Idr | None
    responder: v.Idr | None
    policies: tuple[v.Sp, ...]
    ticket: v.Ticket
    extensions: tuple[v.Extension, ...] = ()
    keys: tuple[v.KeyData, ...] = ()
    # Identities that the MAC covers when their payloads are left out.
    identities: bytes | None = None


def transfer_init(suite: Suite, mpki: bytes, offer: Offer, *, mpkr: bytes | None = None) -> bytes:
    """TRANSFER_INIT; with ``mpkr`` (forking) Initiator Data with Vi and Vr are put in (RFC 6043 5.1.5)."""
    flags = offer.ticket.policy.flags
    header = v.Header(DataType.TRANSFER_INIT, suite.prf, offer.csb_id, MapType.GENERIC_ID, offer.sessions, flags.f)
    protection = Protection(mpki, suite.prf, offer.csb_id, 1, offer.rand)
    ticket = structs.replace(offer.ticket, initiator_data=b"")
    payloads: list[v.Payload] = [offer.timestamp, v.Randr(RandRole.INITIATOR, offer.rand)]
    payloads += [each for each in (offer.initiator, offer.responder) if each is not None]
    payloads += [*offer.policies, *offer.extensions, ticket]
    if offer.keys:
        payloads.append(protection.seal(offer.keys, suite.encr_alg, offer.timestamp))
    tail = offer.identities
    if tail is None:
        tail = _data(offer.initiator) + _data(offer.responder)
    octets = _signed(header, payloads, protection, suite.mac_alg, tail)
    if mpkr is None:
        return octets
    verification = parse(octets).need(v.V)
    signed = structs.replace(ticket, initiator_data=_initiator_data(verification, mpkr, offer.ticket.policy.prf))
    payloads[payloads.index(ticket)] = signed
    return build(header, [*payloads, verification])


def _initiator_data(verification: v.V, mpkr: bytes, func: int) -> bytes:
    """First payload, Vi (a copy of V), and Vr under the MPKr that nobody but the owner of the ticket has."""
    empty = v.V(verification.auth_alg, bytes(len(verification.mac)))
    octets = bytes((PayloadType.V,)) + write_chain([verification, empty])
    covered_ = octets[: len(octets) - len(verification.mac)]
    return covered_ + _vr_protection(mpkr, func).mac(verification.auth_alg, covered_)


class _VrProtection(Protection, frozen=True):
    """The key of Vr has a label without RANDs, phase 4."""

    def key(self, constant: bytes, length: int) -> bytes:
        assert constant == prf.AUTH
        return prf.prf(self.func, self.inkey, prf.vr_label(), length)


def _vr_protection(mpkr: bytes, func: int) -> Protection:
    return _VrProtection(mpkr, func, 0, 4)


def read_initiator_data(ticket: v.Ticket) -> tuple[v.V, v.V]:
    """Vi and Vr. A copy of V that still says to be the last payload is taken as it is meant: Vr follows."""
    octets = ticket.initiator_data
    if octets[:2] == bytes((PayloadType.V, PayloadType.LAST)):
        octets = bytes((PayloadType.V, PayloadType.V)) + octets[2:]
    chain = read_nested(octets, "Initiator Data")
    checks = [each.value for each in chain if isinstance(each.value, v.V)]
    if len(checks) != 2 or chain[-1].value is not checks[1]:
        raise MikeyError("Initiator Data", "not Vi and Vr", error_no=ErrorNo.AUTH_FAILURE)
    return checks[0], checks[1]


def check_initiator_data(ticket: v.Ticket, keys: TicketKeys) -> None:
    """The KMS's check of Vr (RFC 6043 4.2.3.2): only the owner of the ticket could have made it."""
    _, vr = read_initiator_data(ticket)
    octets = ticket.initiator_data
    covered_ = octets[: len(octets) - len(vr.mac)]
    if not _vr_protection(keys.mpkr, ticket.policy.prf).proves(vr, covered_):
        raise MikeyError("Initiator Data", "Vr is wrong", error_no=ErrorNo.AUTH_FAILURE)


def check_vi(message: MikeyMessage) -> None:
    """The Responder's check with forking: Vi carries the MAC of this very message."""
    vi, _ = read_initiator_data(message.need(v.Ticket))
    if vi != message.need(v.V):
        raise MikeyError("Initiator Data", "Vi is not the MAC of the message", error_no=ErrorNo.AUTH_FAILURE)


def transfer_resp(
    suite: Suite,
    mpk: bytes,
    init: bytes,
    *,
    sessions: tuple[v.GenericSession, ...],
    timestamp: v.Timestamp,
    rand: bytes | None,
    responder: v.Idr | None,
    modifier: bytes | None = None,
    policies: tuple[v.Sp, ...] = (),
    keys: tuple[v.KeyData, ...] = (),
) -> bytes:
    """TRANSFER_RESP (RFC 6043 4.2.2.2); ``mpk`` is MPKi, or MPKr' with forking."""
    first = _typed(init, DataType.TRANSFER_INIT)
    header = v.Header(DataType.TRANSFER_RESP, first.header.prf, first.header.csb_id, MapType.GENERIC_ID, sessions)
    randi = first.rand(RandRole.INITIATOR)
    protection = Protection(mpk, first.header.prf, first.header.csb_id, 2, randi, rand)
    payloads: list[v.Payload] = [timestamp]
    if rand is not None:
        payloads.append(v.Randr(RandRole.RESPONDER, rand))
    if responder is not None:
        payloads.append(responder)
    if modifier is not None:
        payloads.append(v.Randr(RandRole.KMS, modifier))
    payloads += policies
    if keys:
        payloads.append(protection.seal(keys, suite.encr_alg, timestamp))
    return _signed(header, payloads, protection, suite.mac_alg, init)


def update_message(
    suite: Suite,
    mpk: bytes,
    init: bytes,
    response: bytes | None,
    *,
    data_type: DataType,
    sessions: tuple[v.GenericSession, ...],
    timestamp: v.Timestamp,
    identities: tuple[v.Idr, ...] = (),
    policies: tuple[v.Sp, ...] = (),
    keys: tuple[v.KeyData, ...] = (),
    wants_response: bool = True,
    tail: bytes | None = None,
) -> bytes:
    """A message of a CSB update (RFC 6043 6.1): no new RANDs, no ticket, keys of the initial exchange.

    ``init`` and ``response`` are those of the initial exchange. ``tail`` is the first message of the update
    for its response; by default the two identities of the initial exchange.
    """
    first = _typed(init, DataType.TRANSFER_INIT)
    second = None if response is None else _typed(response, DataType.TRANSFER_RESP)
    randr = None if second is None else second.rand(RandRole.RESPONDER)
    phase = 1 if second is None else 2
    randi = first.rand(RandRole.INITIATOR)
    protection = Protection(mpk, first.header.prf, first.header.csb_id, phase, randi, randr)
    expects = wants_response and data_type == DataType.TRANSFER_INIT
    header = v.Header(data_type, first.header.prf, first.header.csb_id, MapType.GENERIC_ID, sessions, expects)
    payloads: list[v.Payload] = [timestamp, *identities, *policies]
    if keys:
        payloads.append(protection.seal(keys, suite.encr_alg, timestamp))
    if tail is None:
        tail = _data(first.identity(IdRole.INITIATOR)) + _data(first.identity(IdRole.RESPONDER))
    return _signed(header, payloads, protection, suite.mac_alg, tail)


def error_message(
    faulty: bytes,
    error_no: ErrorNo,
    timestamp: v.Timestamp,
    protection: Protection | None = None,
    *,
    policies: tuple[v.Sp, ...] = (),
) -> bytes:
    """An Error message about another one (RFC 6043 5.4, 6.9); authenticated where keys are known.

    Of ``faulty`` only the fixed part of the header must be readable. ``policies`` are those supported instead.
    MikeyError: the message is an Error message itself, or no MIKEY at all.
    """
    about = peek(faulty)
    if about.data_type == DataType.ERROR:
        raise MikeyError("HDR", "no error about an error", field="data_type", error_no=ErrorNo.INVALID_DT)
    map_type = about.map_type if about.map_type in tuple(MapType) else MapType.EMPTY
    header = v.Header(DataType.ERROR, about.prf, about.csb_id, map_type)
    payloads: list[v.Payload] = [timestamp, v.Err(error_no), *policies]
    if protection is None:
        return build(header, payloads)
    mac_alg = MacAlg.HMAC_SHA_256_256 if about.prf == PrfFunc.HMAC_SHA_256 else MacAlg.HMAC_SHA_1_160
    return _signed(header, payloads, protection, mac_alg)

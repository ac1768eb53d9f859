"""The public-key modes: RFC 3830 3.2 (PK), and RFC 4738 (RSA-R), where the Responder sends the keys.

``PK: I = HDR, T, RAND, [IDi|CERTi], [IDr], {SP}, KEMAC, [CHASH], PKE, SIGNi; R = HDR, T, [IDr], V``
``RSA-R: I = HDR, T, [RAND], [IDi|CERTi], [IDr], {SP}, SIGNi``;
``R = HDR, [GenExt], T, [RAND], [IDr|CERTr], [SP], KEMAC, PKE, SIGNr``
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from imswire.mikey import certificates as c
from imswire.mikey import classic
from imswire.mikey import values as v
from imswire.mikey.classic import PlainProtection, PlainSessionKey
from imswire.mikey.errors import MikeyError
from imswire.mikey.exchange import Suite
from imswire.mikey.message import MikeyMessage, build
from imswire.mikey.numbers import DataType, ErrorNo, ExtensionType, PayloadType, SignType
from imswire.mikey.payloads import Placed


class OpenedPk(Struct, frozen=True):
    """A message that brought keys under an envelope key, proved right; shows no key.

    ``sender`` is the identity that stands encrypted beside the keys.
    """

    message: MikeyMessage
    sender: v.Id | None
    keys: tuple[v.KeyData, ...]
    protection: PlainProtection

    def __repr__(self) -> str:
        return f"OpenedPk(keys={len(self.keys)}, <redacted>)"


# PK


def pk_init(
    suite: Suite,
    signer: c.PrivateKey,
    responder: c.PublicKey,
    envelope_key: bytes,
    header: v.Header,
    payloads: list[v.Payload],
    keys: tuple[v.KeyData, ...],
    *,
    sender: v.Id,
    chash: v.Chash | None = None,
    rand: bytes | None = None,
    oaep: bool = False,
) -> bytes:
    """I_MESSAGE of PK; ``payloads`` are T to SP, ``chash`` names the certificate of ``responder``.

    ``rand`` is that of the first message, for an update without one; an update without ``keys`` has no KEMAC
    (RFC 3830 4.5).
    """
    protection = _protection(header, payloads, envelope_key, rand)
    tail: list[v.Payload] = [] if chash is None else [chash]
    if keys or rand is None:
        tail.insert(0, _transported(suite, protection, payloads, sender, keys))
    return signed(header, [*payloads, *tail, c.wrap_envelope(responder, envelope_key, oaep=oaep)], signer)


def open_pk_init(
    octets: bytes,
    key: c.PrivateKey,
    initiator: c.PublicKey,
    *,
    envelope_octets: int = 16,
    rand: bytes | None = None,
    oaep: bool = False,
    accepts_sha_1: bool = False,
) -> OpenedPk:
    """Check and open an I_MESSAGE of PK. MikeyError: it does not prove right.

    ``rand`` is that of the first message: an update has none, and no KEMAC when it brings no keys.
    """
    message = classic.typed(octets, DataType.PK_INIT)
    check_signature(message, initiator, accepts_sha_1=accepts_sha_1)
    envelope_key = c.unwrap_envelope(key, message.need(v.Pke), envelope_octets, oaep=oaep)
    protection = classic.protection(message, envelope_key, rand)
    if message.first(v.Rand) is None and message.first(v.Kemac) is None:
        return OpenedPk(message, None, (), protection)
    return _opened(message, protection)


def pk_resp(suite: Suite, opened: OpenedPk, *, idi: bytes, idr: bytes, named: v.Id | None = None) -> bytes:
    """R_MESSAGE of PK: the Responder could open the envelope."""
    return classic.verification(opened.message, DataType.PK_RESP, opened.protection, suite.mac_alg, idi + idr, named)


def check_pk_resp(
    octets: bytes, init: bytes, envelope_key: bytes, *, idi: bytes, idr: bytes, rand: bytes | None = None
) -> MikeyMessage:
    """The Initiator's check of R_MESSAGE; ``rand`` is that of the first message, when ``init`` is an update."""
    message = classic.typed(init, DataType.PK_INIT)
    keys = classic.protection(message, envelope_key, rand)
    return classic.check_verification(octets, message, DataType.PK_RESP, keys, idi + idr)


# RSA-R


def rsa_r_init(header: v.Header, payloads: list[v.Payload], signer: c.PrivateKey) -> bytes:
    """I_MESSAGE of RSA-R: asks for keys; ``payloads`` are T to SP."""
    return signed(header, payloads, signer)


def check_rsa_r_init(octets: bytes, initiator: c.PublicKey, *, accepts_sha_1: bool = False) -> MikeyMessage:
    message = classic.typed(octets, DataType.RSA_R_INIT)
    check_signature(message, initiator, accepts_sha_1=accepts_sha_1)
    return message


def rsa_r_resp(
    suite: Suite,
    init: bytes,
    signer: c.PrivateKey,
    initiator: c.PublicKey,
    envelope_key: bytes,
    header: v.Header,
    payloads: list[v.Payload],
    keys: tuple[v.KeyData, ...],
    *,
    idi: bytes,
    sender: v.Id,
    oaep: bool = False,
) -> bytes:
    """R_MESSAGE of RSA-R with the keys; ``payloads`` are those before KEMAC, T the Initiator's."""
    asked = classic.typed(init, DataType.RSA_R_INIT)
    protection = _protection(header, payloads, envelope_key, _rand(asked))
    kemac = _transported(suite, protection, payloads, sender, keys)
    pke = c.wrap_envelope(initiator, envelope_key, oaep=oaep)
    covered = build(header, [*payloads, kemac, pke], PayloadType.SIGN)
    added = idi + sender.data + asked.need(v.Timestamp).value
    return covered + _sign(signer, covered + added)


def open_rsa_r_resp(
    octets: bytes,
    init: bytes,
    key: c.PrivateKey,
    responder: c.PublicKey,
    *,
    idi: bytes,
    envelope_octets: int = 16,
    oaep: bool = False,
    accepts_sha_1: bool = False,
) -> OpenedPk:
    """Check and open R_MESSAGE of RSA-R. MikeyError: not the answer to ``init``, or not proved right.

    The signature covers the message without its SIGN payload, then IDi, IDr and T (RFC 4738 4.4.1).
    """
    asked = classic.typed(init, DataType.RSA_R_INIT)
    message = classic.typed(octets, DataType.RSA_R_RESP)
    if message.need(v.Timestamp) != asked.need(v.Timestamp) or not _same_bundle(message, asked):
        raise MikeyError("RSA_R_RESP", "not the answer to that message", error_no=ErrorNo.AUTH_FAILURE)
    envelope_key = c.unwrap_envelope(key, message.need(v.Pke), envelope_octets, oaep=oaep)
    opened = _opened(message, classic.protection(message, envelope_key, _rand(asked)))
    placed = _signature(message)
    covered = message.octets[: placed.offset]
    idr = b"" if opened.sender is None else opened.sender.data
    sign = message.need(v.Sign)
    c.verify(responder, sign, covered + idi + idr + message.need(v.Timestamp).value, c.accepted(sha_1=accepts_sha_1))
    return opened


def _same_bundle(message: MikeyMessage, asked: MikeyMessage) -> bool:
    """The CSB ID of the Initiator; in group mode another one, which the extension names (RFC 4738 4.2)."""
    for each in message.all(v.Extension):
        if each.extension == ExtensionType.CSB_ID:
            return int.from_bytes(each.data, "big") == message.header.csb_id
    return message.header.csb_id == asked.header.csb_id


def session_keys(opened: OpenedPk, policies: dict[int, v.Sp] | None = None) -> tuple[PlainSessionKey, ...]:
    """Keys of the crypto sessions; with RSA-R the policies may stand in the I_MESSAGE."""
    return classic.session_keys(opened.message, opened.keys, opened.protection.randi or b"", policies)


# Both


def signed(header: v.Header, payloads: list[v.Payload], signer: c.PrivateKey) -> bytes:
    """A message with SIGN last, which covers all before its value (RFC 3830 5.2)."""
    empty = v.Sign(SignType.RSA_PKCS1, bytes(c.signature_octets(signer)))
    octets = build(header, [*payloads, empty])
    unsigned = octets[: len(octets) - len(empty.signature)]
    return unsigned + c.sign(signer, unsigned)


def check_signature(message: MikeyMessage, key: c.PublicKey, *, accepts_sha_1: bool = False) -> None:
    """SIGN of a message whose signature covers all before its value."""
    _signature(message)
    sign = message.need(v.Sign)
    unsigned = message.octets[: len(message.octets) - len(sign.signature)]
    c.verify(key, sign, unsigned, c.accepted(sha_1=accepts_sha_1))


def _signature(message: MikeyMessage) -> Placed:
    placed = message.placed(PayloadType.SIGN)
    if placed is None:
        raise MikeyError("SIGN", "missing", error_no=ErrorNo.AUTH_FAILURE)
    return placed


def _sign(signer: c.PrivateKey, octets: bytes) -> bytes:
    value = c.sign(signer, octets)
    return (SignType.RSA_PKCS1 << 12 | len(value)).to_bytes(2, "big") + value


def _rand(message: MikeyMessage) -> bytes | None:
    found = message.first(v.Rand)
    return None if found is None else found.rand


def _protection(
    header: v.Header, payloads: Sequence[v.Payload], envelope_key: bytes, rand: bytes | None
) -> PlainProtection:
    own = next((each.rand for each in payloads if isinstance(each, v.Rand)), rand)
    return PlainProtection(envelope_key, header.prf, header.csb_id, 0, own)


def _transported(
    suite: Suite,
    protection: PlainProtection,
    payloads: Sequence[v.Payload],
    sender: v.Id,
    keys: tuple[v.KeyData, ...],
) -> v.Kemac:
    """KEMAC with the sender's identity and the keys."""
    timestamp = next(each for each in payloads if isinstance(each, v.Timestamp))
    kemac = classic.sealed(protection, [sender, *keys], suite.encr_alg, suite.mac_alg, timestamp)
    return classic.with_own_mac(protection, kemac)


def _opened(message: MikeyMessage, protection: PlainProtection) -> OpenedPk:
    kemac = message.need(v.Kemac)
    classic.check_own_mac(protection, kemac)
    plain = classic.opened(protection, kemac, message.need(v.Timestamp), PayloadType.ID)
    sender = next((each for each in plain if isinstance(each, v.Id)), None)
    return OpenedPk(message, sender, classic.key_data(plain), protection)

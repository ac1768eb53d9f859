"""MIKEY-SAKKE (RFC 6509): one message that carries a key to an identity; opened by its receiver or its receiver's KMS.

``I_MESSAGE = HDR, T, RAND, [IDRi], [IDRr], [IDRkmsi], [IDRkmsr], {SP}, SAKKE, SIGN``
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

from msgspec import Struct

from imswire.mikey import eccsi, prf, sakke
from imswire.mikey import values as v
from imswire.mikey.curve import Point
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import MikeyMessage, build, parse
from imswire.mikey.numbers import DataType, ErrorNo, IdRole, PayloadType, SignType

PARAMETER_SET_1 = 1
SCHEME_MONTHLY = 1
SCHEME_UID = 2

_UID_NAME = b"MIKEY-SAKKE-UID"
_LATEST = 253_402_300_799  # the end of the year 9999


# Identifiers


def monthly_identifier(uri: str, timestamp: v.Timestamp) -> bytes:
    """Identifier scheme 1 (RFC 6509 3.2): year and month of the message, and the URI; each ends with a zero octet."""
    told = timestamp.unix_ns
    if told is None or not 0 <= told // 1_000_000_000 <= _LATEST:
        raise MikeyError("T", "no time that has a month", error_no=ErrorNo.INVALID_TS)
    day = date(1970, 1, 1) + timedelta(seconds=told // 1_000_000_000)
    month = f"{day.year:04}-{day.month:02}"
    return month.encode() + b"\0" + uri.encode("utf-8", "surrogateescape") + b"\0"


def uid(uri: str, kms: str, period: int, offset: int, number: int) -> bytes:
    """Identifier scheme 2 as implementations of 3GPP TS 33.180 make it: SHA-256 over six parameters.

    ``period`` and ``offset`` in seconds; ``number`` counts periods.
    """
    parts = [_UID_NAME, uri.encode(), kms.encode(), *(_shortest(each) for each in (period, offset, number))]
    return hashlib.sha256(b"\0" + b"".join(part + len(part).to_bytes(2, "big") for part in parts)).digest()


def _shortest(number: int) -> bytes:
    return number.to_bytes(max(-(-number.bit_length() // 8), 1), "big")


def identifiers(message: MikeyMessage) -> tuple[bytes | None, bytes | None]:
    """The identifiers of initiator and responder that the message itself names; None: it does not."""
    scheme = message.need(v.Sakke).id_scheme
    timestamp = message.need(v.Timestamp)
    found: list[bytes | None] = []
    for role, uid_role in ((IdRole.INITIATOR, IdRole.UID_INITIATOR), (IdRole.RESPONDER, IdRole.UID_RESPONDER)):
        named, hashed = message.identity(role), message.identity(uid_role)
        if scheme == SCHEME_MONTHLY and named is not None:
            found.append(monthly_identifier(named.data.decode("utf-8", "surrogateescape"), timestamp))
        elif scheme == SCHEME_UID and hashed is not None:
            found.append(hashed.data)
        else:
            found.append(None)
    return found[0], found[1]


# Opening


class Opened(Struct, frozen=True):
    """A message that was opened: the shared secret, which is its TGK; shows it not."""

    message: MikeyMessage
    ssv: bytes

    def __repr__(self) -> str:
        return "Opened(<redacted>)"

    def session_key(self, cs_id: int, octets: int = 16) -> bytes:
        """TEK of a crypto session (RFC 6509 2.2: derived as in RFC 3830)."""
        return self._derived(prf.TEK, cs_id, octets)

    def session_salt(self, cs_id: int, octets: int = 14) -> bytes:
        return self._derived(prf.SALT_FROM_TGK, cs_id, octets)

    def _derived(self, constant: bytes, cs_id: int, octets: int) -> bytes:
        header = self.message.header
        label = prf.plain_session_label(constant, cs_id, header.csb_id, self.message.need(v.Rand).rand)
        return prf.prf(header.prf, self.ssv, label, octets)


def open_with_master(message: MikeyMessage, secret: sakke.MasterSecret, identifier: bytes | None = None) -> Opened:
    """Open a message as the receiver's KMS can; ``identifier`` is the receiver's when the message does not tell."""
    identifier = _receiver(message, identifier)
    return open_with_key(message, secret.receiver_key(identifier), secret.public, identifier)


def open_with_key(message: MikeyMessage, key: Point, public: Point, identifier: bytes | None = None) -> Opened:
    """Open a message with the receiver's own key; ``public`` is that of its KMS. MikeyError: it does not prove right.

    A SIGN payload is not looked at: see :func:`check_signature`.
    """
    payload = _sakke(message)
    return Opened(message, sakke.decapsulate(payload.data, _receiver(message, identifier), key, public))


def check_signature(message: MikeyMessage, kpak: Point, identifier: bytes | None = None) -> None:
    """ECCSI signature of the initiator over the message up to the signature's value. MikeyError: wrong or missing."""
    placed = message.placed(PayloadType.SIGN)
    if placed is None:
        raise MikeyError("SIGN", "missing", error_no=ErrorNo.AUTH_FAILURE)
    assert isinstance(placed.value, v.Sign)
    if placed.value.sign_type != SignType.ECCSI:
        raise MikeyError("SIGN", f"type {placed.value.sign_type} is not ECCSI", error_no=ErrorNo.AUTH_FAILURE)
    if identifier is None:
        identifier, _ = identifiers(message)
    if identifier is None:
        raise MikeyError("IDR", "the message does not say who sent it", error_no=ErrorNo.INVALID_ID)
    signature = placed.value.signature
    eccsi.verify(message.octets[: len(message.octets) - len(signature)], signature, identifier, kpak)


def _sakke(message: MikeyMessage) -> v.Sakke:
    if message.header.data_type != DataType.SAKKE:
        raise MikeyError("HDR", "no SAKKE message", field="data_type", error_no=ErrorNo.INVALID_DT)
    payload = message.need(v.Sakke)
    if payload.params != PARAMETER_SET_1:
        raise MikeyError("SAKKE", f"parameter set {payload.params} is not known", field="params")
    return payload


def _receiver(message: MikeyMessage, identifier: bytes | None) -> bytes:
    _sakke(message)
    found = identifiers(message)[1] if identifier is None else identifier
    if found is None:
        raise MikeyError("IDR", "the message does not say whom it is for", error_no=ErrorNo.INVALID_ID)
    return found


# Building


def i_message(
    header: v.Header,
    payloads: list[v.Payload],
    ssv: bytes,
    public: Point,
    signer: tuple[eccsi.SigningKey, Point],
    j: int,
) -> bytes:
    """I_MESSAGE under scheme 1: ``payloads`` are T to SP, both identities among them.

    ``signer``: the initiator's key and the KPAK of its KMS; ``j`` is random and used once.
    """
    empty = v.Sign(SignType.ECCSI, bytes(eccsi.SIGNATURE_OCTETS))
    draft = build(header, [*payloads, v.Sakke(PARAMETER_SET_1, SCHEME_MONTHLY, b""), empty])
    initiator, responder = identifiers(parse(draft))
    if initiator is None or responder is None:
        raise MikeyError("IDR", "both identities are needed")
    data = sakke.encapsulate(ssv, responder, public)
    octets = build(header, [*payloads, v.Sakke(PARAMETER_SET_1, SCHEME_MONTHLY, data), empty])
    unsigned = octets[: len(octets) - eccsi.SIGNATURE_OCTETS]
    key, kpak = signer
    return unsigned + eccsi.sign(unsigned, key, initiator, kpak, j)

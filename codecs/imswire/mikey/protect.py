"""Encryption of KEMACs and MACs over messages (RFC 3830 4.2, 5.2; RFC 6043 5.1.2, 5.3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Struct

from imswire.mikey import prf
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.keywrap import key_wrap
from imswire.mikey.message import MikeyMessage
from imswire.mikey.numbers import (
    ENCR_KEY_OCTETS,
    MAC_OCTETS,
    DataType,
    EncrAlg,
    ErrorNo,
    IdRole,
    MacAlg,
    PayloadType,
    RandRole,
)
from imswire.mikey.payloads import read_chain, write_chain

SALT_OCTETS = 14
KW_SALT_OCTETS = 8
TICKET_CSB_ID = 0xFFFFFFFF


class Protection(Struct, frozen=True):
    """What the keys of one message or of a ticket come from: a key, a PRF, and how labels are made."""

    inkey: bytes
    func: int
    csb_id: int
    phase: int
    randi: bytes | None = None
    randr: bytes | None = None
    # The base ticket has labels of its own (phase 5), with one RAND.
    ticket_rand: bytes | None = None

    def key(self, constant: bytes, length: int) -> bytes:
        if self.ticket_rand is not None:
            label = prf.ticket_label(constant, self.ticket_rand)
        else:
            label = prf.message_label(constant, self.csb_id, self.phase, self.randi, self.randr)
        return prf.prf(self.func, self.inkey, label, length)

    def __repr__(self) -> str:
        return f"Protection(csb_id={self.csb_id:#010x}, phase={self.phase}, <redacted>)"

    # Encryption

    def seal(self, keys: tuple[v.KeyData, ...] | list[v.KeyData], encr_alg: int, timestamp: v.Timestamp) -> v.Kemac:
        """A KEMAC with the keys, encrypted under the timestamp of the message that will carry it."""
        plain = write_chain(list(keys))
        return v.Kemac(encr_alg, self.crypt(plain, encr_alg, timestamp, wrap=True))

    def open(self, kemac: v.Kemac, *timestamps: v.Timestamp) -> tuple[v.KeyData, ...]:
        """The keys of a KEMAC; several timestamps are tried in turn, since senders differ in which one they use."""
        failure = MikeyError("KEMAC", "nothing to decrypt with")
        for timestamp in timestamps:
            try:
                plain = self.crypt(kemac.encr_data, kemac.encr_alg, timestamp, wrap=False)
                return _keys(plain)
            except MikeyError as error:
                failure = error
        raise failure

    def crypt(self, octets: bytes, encr_alg: int, timestamp: v.Timestamp, *, wrap: bool = True) -> bytes:
        """Encrypted or decrypted octets; ``wrap`` tells AES key wrap which of the two."""
        if encr_alg == EncrAlg.NULL:
            return octets
        if encr_alg in (EncrAlg.AES_CM_128, EncrAlg.AES_CM_256):
            key = self.key(prf.ENCR, ENCR_KEY_OCTETS[EncrAlg(encr_alg)])
            counter = iv(self.key(prf.SALT, SALT_OCTETS), self.csb_id, timestamp)
            cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
            return cipher.update(octets) + cipher.finalize()
        if encr_alg == EncrAlg.AES_KW_128:
            return key_wrap(self.key(prf.ENCR, 16), self.key(prf.SALT, KW_SALT_OCTETS), octets, wrap=wrap)
        raise MikeyError(
            "KEMAC",
            f"encryption algorithm {encr_alg} is not known",
            field="encr_alg",
            error_no=ErrorNo.INVALID_EA,
        )

    # Authentication

    def mac(self, auth_alg: int, octets: bytes) -> bytes:
        """MAC over ``octets``."""
        digest = _DIGESTS.get(auth_alg)
        if digest is None:
            raise MikeyError(
                "V",
                f"MAC algorithm {auth_alg} gives no proof",
                field="auth_alg",
                error_no=ErrorNo.INVALID_MAC,
            )
        return hmac.digest(self.key(prf.AUTH, MAC_OCTETS[MacAlg(auth_alg)]), octets, digest)

    def proves(self, verification: v.V, octets: bytes) -> bool:
        """Whether a V payload is right; compared in constant time."""
        return hmac.compare_digest(self.mac(verification.auth_alg, octets), verification.mac)


_DIGESTS: dict[int, Callable[..., Any]] = {MacAlg.HMAC_SHA_1_160: hashlib.sha1, MacAlg.HMAC_SHA_256_256: hashlib.sha256}


def iv(salt: bytes, csb_id: int, timestamp: v.Timestamp) -> bytes:
    """Initial counter block of AES-CM: (S xor (0000 || CSB ID || T)) || 0000 (RFC 3830 4.2.3)."""
    mask = b"\0\0" + csb_id.to_bytes(4, "big") + timestamp.for_iv
    return bytes(a ^ b for a, b in zip(salt, mask, strict=True)) + b"\0\0"


def _keys(plain: bytes) -> tuple[v.KeyData, ...]:
    """Key data payloads; ID payloads before them (RFC 3830 3.2) are skipped."""
    if not plain:
        return ()
    chain = read_chain(plain, PayloadType.KEY_DATA, within="KEMAC")
    return tuple(each.value for each in chain if isinstance(each.value, v.KeyData))


# MAC coverage (RFC 6043 5.3): a message up to its MAC value, with what its kind adds.


def covered(message: MikeyMessage) -> bytes:
    """Octets up to the MAC value; TRANSFER_INIT without length and content of the Initiator Data."""
    placed = message.placed(PayloadType.V)
    if placed is None or message.payloads[-1] is not placed:
        raise MikeyError("V", "missing, or not the last payload", error_no=ErrorNo.AUTH_FAILURE)
    assert isinstance(placed.value, v.V)
    octets = message.octets[: len(message.octets) - len(placed.value.mac)]
    ticket = message.placed(PayloadType.TICKET)
    if ticket is None or message.header.data_type != DataType.TRANSFER_INIT:
        return octets
    assert isinstance(ticket.value, v.Ticket)
    end = ticket.offset + len(ticket.octets)
    return octets[: end - 2 - len(ticket.value.initiator_data)] + octets[end:]


def initiator_protection(message: MikeyMessage, mpki: bytes) -> Protection:
    """Keys of TRANSFER_INIT: phase 1, RANDRi only."""
    header = message.header
    return Protection(mpki, header.prf, header.csb_id, 1, message.rand(RandRole.INITIATOR))


def response_protection(init: MikeyMessage, resp: MikeyMessage, mpk: bytes) -> Protection:
    """Keys of TRANSFER_RESP: phase 2, RANDRi of the first message, RANDRr of this one."""
    return Protection(
        mpk,
        init.header.prf,
        init.header.csb_id,
        2,
        init.rand(RandRole.INITIATOR),
        resp.rand(RandRole.RESPONDER),
    )


def identity_data(message: MikeyMessage, role: IdRole) -> bytes | None:
    found = message.identity(role)
    return None if found is None else found.data

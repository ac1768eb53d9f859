"""The Diffie-Hellman modes: signed (RFC 3830 3.3) and authenticated by a pre-shared key (RFC 4650).

``DH: I = HDR, T, RAND, [IDi|CERTi], [IDr], {SP}, DHi, SIGNi; R = HDR, T, [IDr|CERTr], IDi, DHr, DHi, SIGNr``
``DHHMAC: the same with KEMAC, which holds a MAC alone, in the place of SIGN.``
An update (RFC 3830 4.5) has no RAND: its keys are made with that of the first message, or it brings no DH values.
No third party can derive the keys: what is here serves the two ends.
"""

from __future__ import annotations

from typing import NamedTuple

from imswire.mikey import certificates as c
from imswire.mikey import classic, public_key
from imswire.mikey import values as v
from imswire.mikey.classic import PlainProtection, PlainSessionKey
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import MikeyMessage
from imswire.mikey.numbers import DH_OCTETS, DataType, EncrAlg, ErrorNo, KeyType

OAKLEY_5, OAKLEY_1, OAKLEY_2 = 0, 1, 2
GENERATOR = 2

_COMMON = (
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A6"
)
# RFC 2409 6.1, 6.2; RFC 3526 2. The prime of each group begins with the same digits of pi.
PRIMES: dict[int, int] = {
    OAKLEY_1: int(_COMMON + "3A3620FFFFFFFFFFFFFFFF", 16),
    OAKLEY_2: int(
        _COMMON + "37ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF", 16
    ),
    OAKLEY_5: int(
        _COMMON + "37ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA4836"
        "1C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327"
        "FFFFFFFFFFFFFFFF",
        16,
    ),
}


class Secret(NamedTuple):
    """x and the group it is used in; shows not x."""

    group: int
    exponent: int

    def __repr__(self) -> str:
        return f"Secret(group={self.group}, <redacted>)"

    @property
    def public(self) -> v.Dh:
        """The DH payload with g^x."""
        prime = _prime(self.group)
        return v.Dh(self.group, pow(GENERATOR, self.exponent, prime).to_bytes(DH_OCTETS[self.group], "big"))

    def shared(self, other: v.Dh) -> v.KeyData:
        """g^(xi xr) as a TGK. MikeyError: another group, or a value that gives no secret."""
        if other.group != self.group:
            raise MikeyError("DH", f"group {other.group}, not {self.group}", error_no=ErrorNo.INVALID_DH)
        prime = _prime(self.group)
        value = int.from_bytes(other.value, "big")
        if not 1 < value < prime - 1:
            raise MikeyError("DH", "the value gives no secret", error_no=ErrorNo.INVALID_DH)
        key = pow(value, self.exponent, prime).to_bytes(DH_OCTETS[self.group], "big")
        return v.KeyData(KeyType.TGK, key, validity=other.validity)


def _prime(group: int) -> int:
    if group not in PRIMES:
        raise MikeyError("DH", f"group {group} is not known", error_no=ErrorNo.INVALID_DH)
    return PRIMES[group]


def session_keys(
    init: MikeyMessage, answer: MikeyMessage | None, tgk: v.KeyData, *, rand: bytes | None = None
) -> tuple[PlainSessionKey, ...]:
    """Keys of the crypto sessions; the map of the answer fills in what the Initiator left open.

    ``rand`` is that of the first message, when ``init`` is an update.
    """
    own = init.need(v.Rand).rand if rand is None else rand
    return classic.session_keys(init if answer is None else answer, (tgk,), own, init.policies)


# Signed


def dh_init(header: v.Header, payloads: list[v.Payload], mine: v.Dh | None, signer: c.PrivateKey) -> bytes:
    """I_MESSAGE; ``payloads`` are T to SP; an update may come without a DH value."""
    return public_key.signed(header, _with_value(payloads, mine), signer)


def dh_resp(header: v.Header, payloads: list[v.Payload], mine: v.Dh | None, init: bytes, signer: c.PrivateKey) -> bytes:
    """R_MESSAGE; ``payloads`` are T to IDi; both DH values follow, or none to an update without one."""
    theirs = values(check_dh_init(init, None))
    return public_key.signed(header, [*_with_value(payloads, mine), *theirs], signer)


def check_dh_init(octets: bytes, initiator: c.PublicKey | None, *, accepts_sha_1: bool = False) -> MikeyMessage:
    """I_MESSAGE; without a key its signature is not looked at."""
    message = classic.typed(octets, DataType.DH_INIT)
    if initiator is not None:
        public_key.check_signature(message, initiator, accepts_sha_1=accepts_sha_1)
    return _offers(message)


def check_dh_resp(octets: bytes, init: bytes, responder: c.PublicKey, *, accepts_sha_1: bool = False) -> MikeyMessage:
    """R_MESSAGE to ``init``. MikeyError: another T or DH value, or not proved right."""
    message = classic.typed(octets, DataType.DH_RESP)
    public_key.check_signature(message, responder, accepts_sha_1=accepts_sha_1)
    return _answers(message, check_dh_init(init, None))


def values(message: MikeyMessage) -> tuple[v.Dh, ...]:
    """DHi; or DHr and DHi; none in an update without."""
    return message.all(v.Dh)


# DHHMAC


def dhhmac_init(
    header: v.Header,
    payloads: list[v.Payload],
    mine: v.Dh | None,
    psk: bytes,
    mac_alg: int,
    *,
    rand: bytes | None = None,
) -> bytes:
    """I_MESSAGE of DHHMAC; ``payloads`` are T to SP; ``rand`` is that of the first message, for an update."""
    own = next((each.rand for each in payloads if isinstance(each, v.Rand)), rand)
    return _with_mac(header, _with_value(payloads, mine), psk, own, mac_alg)


def dhhmac_resp(
    header: v.Header,
    payloads: list[v.Payload],
    mine: v.Dh | None,
    init: bytes,
    psk: bytes,
    mac_alg: int,
    *,
    rand: bytes | None = None,
) -> bytes:
    """R_MESSAGE of DHHMAC; ``payloads`` are T to IDi."""
    asked = check_dhhmac_init(init, psk, rand=rand)
    return _with_mac(header, [*_with_value(payloads, mine), *values(asked)], psk, _rand(asked, rand), mac_alg)


def check_dhhmac_init(octets: bytes, psk: bytes, *, rand: bytes | None = None) -> MikeyMessage:
    """I_MESSAGE of DHHMAC; ``rand`` is that of the first message, for an update. MikeyError: not proved right."""
    message = classic.typed(octets, DataType.DHHMAC_INIT)
    classic.check_mac_last(message, classic.protection(message, psk, rand))
    return _offers(message)


def check_dhhmac_resp(octets: bytes, init: bytes, psk: bytes, *, rand: bytes | None = None) -> MikeyMessage:
    """R_MESSAGE to ``init``. MikeyError: another T or DH value, or not proved right."""
    asked = check_dhhmac_init(init, psk, rand=rand)
    message = classic.typed(octets, DataType.DHHMAC_RESP)
    classic.check_mac_last(message, classic.protection(message, psk, _rand(asked, rand)))
    return _answers(message, asked)


def _rand(asked: MikeyMessage, rand: bytes | None) -> bytes | None:
    own = asked.first(v.Rand)
    return rand if own is None else own.rand


def _with_mac(header: v.Header, payloads: list[v.Payload], psk: bytes, rand: bytes | None, mac_alg: int) -> bytes:
    protection = PlainProtection(psk, header.prf, header.csb_id, 0, rand)
    kemac = v.Kemac(EncrAlg.NULL, b"", mac_alg, classic.empty_mac(mac_alg))
    return classic.mac_last(header, payloads, protection, kemac)


# Both


def _with_value(payloads: list[v.Payload], mine: v.Dh | None) -> list[v.Payload]:
    return payloads if mine is None else [*payloads, mine]


def _offers(message: MikeyMessage) -> MikeyMessage:
    """A first message offers one DH value; an update may have none (RFC 3830 4.5)."""
    if len(values(message)) > 1 or (not values(message) and message.first(v.Rand) is not None):
        raise MikeyError("DH", "not one value in the first message", error_no=ErrorNo.INVALID_DH)
    return message


def _answers(message: MikeyMessage, asked: MikeyMessage) -> MikeyMessage:
    offered = values(asked)
    same = (
        message.header.csb_id == asked.header.csb_id
        and message.need(v.Timestamp) == asked.need(v.Timestamp)
        and len(values(message)) == 2 * len(offered)
        and values(message)[1:] == offered
    )
    if not same:
        raise MikeyError("DH", "not the answer to that message", error_no=ErrorNo.AUTH_FAILURE)
    return message

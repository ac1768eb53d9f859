"""What the modes of RFC 3830 have in common: protection without phases, KEMAC with a MAC, session keys.

The modes themselves: :mod:`imswire.mikey.psk`, :mod:`imswire.mikey.public_key`, :mod:`imswire.mikey.dh`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from msgspec import Struct

from imswire.mikey import prf
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import MikeyMessage, build, parse, type_name
from imswire.mikey.numbers import (
    AEAD_CIPHERS,
    MAC_OCTETS,
    TEKS,
    DataType,
    EncrAlg,
    ErrorNo,
    KeyType,
    KvType,
    MacAlg,
    PayloadType,
    ProtType,
    SpParam,
)
from imswire.mikey.payloads import read_chain, write_chain, write_payload
from imswire.mikey.protect import Protection, covered

KEY_OCTETS, SALT_OCTETS, AEAD_SALT_OCTETS = 16, 14, 12
MAX_KEY_OCTETS = 32
_KEPT = frozenset(KeyType) - {KeyType.MPK, KeyType.K_PR}


class PlainProtection(Protection, frozen=True):
    """Keys of a message from a pre-shared or envelope key (RFC 3830 4.1.4); ``randi`` is its RAND."""

    def key(self, constant: bytes, length: int) -> bytes:
        return prf.prf(self.func, self.inkey, prf.plain_message_label(constant, self.csb_id, self.randi or b""), length)


def protection(message: MikeyMessage, inkey: bytes, rand: bytes | None = None) -> PlainProtection:
    """Protection of a message; ``rand`` when the RAND stands in the message that it answers."""
    header = message.header
    found = message.first(v.Rand)
    value = found.rand if found is not None else rand
    if value is None:
        raise MikeyError("RAND", "missing", error_no=ErrorNo.UNSPECIFIED)
    return PlainProtection(inkey, header.prf, header.csb_id, 0, value)


def typed(octets: bytes, expected: DataType) -> MikeyMessage:
    """A message of one type; MikeyError: another, or none."""
    message = parse(octets)
    if message.header.data_type != expected:
        raise MikeyError(
            "HDR",
            f"{type_name(message.header.data_type)} where {expected.name} is expected",
            field="data_type",
            error_no=ErrorNo.INVALID_DT,
        )
    return message


# KEMAC


def empty_mac(mac_alg: int) -> bytes:
    return bytes(MAC_OCTETS[MacAlg(mac_alg)])


def mac_last(header: v.Header, payloads: list[v.Payload], keys: PlainProtection, kemac: v.Kemac) -> bytes:
    """A message whose KEMAC is last: its MAC covers the whole message (RFC 3830 5.2, 6.2)."""
    octets = build(header, [*payloads, kemac])
    unsigned = octets[: len(octets) - len(kemac.mac)]
    return unsigned + keys.mac(kemac.mac_alg, unsigned)


def check_mac_last(message: MikeyMessage, keys: PlainProtection, *, accepts_null: bool = False) -> v.Kemac:
    """The KEMAC at the end of a message, whose MAC proves right.

    ``accepts_null``: also one with neither encryption nor MAC, where something else has protected the message
    (RFC 3830 4.2.4).
    """
    last = message.payloads[-1].value if message.payloads else None
    if not isinstance(last, v.Kemac):
        raise MikeyError("KEMAC", "missing, or not the last payload", error_no=ErrorNo.AUTH_FAILURE)
    if accepts_null and (last.encr_alg, last.mac_alg) == (EncrAlg.NULL, MacAlg.NULL):
        return last
    unsigned = message.octets[: len(message.octets) - len(last.mac)]
    if not hmac.compare_digest(keys.mac(last.mac_alg, unsigned), last.mac):
        raise MikeyError("KEMAC", "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)
    return last


def sealed(
    keys: PlainProtection, plain: Sequence[v.Payload], encr_alg: int, mac_alg: int, timestamp: v.Timestamp
) -> v.Kemac:
    """A KEMAC with encrypted sub-payloads and room for its MAC."""
    return v.Kemac(encr_alg, keys.crypt(write_chain(list(plain)), encr_alg, timestamp), mac_alg, empty_mac(mac_alg))


def with_own_mac(keys: PlainProtection, kemac: v.Kemac) -> v.Kemac:
    """A KEMAC whose MAC covers itself alone, its next payload taken as zero (RFC 3830 6.2, public-key case).

    AES key wrap proves what it carries by itself: there the MAC may be NULL (RFC 3830 4.2.3 even prefers it).
    """
    if _proves_itself(kemac):
        return kemac
    return v.Kemac(kemac.encr_alg, kemac.encr_data, kemac.mac_alg, keys.mac(kemac.mac_alg, _alone(kemac)))


def check_own_mac(keys: PlainProtection, kemac: v.Kemac) -> None:
    if _proves_itself(kemac):
        return
    if not hmac.compare_digest(keys.mac(kemac.mac_alg, _alone(kemac)), kemac.mac):
        raise MikeyError("KEMAC", "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)


def _proves_itself(kemac: v.Kemac) -> bool:
    return (kemac.encr_alg, kemac.mac_alg) == (EncrAlg.AES_KW_128, MacAlg.NULL)


def _alone(kemac: v.Kemac) -> bytes:
    octets = write_payload(kemac, PayloadType.LAST)
    return octets[: len(octets) - len(kemac.mac)]


def opened(keys: PlainProtection, kemac: v.Kemac, timestamp: v.Timestamp, first: int) -> tuple[v.Payload, ...]:
    """The sub-payloads of a KEMAC; ``first`` is the type of the first one, which nothing in the message names."""
    plain = keys.crypt(kemac.encr_data, kemac.encr_alg, timestamp, wrap=False)
    return tuple(each.value for each in read_chain(plain, first, within="KEMAC")) if plain else ()


def key_data(payloads: Sequence[v.Payload]) -> tuple[v.KeyData, ...]:
    return tuple(each for each in payloads if isinstance(each, v.KeyData) and each.key_type in _KEPT)


# The verification message


def verification(
    init: MikeyMessage, data_type: DataType, keys: PlainProtection, mac_alg: int, identities: bytes, idr: v.Id | None
) -> bytes:
    """R_MESSAGE of PSK and PK: HDR, T, [IDr], V; the MAC covers it, both identities and T (RFC 3830 5.2)."""
    header = v.Header(data_type, init.header.prf, init.header.csb_id, init.header.map_type, init.header.sessions)
    timestamp = init.need(v.Timestamp)
    payloads: list[v.Payload] = [timestamp] if idr is None else [timestamp, idr]
    octets = build(header, [*payloads, v.V(mac_alg, empty_mac(mac_alg))])
    message = parse(octets)
    mac = keys.mac(mac_alg, covered(message) + identities + timestamp.value)
    return octets[: len(octets) - len(mac)] + mac


def check_verification(
    octets: bytes, init: MikeyMessage, data_type: DataType, keys: PlainProtection, identities: bytes
) -> MikeyMessage:
    """R_MESSAGE to ``init``. MikeyError: of another bundle, with another T, or not proved right."""
    message = typed(octets, data_type)
    timestamp = init.need(v.Timestamp)
    if message.header.csb_id != init.header.csb_id or message.need(v.Timestamp) != timestamp:
        raise MikeyError(type_name(data_type), "not the answer to that message", error_no=ErrorNo.AUTH_FAILURE)
    if not keys.proves(message.need(v.V), covered(message) + identities + timestamp.value):
        raise MikeyError(type_name(data_type), "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)
    return message


# Session keys


class PlainSessionKey(Struct, frozen=True, gc=False):
    """SRTP key material of one crypto session under one key of the message; shows neither key nor salt.

    ``validity`` is that of the key: an SPI (MKI), or an interval of packet indices (ROC || SEQ).
    """

    cs_id: int
    ssrc: int | None
    roc: int | None
    master_key: bytes
    master_salt: bytes
    validity: v.Validity
    params: dict[int, bytes]

    def __repr__(self) -> str:
        return f"PlainSessionKey(cs_id={self.cs_id}, <redacted>)"

    def holds_at(self, index: int) -> bool:
        """Whether the key is for the packet of a 48-bit index."""
        if self.validity.kind != KvType.INTERVAL:
            return True
        low, high = self.validity.valid_from, self.validity.valid_to
        return int.from_bytes(low, "big") <= index and (not high or index <= int.from_bytes(high, "big"))


def session_keys(
    message: MikeyMessage, keys: Sequence[v.KeyData], rand: bytes, policies: dict[int, v.Sp] | None = None
) -> tuple[PlainSessionKey, ...]:
    """Keys of every crypto session of a message's map: one a key that may serve it (RFC 3830 4.1.3).

    ``policies`` when the SP payloads stand elsewhere. MikeyError: a key does not fit the policy.
    """
    known = message.policies if policies is None else policies
    found: list[PlainSessionKey] = []
    for number, session in enumerate(message.header.sessions, 1):
        if isinstance(session, v.SrtpSession):
            params = _params(known, (session.policy,))
            found += [_derived(message, number, session.ssrc, session.roc, key, params, rand) for key in keys]
        elif session.protocol == ProtType.SRTP:
            params = _params(known, session.policies)
            usable = [key for key in keys if not session.spi or not key.spi or key.spi == session.spi]
            found += [_derived(message, session.cs_id, session.ssrc, session.roc, k, params, rand) for k in usable]
    return tuple(found)


def _params(policies: dict[int, v.Sp], numbers: Sequence[int]) -> dict[int, bytes]:
    for number in numbers:
        policy = policies.get(number)
        if policy is not None and policy.protocol == ProtType.SRTP:
            return policy.mapping
    return {}


def _derived(
    message: MikeyMessage,
    cs_id: int,
    ssrc: int | None,
    roc: int | None,
    key: v.KeyData,
    params: dict[int, bytes],
    rand: bytes,
) -> PlainSessionKey:
    header = message.header

    def derive(constant: bytes, octets: int) -> bytes:
        return prf.prf(header.prf, key.key, prf.plain_session_label(constant, cs_id, header.csb_id, rand), octets)

    aead = _octets(params, SpParam.ENCR_ALG, 1) in AEAD_CIPHERS
    # 0, as some write beside a NULL cipher, is no length: authentication needs keys too.
    key_octets = _octets(params, SpParam.ENCR_KEY_LENGTH, KEY_OCTETS) or KEY_OCTETS
    default = AEAD_SALT_OCTETS if aead else SALT_OCTETS
    salt_octets = _octets(params, SpParam.SALT_LENGTH, default) or default
    if key.key_type in TEKS:
        master, salt = key.key, key.salt or bytes(salt_octets)
    else:
        master, salt = derive(prf.TEK, key_octets), key.salt or derive(prf.SALT_FROM_TGK, salt_octets)
    if len(master) != key_octets or len(salt) != salt_octets:
        reason = f"crypto session {cs_id}: {len(master)} and {len(salt)} octets, not {key_octets} and {salt_octets}"
        raise MikeyError("KEMAC", reason, field="key", error_no=ErrorNo.INVALID_SP_PAR)
    return PlainSessionKey(cs_id, ssrc, roc, master, salt, key.validity, params)


def _octets(params: dict[int, bytes], param: SpParam, default: int) -> int:
    value = params.get(param)
    number = int.from_bytes(value, "big") if value else default
    if number > MAX_KEY_OCTETS:
        raise MikeyError("SP", f"{number} is too much", field=param.name.lower(), error_no=ErrorNo.INVALID_SP_PAR)
    return number

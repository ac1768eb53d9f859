"""Master keys, and the session keys that SRTP derives from them (RFC 3711 4.3, RFC 6188, RFC 7714 11)."""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from imswire.srtp.errors import SrtpError
from imswire.srtp.policy import Policy

AUTH_KEY_OCTETS = 20
_SALT_OCTETS = 14
_LABEL_AT = 7
_PERIOD_OCTETS = 6

# Labels of encryption key, salt and authentication key (RFC 3711 4.3.1, 4.3.2).
_RTP = (0, 2, 1)
_RTCP = (3, 5, 4)


class MasterKey:
    """A master key and salt, and the MKI that may name them in packets. Shows neither; ``wipe`` forgets both."""

    __slots__ = ("_key", "_salt", "mki")

    def __init__(self, key: bytes, salt: bytes, mki: bytes = b"") -> None:
        self._key = bytearray(key)
        self._salt = bytearray(salt)
        self.mki = mki

    @property
    def key(self) -> bytes:
        return bytes(self._key)

    @property
    def salt(self) -> bytes:
        return bytes(self._salt)

    def fits(self, policy: Policy) -> None:
        """SrtpError when the lengths are not those of the policy (a wiped key has none)."""
        if len(self._key) != policy.key_length or len(self._salt) != policy.salt_length:
            raise SrtpError(
                f"{policy.name} needs a key of {policy.key_length} and a salt of {policy.salt_length} octets,"
                f" not {len(self._key)} and {len(self._salt)}"
            )

    def wipe(self) -> None:
        """Overwrite and empty both."""
        for secret in (self._key, self._salt):
            secret[:] = bytes(len(secret))
            secret.clear()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MasterKey):
            return NotImplemented
        return (self._key, self._salt, self.mki) == (other._key, other._salt, other.mki)

    def __hash__(self) -> int:
        return hash(self.mki)

    def __repr__(self) -> str:
        return f"MasterKey(mki={self.mki.hex()!r}, <redacted>)"


class DirectionKeys(NamedTuple):
    """Keys of RTP, or of RTCP."""

    key: bytes
    salt: bytes
    auth: bytes

    def __repr__(self) -> str:
        return "DirectionKeys(<redacted>)"


class SessionKeys:
    """The six session keys of one master key; AEAD policies have no authentication keys.

    ``period`` is the packet index divided by the key derivation rate, 0 when there is none (RFC 3711 4.3.1).
    """

    __slots__ = ("rtcp", "rtp")

    def __init__(self, policy: Policy, master: MasterKey, period: int = 0) -> None:
        master.fits(policy)
        lengths = policy.key_length, policy.salt_length, AUTH_KEY_OCTETS
        self.rtp = DirectionKeys(*(derive(master, each, n, period) for each, n in zip(_RTP, lengths, strict=True)))
        self.rtcp = DirectionKeys(*(derive(master, each, n, period) for each, n in zip(_RTCP, lengths, strict=True)))

    def __repr__(self) -> str:
        return "SessionKeys(<redacted>)"


def derive(master: MasterKey, label: int, octets: int, period: int = 0) -> bytes:
    """One session key: AES-CM key stream under the master key, from label and period.

    The label stands in the same octet for SRTP and SRTCP (RFC 3711, erratum 3712). A 12-octet AEAD salt is filled
    with zeros on the right before the label is added (RFC 7714 11, erratum 4938).
    """
    block = bytearray(master.salt.ljust(_SALT_OCTETS, b"\0") + b"\0\0")
    block[_LABEL_AT] ^= label
    for place, octet in enumerate(period.to_bytes(_PERIOD_OCTETS, "big"), _LABEL_AT + 1):
        block[place] ^= octet
    encryptor = Cipher(algorithms.AES(master.key), modes.CTR(bytes(block))).encryptor()
    return encryptor.update(bytes(octets))

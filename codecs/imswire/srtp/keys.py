"""Master keys, and the session keys that SRTP derives from them (RFC 3711 4.3, RFC 6188, RFC 7714 11)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from imswire.srtp.errors import SrtpError
from imswire.srtp.policy import Policy

AUTH_KEY_OCTETS = 20
_SALT_OCTETS = 14
_LABEL_AT = 7

# RFC 3711 4.3.2
RTP_ENCRYPTION, RTP_AUTHENTICATION, RTP_SALT = 0, 1, 2
RTCP_ENCRYPTION, RTCP_AUTHENTICATION, RTCP_SALT = 3, 4, 5


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


class SessionKeys:
    """The six session keys of one master key; AEAD policies have no authentication keys."""

    __slots__ = ("rtcp_auth", "rtcp_key", "rtcp_salt", "rtp_auth", "rtp_key", "rtp_salt")

    def __init__(self, policy: Policy, master: MasterKey) -> None:
        master.fits(policy)
        octets, salt = policy.key_length, policy.salt_length
        self.rtp_key = derive(master, RTP_ENCRYPTION, octets)
        self.rtp_salt = derive(master, RTP_SALT, salt)
        self.rtp_auth = derive(master, RTP_AUTHENTICATION, AUTH_KEY_OCTETS)
        self.rtcp_key = derive(master, RTCP_ENCRYPTION, octets)
        self.rtcp_salt = derive(master, RTCP_SALT, salt)
        self.rtcp_auth = derive(master, RTCP_AUTHENTICATION, AUTH_KEY_OCTETS)

    def __repr__(self) -> str:
        return "SessionKeys(<redacted>)"


def derive(master: MasterKey, label: int, octets: int) -> bytes:
    """One session key at key derivation rate 0: AES-CM key stream under the master key.

    A 12-octet AEAD salt is filled with zeros on the right before the label is added (RFC 7714 11, erratum 4938).
    """
    block = bytearray(master.salt.ljust(_SALT_OCTETS, b"\0") + b"\0\0")
    block[_LABEL_AT] ^= label
    encryptor = Cipher(algorithms.AES(master.key), modes.CTR(bytes(block))).encryptor()
    return encryptor.update(bytes(octets))

"""Sealing of what waits on a disk: AES-256-GCM under data keys, which are themselves kept wrapped.

A nonce is never used twice under one key: each writer draws a salt when it starts, seals under a sub-key made
from it (HKDF-SHA256), and counts. Sealed octets: salt (16), count (8), ciphertext with its tag (16). Keys are
held in buffers that are wiped; copies inside the cryptographic library live as long as their cipher.
"""

from __future__ import annotations

import secrets
from types import TracebackType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from midcall.base.bounded import BoundedTable

KEY_OCTETS = 32
SALT_OCTETS = 16
_COUNT_OCTETS = 8
OVERHEAD = SALT_OCTETS + _COUNT_OCTETS + 16
# Salts come out of files that may be damaged: ciphers kept for opening, one for each start of a writer.
MAX_CIPHERS = 64


class SealError(Exception):
    """Sealed octets that this key does not open: another key, another place, or damage."""


class SealKey:
    """A key of 32 octets that seals, opens, and wraps other keys. Its ``repr`` shows nothing.

    ``count`` starts at 0 for each object and its own salt, so that two objects of one key never meet.
    """

    __slots__ = ("_ciphers", "_count", "_octets", "_own", "_salt")

    def __init__(self, octets: bytes | bytearray) -> None:
        if len(octets) != KEY_OCTETS:
            raise ValueError(f"a sealing key has {KEY_OCTETS} octets")
        self._octets = bytearray(octets)
        self._salt = secrets.token_bytes(SALT_OCTETS)
        self._count = 0
        self._ciphers: BoundedTable[bytes, AESGCM] = BoundedTable("base.seal.ciphers", MAX_CIPHERS)
        self._own: AESGCM | None = self._cipher(self._salt)

    @classmethod
    def fresh(cls) -> SealKey:
        """A new random key."""
        return cls(bytearray(secrets.token_bytes(KEY_OCTETS)))

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """``place`` is bound to the seal: at any other the octets do not open."""
        if self._own is None:
            raise SealError("the key was wiped")
        count = self._count.to_bytes(_COUNT_OCTETS, "big")
        self._count += 1
        return b"".join((self._salt, count, self._own.encrypt(bytes(4) + count, plain, place)))

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """SealError when the octets were not sealed with this key for this place, or were changed."""
        if self._own is None:
            raise SealError("the key was wiped")
        if len(sealed) < OVERHEAD:
            raise SealError("too short to be sealed octets")
        salt, count = sealed[:SALT_OCTETS], sealed[SALT_OCTETS : SALT_OCTETS + _COUNT_OCTETS]
        cipher = self._ciphers.get(salt)
        if cipher is None:
            cipher = self._cipher(salt)
            self._ciphers.put(salt, cipher)
        try:
            return cipher.decrypt(bytes(4) + count, sealed[SALT_OCTETS + _COUNT_OCTETS :], place)
        except InvalidTag:
            raise SealError("does not open: another key, another place, or damage") from None

    def wrap(self, key: SealKey, place: bytes) -> bytes:
        """Another key, sealed with this one."""
        return self.seal(bytes(key._octets), place)

    def unwrap(self, wrapped: bytes, place: bytes) -> SealKey:
        octets = bytearray(self.open(wrapped, place))
        try:
            return SealKey(octets)
        except ValueError:
            raise SealError("holds no key") from None
        finally:
            octets[:] = bytes(len(octets))

    def wipe(self) -> None:
        """Overwrite the key; it neither seals nor opens any more."""
        self._octets[:] = bytes(KEY_OCTETS)
        self._own = None
        while self._ciphers.evict() is not None:
            pass

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), KEY_OCTETS, salt, b"midcall seal 1").derive(bytes(self._octets)))

    def __enter__(self) -> SealKey:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return "SealKey(redacted)"

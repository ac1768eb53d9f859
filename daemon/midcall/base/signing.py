"""The key that signs hashes of what is handed over (TS 102 232-1 7.2.3): Ed25519, in PEM."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

MAX_OCTETS = 16_384


class SigningError(Exception):
    """What is wrong with a key; shows nothing of it."""


def signer(pem: bytes) -> Callable[[bytes], bytes]:
    """Signs octets. SigningError."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningError("no private key in PEM form without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError("not an Ed25519 key")
    return key.sign

"""Signed heads: how many entries there are, and the root over them, under one key (Ed25519).

A head is a checkpoint in the form of the signed notes of transparency logs (C2SP signed-note and tlog-checkpoint), so
that witnesses of such logs can keep it::

    midcall.audit/LOG
    SIZE
    ROOT in base64
    head NUMBER
    last HASH of the last entry, in hexadecimal
    time WALL, in ns

    — midcall.audit/LOG base64(4 octets that name the key, 64 of the signature over all lines above the empty one)
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from msgspec import Struct

MAX_OCTETS = 1_024
ORIGIN = "midcall.audit/"
_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_FORM = re.compile(
    r"(midcall\.audit/([0-9a-f]{32})\n([0-9]{1,19})\n([A-Za-z0-9+/]{43}=)\n"
    r"head ([0-9]{1,19})\nlast ([0-9a-f]{64}|-)\ntime ([0-9]{1,19})\n)"
    r"\n\N{EM DASH} midcall\.audit/([0-9a-f]{32}) ([A-Za-z0-9+/]{91}=)\n"
)

Sign = Callable[[bytes], bytes]


class HeadError(ValueError):
    """What is wrong with a head, or with a key."""


class Head(Struct, frozen=True):
    """``log`` names the history, ``number`` counts its heads from 1; ``last``: hash of the last entry, if any."""

    log: str
    size: int
    root: bytes
    number: int
    last: bytes | None
    wall: int

    def body(self) -> str:
        """What is signed."""
        last = "-" if self.last is None else self.last.hex()
        root = base64.b64encode(self.root).decode()
        return f"{ORIGIN}{self.log}\n{self.size}\n{root}\nhead {self.number}\nlast {last}\ntime {self.wall}\n"


class Signer:
    """Signs heads of one log."""

    def __init__(self, log: str, public: bytes, sign: Sign) -> None:
        """``public``: the raw key that ``sign`` signs with."""
        self._name = f"{ORIGIN}{log}"
        self._key = key_mark(self._name, public)
        self._sign = sign

    def sign(self, head: Head) -> str:
        body = head.body()
        signature = base64.b64encode(self._key + self._sign(body.encode())).decode()
        return f"{body}\n{_DASH}{self._name} {signature}\n"


class Key:
    """The key that heads are verified with."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def read(cls, pem: bytes) -> Key:
        """HeadError."""
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise HeadError("no public key in PEM form") from None
        if not isinstance(key, Ed25519PublicKey):
            raise HeadError("not an Ed25519 key")
        return cls(key)

    def head(self, text: str) -> Head:
        """A head that this key has signed. HeadError."""
        found = _FORM.fullmatch(text) if len(text) <= MAX_OCTETS else None
        if found is None:
            raise HeadError("no head")
        body, log, size, root, number, last, wall, name, signature = found.groups()
        try:
            octets = base64.b64decode(signature, validate=True)
        except binascii.Error:
            raise HeadError("no head") from None
        if name != log or octets[:4] != key_mark(f"{ORIGIN}{log}", self.raw):
            raise HeadError("a head of another key")
        try:
            self._key.verify(octets[4:], body.encode())
        except InvalidSignature:
            raise HeadError("its signature does not hold") from None
        head = Head(
            log, int(size), base64.b64decode(root), int(number), None if last == "-" else bytes.fromhex(last), int(wall)
        )
        if head.body() != body or base64.b64encode(octets).decode() != signature:
            raise HeadError("no head")
        return head


def key_mark(name: str, public: bytes) -> bytes:
    """The four octets by which a signed note names a key."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]

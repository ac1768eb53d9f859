"""Generic objects (TS 103 221-1 6.8): of their types the schema brings one, the context of hashed identifiers."""

from __future__ import annotations

from msgspec import Struct

from imswire.x1.document import HASHED_ID
from imswire.x1.enumerations import HashAlgorithm
from imswire.x1.members import HEX, TOKEN, Derived, Sequence, may, must, word


class HashContext(Struct, frozen=True, gc=False):
    """How identities are hashed: algorithm and salt (at least eight octets)."""

    object_id: str
    algorithm: HashAlgorithm
    salt: bytes

    def __repr__(self) -> str:
        return f"HashContext({self.object_id!r}, {self.algorithm!r}, <redacted>)"


GenericObject = HashContext


class GenericObjectStatus(Struct, frozen=True, gc=False):
    """A status in which nothing stands yet."""


class GenericObjectResponseDetails(Struct, frozen=True, gc=False):
    """An object, and its status."""

    object: GenericObject
    status: GenericObjectStatus | None = None


GENERIC_OBJECT = Derived(
    {
        (HASHED_ID, "HashContext"): Sequence(
            HashContext,
            must("objectId", "object_id", TOKEN),
            must("hashAlgorithm", "algorithm", word(HashAlgorithm), HASHED_ID),
            must("salt", "salt", HEX, HASHED_ID),
        )
    }
)
GENERIC_OBJECT_RESPONSE_DETAILS = Sequence(
    GenericObjectResponseDetails,
    must("object", "object", GENERIC_OBJECT),
    may("status", "status", Sequence(GenericObjectStatus)),
)

"""The lines of an audit file: JSON, one a line, in one form only.

``{"log":...``    the first of a file: which log, where it begins in it
``{"n":...``      an entry; its hash is the leaf of the tree, and stands in the next entry
``{"head":...``   a signed head over all entries before it
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from midcall.audit.merkle import leaf_hash
from midcall.base.audit_link.values import MAX_CODE, MAX_NUMBER, Act, Outcome, Phase, Role

VERSION = 1
MAX_LINE = 4_096
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Mark = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]
Name = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
FIRST = "0" * 64
"""What the first entry has for the hash of the one before it."""
L = TypeVar("L", bound=Struct)


class LineError(ValueError):
    """A line is none of an audit file."""


class Begin(Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a file: its first entry, hash of the one before it, the edge of the tree until then, and the
    last head until then.
    """

    log: Name
    version: int
    first: Number
    previous: Hash
    edge: Annotated[tuple[Hash, ...], Meta(max_length=64)] = ()
    before: str = ""


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One act, or its outcome. Digests in hexadecimal; empty: there is none. Times in ns; ``at`` is the actor's.

    ``boot`` names the run of the audit, ``run`` that of who acts.
    """

    n: Number
    wall: Number
    mono: Number
    boot: Name
    role: Role
    instance: Annotated[int, Meta(ge=1, le=9_999)]
    run: Name
    act: Act
    phase: Phase
    at: Number
    object: Mark
    warrant: Mark
    actor: Mark
    outcome: Outcome
    code: Annotated[int, Meta(ge=0, le=MAX_CODE)]
    count: Number
    of: Number | None
    previous: Hash


class HeadLine(Struct, frozen=True, forbid_unknown_fields=True):
    head: str


Line = Begin | Entry | HeadLine
_encoder = msgspec.json.Encoder()
_KINDS: tuple[tuple[bytes, msgspec.json.Decoder[Line]], ...] = (
    (b'{"n":', msgspec.json.Decoder(Entry)),
    (b'{"head":', msgspec.json.Decoder(HeadLine)),
    (b'{"log":', msgspec.json.Decoder(Begin)),
)


def encode(line: Line) -> bytes:
    """Without the end of line."""
    return _encoder.encode(line)


def decode(octets: bytes) -> Line:
    """LineError: it is none, or one that would be written otherwise."""
    for begin, decoder in _KINDS:
        if octets.startswith(begin) and len(octets) <= MAX_LINE:
            try:
                line = decoder.decode(octets)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                break
            if _encoder.encode(line) == octets:
                return line
            break
    raise LineError("no line of an audit")


def entry_hash(octets: bytes) -> bytes:
    """The leaf of an entry's line."""
    return leaf_hash(octets)

"""Proofs that leave the house: that an entry is in a log, and that a log continues a former head of it.

A proof is JSON with signed heads and hashes. It shows one entry or none, and is verified with the public key alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from midcall.audit import lines, merkle
from midcall.audit.heads import Head, HeadError, Key
from midcall.audit.lines import Entry, LineError
from midcall.audit.merkle import ProofError

MAX_OCTETS = 1 << 16
Path = Annotated[tuple[lines.Hash, ...], Meta(max_length=128)]


class Inclusion(Struct, frozen=True, tag="inclusion", tag_field="proof", forbid_unknown_fields=True):
    """``entry``: its line, as it stands in the file; ``path`` leads from it to the root of ``head``."""

    entry: str
    path: Path
    head: str


class Consistency(Struct, frozen=True, tag="consistency", tag_field="proof", forbid_unknown_fields=True):
    """``path`` shows that the log of ``head`` begins with that of ``former``."""

    former: str
    path: Path
    head: str


Proof = Inclusion | Consistency
_decoder: msgspec.json.Decoder[Proof] = msgspec.json.Decoder(Proof)


def inclusion(line: bytes, leaves: Sequence[bytes], position: int, head: str, size: int) -> Inclusion:
    """ValueError: the head is not over that entry."""
    path = merkle.inclusion(leaves, position, size)
    return Inclusion(line.decode(), tuple(each.hex() for each in path), head)


def consistency(leaves: Sequence[bytes], former: str, before: int, head: str, size: int) -> Consistency:
    """ValueError: the former head is over more entries."""
    path = merkle.consistency(leaves, before, size)
    return Consistency(former, tuple(each.hex() for each in path), head)


def encode(proof: Proof) -> bytes:
    return msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n"


def decode(octets: bytes) -> Proof:
    """ProofError: it is none."""
    if len(octets) > MAX_OCTETS:
        raise ProofError("too long for a proof")
    try:
        return _decoder.decode(octets)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ProofError("no proof") from None


def check(proof: Proof, key: Key) -> tuple[Head, Entry | Head]:
    """What is proved: by the head that is returned, an entry or a former head. ProofError."""
    try:
        head = key.head(proof.head)
        path = [bytes.fromhex(each) for each in proof.path]
        if isinstance(proof, Inclusion):
            octets = proof.entry.encode()
            entry = lines.decode(octets)
            if not isinstance(entry, Entry):
                raise ProofError("no entry")
            merkle.check_inclusion(lines.entry_hash(octets), entry.n, head.size, path, head.root)
            return head, entry
        former = key.head(proof.former)
    except (HeadError, LineError) as error:
        raise ProofError(str(error)) from None
    if former.log != head.log:
        raise ProofError("heads of two logs under one key")
    merkle.check_consistency(former.size, head.size, former.root, head.root, path)
    return head, former

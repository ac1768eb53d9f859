"""Chains of integrity checks (TS 102 232-1 7.2.3 and annex J): one for each (LIID, CID, data type).

A hash covers the whole encoded PS-PDUs in the order of its list; a signature covers the encoded hash PS-PDUs
that it names, one after the other.
"""

from __future__ import annotations

import hashlib
from typing import Protocol, Self

from imswire import hi
from midcall.handover.values import NUMBERS, ContextKey, Kind


class _Half(Protocol):
    """A running hash."""

    def update(self, octets: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...

    def copy(self) -> Self: ...


RELEASED = 2_048
"""Octets for which hashlib lets go of the interpreter: in a thread beside a busy one that costs more than the hash."""
DATA_TYPES = {Kind.IRI: hi.DataType.IRI, Kind.CC: hi.DataType.CC}


class Chain:
    """What of one context no hash covers yet, and the hashes that no signature covers yet.

    ``hash_due``/``signature_due`` in ns, None: nothing waits.
    """

    __slots__ = ("_end", "_halves", "_hash", "_ranges", "count", "hash_due", "hashes", "key", "locate", "signature_due")

    def __init__(self, key: ContextKey, *, locate: bool = False) -> None:
        self.key = key
        self.locate = locate
        self.hash_due: int | None = None
        self.signature_due: int | None = None
        self.hashes: list[tuple[int, bytes]] = []
        self._clear()

    def _clear(self) -> None:
        self.count = 0
        # First number and how many; where the last range goes on.
        self._ranges: list[list[int]] = []
        self._end = -1
        self._hash: _Half = hashlib.sha256()
        self._halves: list[_Half] = []
        self.hash_due = None

    @property
    def empty(self) -> bool:
        return not self.count and not self.hashes

    def go_on_from(self, other: Chain) -> Chain:
        """What waits for a hash is from now on what waits in ``other``, which stays as it is; returns itself."""
        self.count, self._ranges, self._end = other.count, [list(each) for each in other._ranges], other._end
        self._hash, self._halves = other._hash.copy(), [half.copy() for half in other._halves]
        return self

    def add(self, first: int, octets: list[bytes]) -> bytes:
        """PDUs with consecutive numbers from ``first`` on; returns them one behind the other."""
        start, count = self.count, len(octets)
        if first == self._end:
            self._ranges[-1][1] += count
        else:
            self._ranges.append([first, count])
        self._end = first + count
        self.count = start + count
        joined = b"".join(octets)
        if len(joined) < RELEASED:
            self._hash.update(joined)
        else:
            whole = memoryview(joined)
            for at in range(0, len(joined), RELEASED - 1):
                self._hash.update(whole[at : at + RELEASED - 1])
        if self.locate:
            while self.count > 1 << len(self._halves):
                self._halves.append(hashlib.sha256())
            for bit, half in enumerate(self._halves):
                half.update(b"".join([each for place, each in enumerate(octets, start) if place >> bit & 1]))
        return joined

    def take_hashes(self) -> list[hi.IntegrityCheck]:
        """The check of all that waits, which then waits no more.

        With ``locate`` another one for each binary digit of the place in it, over those whose digit is 1: which of
        them hold says which PDU is wrong, when one is.
        """
        numbers = self._numbers()
        checks = [self._hash_check(numbers, self._hash)]
        for bit, half in enumerate(self._halves):
            checks.append(self._hash_check(tuple(n for place, n in enumerate(numbers) if place >> bit & 1), half))
        self._clear()
        return checks

    def _hash_check(self, numbers: tuple[int, ...], taken: _Half) -> hi.IntegrityCheck:
        return hi.IntegrityCheck(
            numbers=numbers,
            kind=hi.CheckType.HASH,
            data=DATA_TYPES[self.key.kind],
            value=taken.digest(),
            hash_algorithm=hi.HashAlgorithm.SHA_256,
        )

    def covered(self) -> None:
        """A hash covers what waited (it was found in the spool)."""
        self._clear()

    def _numbers(self) -> tuple[int, ...]:
        numbers: tuple[int, ...] = ()
        for first, count in self._ranges:
            before_wrap = min(count, NUMBERS - first)
            numbers += (*range(first, first + before_wrap), *range(count - before_wrap))
        return numbers

    def signed_octets(self) -> bytes:
        return b"".join(octets for _, octets in self.hashes)

    def take_signature(self, value: bytes) -> hi.IntegrityCheck:
        """The check of all hashes that wait, with the signature over :meth:`signed_octets`."""
        check = hi.IntegrityCheck(
            numbers=tuple(number for number, _ in self.hashes),
            kind=hi.CheckType.SIGNATURE,
            data=DATA_TYPES[self.key.kind],
            value=value,
            hash_algorithm=None,
            signature_algorithm=hi.SignatureAlgorithm.EDDSA,
        )
        self.signed()
        return check

    def signed(self) -> None:
        """A signature covers the hashes that waited."""
        self.hashes = []
        self.signature_due = None

"""What an agency would check: in each context every number once, in order, and hashes that are right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from imswire import hi
from imswire.hi.peek import peek

Context = tuple[bytes, bytes, int, int]


class Ledger:
    """PDUs as they came. Repetitions must be the same octets; new numbers come in their order."""

    def __init__(self) -> None:
        self.next: dict[Context, int] = {}
        self.gaps: list[tuple[Context, int, int]] = []
        self.repeated = 0
        self.doubled: list[tuple[Context, int]] = []
        self.resets = 0
        self.unproved = 0  # hashes over PDUs that did not come
        self._digests: dict[Context, dict[int, bytes]] = {}
        self._kept: dict[Context, dict[int, bytes]] = {}
        self.checks: list[tuple[bytes, hi.IntegrityCheck]] = []
        self._keep = True

    def forget_octets(self) -> Ledger:
        """Keep digests only: for many records."""
        self._keep = False
        return self

    def take(self, pdus: Iterable[bytes]) -> None:
        for octets in pdus:
            liid, cid, number, tag, tri, _ = peek(octets)
            if tri == hi.TriTag.CIN_RESET:
                self.resets += 1
                self.next.clear()
                self._digests.clear()
                self._kept.clear()
                continue
            if tag == hi.PayloadTag.TRI and tri != hi.TriTag.INTEGRITY_CHECK:
                continue
            self._number((liid, cid, tag, tri), number, octets)

    def _number(self, context: Context, number: int, octets: bytes) -> None:
        digests = self._digests.setdefault(context, {})
        digest = hashlib.blake2b(octets, digest_size=8).digest()
        known = digests.get(number)
        if known is not None:
            if known == digest:
                self.repeated += 1
            else:
                self.doubled.append((context, number))
            return
        digests[number] = digest
        expected = self.next.get(context, 0)
        if context[2] == hi.PayloadTag.TRI:  # both interfaces count together: order is told by the set
            payload = hi.parse(octets).payload
            assert isinstance(payload, hi.IntegrityCheck)
            self.checks.append((context[0], payload))
            self.next[context] = max(expected, number + 1)
            self._hash(context, payload)
        else:
            if number != expected:
                self.gaps.append((context, expected, number - 1))
            self.next[context] = number + 1
        if self._keep:
            self._kept.setdefault(context, {})[number] = octets

    def _hash(self, context: Context, check: hi.IntegrityCheck) -> None:
        if not self._keep or check.kind != hi.CheckType.HASH:
            return
        tag = hi.PayloadTag.IRI if check.data == hi.DataType.IRI else hi.PayloadTag.CC
        kept = self._kept.get((context[0], context[1], tag, -1), {})
        if not all(number in kept for number in check.numbers):
            self.unproved += 1
            return
        assert hashlib.sha256(b"".join(kept[n] for n in check.numbers)).digest() == check.value, "a wrong hash"

    def count(self, tag: int, liid: bytes = b"LAB-1") -> int:
        return sum(len(each) for context, each in self._digests.items() if context[0] == liid and context[2] == tag)

    def octets(self, tag: int, liid: bytes = b"LAB-1") -> list[bytes]:
        found = [each for context, each in self._kept.items() if context[0] == liid and context[2] == tag]
        return [octets for each in found for _, octets in sorted(each.items())]

    def check_gaps(self) -> list[tuple[Context, list[int]]]:
        """Numbers of integrity checks that did not come."""
        found = []
        for context, digests in self._digests.items():
            missing = sorted(set(range(max(digests) + 1)) - set(digests))
            if context[2] == hi.PayloadTag.TRI and missing:
                found.append((context, missing))
        return found

    def assert_whole(self) -> None:
        assert (self.gaps, self.doubled, self.check_gaps(), self.unproved) == ([], [], [], 0)

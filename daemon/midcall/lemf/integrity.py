"""Integrity checks verified, and what is wrong narrowed down to the PDU (TS 102 232-1 7.2.3).

A hash covers the whole encoded PS-PDUs in the order of includedSequenceNumbers; a signature (Ed25519) covers the
encoded hash PS-PDUs that it names, one after the other.

A hash that fails says no more than that one of its PDUs is wrong. What narrows that down: (1) checks may
overlap: whatever a check that holds covers is cleared of suspicion, and what a failing one leaves out too, so
that a deliverer with small covers, or with several over one block, has every PDU named; (2) RTP that breaks off
from its neighbours points at one PDU, and that is said to be likely, not proved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from imswire import hi
from midcall.lemf.context import Context, runs
from midcall.lemf.findings import Rule

HASHES: dict[int, Callable[[bytes], Any]] = {
    hi.HashAlgorithm.SHA_1: hashlib.sha1,
    hi.HashAlgorithm.SHA_256: hashlib.sha256,
    hi.HashAlgorithm.SHA_384: hashlib.sha384,
    hi.HashAlgorithm.SHA_512: hashlib.sha512,
}
MAX_BLOCK = 8_192
"""Octets of so many PDUs are kept for checks that overlap."""
MAX_SIGNABLE = 256
"""Hash PDUs that wait for their signature; annex J has 15."""


class Verdict(NamedTuple):
    """What a check has shown: a rule that is broken, in words, for numbers ``first`` to ``last``."""

    rule: Rule
    text: str
    first: int | None = None
    last: int | None = None


Odd = Callable[[dict[int, bytes]], list[int]]
"""Which PDUs stand out from their neighbours."""


def check_hash(context: Context, check: hi.IntegrityCheck, odd: Odd) -> list[Verdict]:
    """Verify a hash over records of ``context``, which are covered then."""
    numbers = check.numbers
    found = [_never_came(gap) for gap in context.named_missing(numbers)]
    if context.block.keys().isdisjoint(numbers):
        found += close_block(context)
    # The usual cover is all that waits, in order.
    if numbers == tuple(context.fresh):
        held = context.fresh
    else:
        held = {number: octets for number in numbers if (octets := _octets(context, number)) is not None}
    algorithm = HASHES.get(check.hash_algorithm or hi.HashAlgorithm.SHA_256)
    if len(held) < len(numbers) or not numbers:
        lacking = runs(sorted(number for number in numbers if number not in held))
        # Without all its PDUs a hash proves nothing, and accuses nobody.
        found += [Verdict(Rule.UNCHECKED, f"not all PDUs of the hash are here{_some(lacking)}", *_ends(numbers))]
    elif algorithm is None:
        found.append(Verdict(Rule.UNCHECKED, f"hashAlgorithm {check.hash_algorithm} is unknown", *_ends(numbers)))
    elif algorithm(b"".join(held.values())).digest() == check.value:
        context.checked += len(numbers)
        found += _holds(context, held)
    else:
        found += _fails(context, held, odd)
    found += _left_out(context, numbers, held)
    _cover(context, held)
    return found


def check_signature(
    hashes: dict[int, bytes], check: hi.IntegrityCheck, keys: Sequence[Ed25519PublicKey]
) -> list[Verdict]:
    """Verify a signature over hash PDUs, which are signed then; no ``keys``: not checked, not complained of."""
    signed = [hashes.pop(number, None) for number in check.numbers]
    if not keys:
        return []
    if check.signature_algorithm != hi.SignatureAlgorithm.EDDSA:
        text = f"signatureAlgorithm {check.signature_algorithm}; edDSA (3) is what can be checked here"
        return [Verdict(Rule.UNCHECKED, text, *_ends(check.numbers))]
    octets = [each for each in signed if each is not None]
    if len(octets) < len(signed) or not signed:
        text = "not all hash PDUs of the signature are here"
        return [Verdict(Rule.UNCHECKED, text, *_ends(check.numbers))]
    if any(_verifies(key, check.value, b"".join(octets)) for key in keys):
        return []
    return [Verdict(Rule.SIGNATURE, "the signature fits none of the deliverer's keys", *_ends(check.numbers))]


def close_block(context: Context) -> list[Verdict]:
    """No further check will come for the last block: say what is left under suspicion."""
    suspects, context.suspects = context.suspects, None
    context.settle(context.block)
    context.block = {}
    context.passed.clear()
    if not suspects:
        return []
    (first, *_), count = sorted(suspects), len(suspects)
    if count == 1:
        return []  # told when it was found
    return [Verdict(Rule.LOCATED, f"the wrong PDU is one of {count}", first, max(suspects))]


def _holds(context: Context, held: dict[int, bytes]) -> list[Verdict]:
    context.passed.update(held)
    if context.suspects is None:
        return []
    return _narrowed(context, context.suspects - held.keys())


def _fails(context: Context, held: dict[int, bytes], odd: Odd) -> list[Verdict]:
    suspects = held.keys() - context.passed
    if context.suspects is not None:
        return _narrowed(context, context.suspects & suspects or context.suspects | suspects)
    context.suspects = suspects
    text = f"the hash over {len(held)} PDUs does not fit them"
    found = [Verdict(Rule.HASH, text, *_ends(tuple(sorted(suspects))))]
    if len(suspects) > 1:
        for number in odd({number: held[number] for number in held if number in suspects})[:4]:
            text = "likely the wrong PDU of that hash: it breaks off from its neighbours"
            found.append(Verdict(Rule.LOCATED, text, number, number))
    return found


def _narrowed(context: Context, suspects: set[int]) -> list[Verdict]:
    former, context.suspects = context.suspects, suspects
    if len(suspects) == 1 and former != suspects:
        (number,) = suspects
        return [Verdict(Rule.LOCATED, "the wrong PDU, by hashes that overlap", number, number)]
    return []


def _left_out(context: Context, numbers: tuple[int, ...], held: dict[int, bytes]) -> list[Verdict]:
    """Records before the last one covered that no hash has named will not be named any more."""
    if not numbers or held is context.fresh:
        return []
    named = set(numbers)
    last = numbers[-1]
    out = [number for number in context.fresh if number not in named and 0 < (last - number) % (1 << 32) < 1 << 31]
    for number in out:
        context.settle({number: context.fresh.pop(number)})
    text = "left out by the hash over the PDUs around it"
    return [Verdict(Rule.UNCHECKED, text, gap.start, gap.stop - 1) for gap in runs(sorted(out))]


def _cover(context: Context, held: dict[int, bytes]) -> None:
    if held is context.fresh:
        context.fresh = {}
    else:
        for number in held:
            context.fresh.pop(number, None)
    if context.block:
        context.block.update(held)
    else:
        context.block = held
    if len(context.block) > MAX_BLOCK:
        close_block(context)


def _octets(context: Context, number: int) -> bytes | None:
    return context.fresh.get(number) or context.block.get(number)


def _never_came(gap: range) -> Verdict:
    return Verdict(Rule.GAP, "did not come; a hash names it", gap.start, gap.stop - 1)


def _ends(numbers: Sequence[int]) -> tuple[int | None, int | None]:
    return (numbers[0], numbers[-1]) if numbers else (None, None)


def _some(gaps: list[range]) -> str:
    shown = [str(gap.start) if len(gap) == 1 else f"{gap.start} to {gap.stop - 1}" for gap in gaps[:4]]
    return f": {', '.join(shown)}{', ...' if len(gaps) > 4 else ''}" if gaps else ""


def _verifies(key: Ed25519PublicKey, signature: bytes, octets: bytes) -> bool:
    try:
        key.verify(signature, octets)
    except InvalidSignature:
        return False
    return True

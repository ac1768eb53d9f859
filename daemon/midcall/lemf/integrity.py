"""Integrity checks verified, and what is wrong narrowed down to the PDU (TS 102 232-1 7.2.3).

A hash covers the whole encoded PS-PDUs in the order of includedSequenceNumbers; a signature (Ed25519) covers the
encoded hash PS-PDUs that it names, one after the other.

A hash that fails says no more than that one of its PDUs is wrong, or the check itself. What narrows that down: (1)
checks may overlap: whatever a check that holds covers is cleared of suspicion, and what a failing one leaves out too,
so that a deliverer with small covers, or with several over one block, has every PDU named; where all that a failing
check names is cleared, it is the check that is wrong; (2) RTP that breaks off from its neighbours points at one PDU,
and that is said to be likely, not proved; (3) a list of numbers with which a hash does not fit, and does when one bit
of one of them is another, is a fault of the check; (4) one bit that was flipped is looked for beside all this
(:mod:`midcall.lemf.one_bit`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from imswire import hi
from midcall.lemf.context import Context
from midcall.lemf.findings import Rule
from midcall.lemf.neighbours import odd_checks
from midcall.lemf.numbers import NUMBERS, Gaps, runs
from midcall.lemf.one_bit import Search

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
    """What a check has shown: a rule that is broken, in words, for numbers ``first`` to ``last``.

    ``own``: they are those of checks, not of what these cover.
    """

    rule: Rule
    text: str
    first: int | None = None
    last: int | None = None
    own: bool = False


class Signable:
    """Hash PDUs of one sequence that wait for their signature; ``wrong`` are the numbers of those told to be."""

    __slots__ = ("last_time", "octets", "wrong")

    def __init__(self) -> None:
        self.last_time = 0
        self.octets: dict[int, bytes] = {}
        self.wrong: set[int] = set()

    def add(self, number: int, octets: bytes) -> None:
        self.octets[number] = octets
        if len(self.octets) > MAX_SIGNABLE:
            oldest = next(iter(self.octets))
            del self.octets[oldest]
            self.wrong.discard(oldest)


Odd = Callable[[dict[int, bytes]], list[int]]
"""Which PDUs stand out from their neighbours."""


def check_hash(
    context: Context, check: hi.IntegrityCheck, own: int, odd: Odd, search: Callable[[Search], None] = lambda _: None
) -> list[Verdict]:
    """Verify a hash over records of ``context``, which are covered then; ``own`` is the number of the check.

    ``search`` is given a block of which this is the first hash that fails.
    """
    numbers = check.numbers
    if context.outlier is not None and context.outlier.number in numbers:
        context.admit()  # the deliverer says so
    found = [_never_came(gap) for gap in context.missing.named(numbers)]
    usual = numbers == tuple(context.fresh)  # all that waits, in order
    if usual or context.block.keys().isdisjoint(numbers):
        found += close_block(context)
    if usual:
        held = context.fresh
    else:
        held = {number: octets for number in numbers if (octets := context.octets(number)) is not None}
    algorithm = HASHES.get(check.hash_algorithm or hi.HashAlgorithm.SHA_256)
    if algorithm is None:
        found.append(Verdict(Rule.UNCHECKED, f"hashAlgorithm {check.hash_algorithm} is unknown", *_ends(numbers)))
    elif len(held) < len(numbers) or not numbers:
        mended = _mended(context, check, held, algorithm)
        if mended is None:
            found += _lacking(context, numbers, held, own)
        else:
            wrong = next(each for each, right in zip(numbers, mended, strict=True) if each != right)
            right = next(right for each, right in zip(numbers, mended, strict=True) if each != right)
            text = f"wrong itself: it names {wrong}, and its hash holds with {right} instead"
            found.append(Verdict(Rule.HASH, text, own, own, own=True))
            numbers, held = tuple(mended), mended
            found += _holds(context, held)
    elif algorithm(b"".join(held.values())).digest() == check.value:
        found += _holds(context, held)
    else:
        first = context.suspects is None
        found += (fails := _fails(context, held, own, odd))
        if first and context.suspects is not None and len(held) > 1:
            likely = tuple(each.first for each in fails if each.rule is Rule.LOCATED and each.first is not None)
            search(Search(context.key, tuple(held), tuple(held.values()), check.value, algorithm, likely))
    found += _left_out(context, numbers, held)
    _cover(context, held)
    return found


def check_signature(
    hashes: Signable, missing: Gaps, check: hi.IntegrityCheck, own: int, keys: Sequence[Ed25519PublicKey]
) -> list[Verdict]:
    """Verify a signature over hash PDUs, which are signed then; no ``keys``: not checked, not complained of.

    ``missing`` are hash PDUs that did not come, ``own`` is the number of the signature.
    """
    numbers = check.numbers
    signed = {number: octets for number in numbers if (octets := hashes.octets.pop(number, None)) is not None}
    wrong = sorted(hashes.wrong.intersection(numbers))
    hashes.wrong.difference_update(numbers)
    if not keys:
        return []
    if check.signature_algorithm != hi.SignatureAlgorithm.EDDSA:
        text = f"signatureAlgorithm {check.signature_algorithm}; edDSA (3) is what can be checked here"
        return [Verdict(Rule.UNCHECKED, text, *_ends(numbers), own=True)]
    if len(signed) < len(numbers) or not signed:
        lacking = sorted({number for number in numbers if number not in signed})
        text = f"not all hash PDUs of signature {own} are here{_some(runs(lacking))}"
        found = [Verdict(Rule.UNCHECKED, text, *_ends(numbers), own=True)]
        if sum(number not in missing for number in lacking) == 1 or not lacking:
            found.append(Verdict(Rule.LOCATED, "likely wrong itself: no such hash has waited", own, own, own=True))
        return found
    if any(_verifies(key, check.value, b"".join(signed.values())) for key in keys):
        return []
    text = f"signature {own} fits none of the deliverer's keys"
    found = [Verdict(Rule.SIGNATURE, text, *_ends(numbers), own=True)]
    for number in wrong or odd_checks(signed):
        text = f"likely the hash that signature {own} does not fit"
        found.append(Verdict(Rule.LOCATED, text, number, number, own=True))
    if len(found) == 1:
        text = "likely wrong itself: nothing else is wrong with any hash that it names"
        found.append(Verdict(Rule.LOCATED, text, own, own, own=True))
    return found


def close_block(context: Context) -> list[Verdict]:
    """No further check will come for the last block: say what is left under suspicion."""
    suspects, context.suspects = context.suspects, None
    context.accused.clear()
    context.block = {}
    context.passed.clear()
    if not suspects or len(suspects) == 1:
        return []  # told when it was found
    return [Verdict(Rule.LOCATED, f"the wrong PDU is one of {len(suspects)}", min(suspects), max(suspects))]


def _holds(context: Context, held: dict[int, bytes]) -> list[Verdict]:
    context.checked += len(held.keys() - context.passed) if context.passed else len(held)
    context.passed.update(held)
    if context.suspects is None:
        return []
    return _narrowed(context, context.suspects - held.keys())


def _fails(context: Context, held: dict[int, bytes], own: int, odd: Odd) -> list[Verdict]:
    suspects = held.keys() - context.passed
    if not suspects:
        return [_itself(own, len(held))]
    context.accused.append(own)
    if context.suspects is not None:
        return _narrowed(context, context.suspects & suspects or context.suspects | suspects)
    context.suspects = suspects
    text = f"the hash over {len(held)} PDUs does not fit them (check {own})"
    found = [Verdict(Rule.HASH, text, *_ends(tuple(sorted(suspects))))]
    if len(suspects) > 1:
        for number in odd({number: held[number] for number in held if number in suspects})[:4]:
            text = "likely the wrong PDU of that hash: it breaks off from its neighbours"
            found.append(Verdict(Rule.LOCATED, text, number, number))
    return found


def _itself(own: int, count: int) -> Verdict:
    text = f"wrong itself: its hash does not fit, and all {count} PDUs that it names hold under other checks"
    return Verdict(Rule.HASH, text, own, own, own=True)


def _narrowed(context: Context, suspects: set[int]) -> list[Verdict]:
    former, context.suspects = context.suspects, suspects
    accused = context.accused
    if not suspects:
        context.suspects = None
        found = [_itself(own, len(former or ())) for own in accused]
        accused.clear()
        return found
    if len(suspects) != 1 or former == suspects:
        return []
    (number,) = suspects
    if len(accused) > 1:
        return [Verdict(Rule.LOCATED, "the wrong PDU, by hashes that overlap", number, number)]
    # Of a block with overlapping checks the first PDU alone is named by one of them only.
    return [
        Verdict(Rule.LOCATED, f"the wrong PDU, by hashes that overlap, unless check {accused[0]} is", number, number),
        Verdict(Rule.LOCATED, f"wrong itself, unless {number} of what it covers is", accused[0], accused[0], own=True),
    ]


def _mended(
    context: Context, check: hi.IntegrityCheck, held: dict[int, bytes], algorithm: Callable[[bytes], Any]
) -> dict[int, bytes] | None:
    """What the check covers when one bit of one number in its list is another; None: that is not it."""
    numbers = check.numbers
    first = {each: place for place, each in reversed(list(enumerate(numbers)))}
    places = [place for place, each in enumerate(numbers) if each not in held or first[each] != place]
    if len(places) != 1:
        return None
    tried = [places[0]]
    if (wrong := numbers[places[0]]) in held:
        tried.append(first[wrong])
    for place in tried:
        for bit in range(32):
            right = wrong ^ 1 << bit
            octets = None if right in held else context.octets(right)
            if octets is None:
                continue
            whole = [*numbers[:place], right, *numbers[place + 1 :]]
            if algorithm(b"".join([octets if each == right else held[each] for each in whole])).digest() == check.value:
                return {each: octets if each == right else held[each] for each in whole}
    return None


def _lacking(context: Context, numbers: tuple[int, ...], held: dict[int, bytes], own: int) -> list[Verdict]:
    """Without all its PDUs a hash proves nothing, and accuses nobody; but the check may be seen to be wrong."""
    lacking = sorted({number for number in numbers if number not in held})
    others = [number for number in lacking if number not in context.missing]
    if lacking or not numbers:
        text = f"not all PDUs of the hash are here{_some(runs(lacking))} (check {own})"
    else:
        text = f"the hash names a PDU twice (check {own})"
    found = [Verdict(Rule.UNCHECKED, text, *_ends(numbers))]
    if not numbers:
        found.append(Verdict(Rule.UNCHECKED, "names no PDU", own, own, own=True))
    elif not lacking:
        found.append(Verdict(Rule.LOCATED, "wrong itself: it names a PDU twice", own, own, own=True))
    elif len(others) == 1 < len(numbers):
        known = "was covered before" if context.digests.get(others[0]) else "has not come, and is not missing"
        text = f"likely wrong itself: it names {others[0]}, which {known}"
        found.append(Verdict(Rule.LOCATED, text, own, own, own=True))
    return found


def _left_out(context: Context, numbers: tuple[int, ...], held: dict[int, bytes]) -> list[Verdict]:
    """Records before the last one covered that no hash has named will not be named any more."""
    if not numbers or held is context.fresh:
        return []
    named = set(numbers)
    last = numbers[-1]
    out = [number for number in context.fresh if number not in named and 0 < (last - number) % NUMBERS < NUMBERS // 2]
    for number in out:
        context.settle({number: context.fresh.pop(number)})
    text = "left out by the hash over the PDUs around it"
    return [Verdict(Rule.UNCHECKED, text, gap.start, gap.stop - 1) for gap in runs(sorted(out))]


def _cover(context: Context, held: dict[int, bytes]) -> None:
    if held is context.fresh:
        context.fresh = {}
        context.settle(held)
    else:
        context.settle({number: context.fresh.pop(number) for number in held if number in context.fresh})
    if context.block:
        context.block.update(held)
    else:
        context.block = held
    if len(context.block) > MAX_BLOCK:
        close_block(context)


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

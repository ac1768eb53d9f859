"""DER made into other BER of the same meaning: long and indefinite lengths, strings in pieces. Knows no codec."""

from __future__ import annotations

from collections.abc import Callable

Choose = Callable[[int], int]  # a number below the given one


def _parts(octets: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    at = 0
    while at < len(octets):
        start = at
        if octets[at] & 0x1F == 0x1F:
            at += 1
            while octets[at] & 0x80:
                at += 1
        at += 1
        head = octets[start:at]
        size = octets[at]
        at += 1
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(octets[at : at + count], "big")
            at += count
        found.append((head, octets[at : at + size]))
        at += size
    return found


def _length(size: int, choose: Choose) -> bytes:
    least = (size.bit_length() + 7) // 8
    if size < 0x80 and not choose(2):
        return bytes([size])
    count = max(least, 1) + choose(3)
    return bytes([0x80 | count]) + size.to_bytes(count, "big")


# Context tags whose contents are an OCTET STRING differ from place to place; whole strings are cut by path below.
def loosen(octets: bytes, choose: Choose, strings: frozenset[bytes] = frozenset()) -> bytes:
    """``strings`` are values that stand in an OCTET STRING; they come in pieces now and then."""
    made = []
    for head, contents in _parts(octets):
        constructed = bool(head[0] & 0x20)
        if constructed:
            inside = loosen(contents, choose, strings)
        elif contents in strings and choose(2):
            cut = choose(len(contents) + 1)
            pieces = (contents[:cut], contents[cut:])
            inside = b"".join(b"\x04" + _length(len(piece), choose) + piece for piece in pieces)
            head, constructed = bytes([head[0] | 0x20]) + head[1:], True
        else:
            inside = contents
        if constructed and choose(2):
            made.append(head + b"\x80" + inside + b"\0\0")
        else:
            made.append(head + _length(len(inside), choose) + inside)
    return b"".join(made)

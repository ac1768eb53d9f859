"""The headers of a message by their names (RFC 3261 7.3): where each stands, its octets as they came."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final

from imswire.sip.errors import SipError
from imswire.sip.grammar import ADDRESSES, COMPACT, LISTS, SINGLE, is_token, unfold

MAX_HEADERS: Final = 1024

# Taken at these, lines are a name, its value, the next name, ...: one without colon is part of the name behind it.
_VALUE = re.compile(rb":([^\n]*)\n?")
_KNOWN_OCTETS, _KNOWN_PIECES = 1_024, 129
"""Of names longer than this together, or more than 64, the places are not remembered."""
_ONCE: Final = (b"from", b"to", b"call-id", b"cseq")


_Taken = Callable[[Sequence[bytes]], tuple[bytes, ...]]


class Layout:
    """Which headers a message has, by their long names in lower case: the places of their values among its pieces.

    ``basic``: those of the topmost Via, From, To, Call-ID and CSeq; None when one is missing or, but for Via, stands
    twice. ``length`` and ``hops``: those of Content-Length and Max-Forwards; 0 when they do not stand there just once.
    ``written``: the names as they are written, in order, each before its value and nothing else; None when lines are
    folded or blank. ``fault``: what is wrong with names alone. ``usual`` is there when all of these are and nothing is
    wrong: it takes Call-ID, all Via and then all addresses out of the pieces.
    """

    __slots__ = ("basic", "fault", "hops", "length", "names", "places", "usual", "written")

    def __init__(self, names: list[bytes], *, folded: bool = False) -> None:
        """What is behind the last value comes last, and must be blank. SipError: a line without colon."""
        if names[-1].strip():
            raise SipError("head", "a line without colon")
        found: dict[bytes, list[int]] = {}
        for number, name in enumerate(names[:-1]):
            found.setdefault(_long(name), []).append(2 * number + 1)
        self.places = {name: tuple(places) for name, places in found.items()}
        self.names = frozenset(found)
        once = [found[name][0] for name in _ONCE if len(found.get(name, ())) == 1]
        is_whole = len(once) == len(_ONCE) and b"via" in found
        self.basic = (found[b"via"][0], *once) if is_whole else None
        lengths = found.get(b"content-length", ())
        self.length = lengths[0] if len(lengths) == 1 else 0
        hops = found.get(b"max-forwards", ())
        self.hops = hops[0] if len(hops) == 1 else 0
        odd = folded or names[-1] or any(b"\n" in name for name in names)
        self.written = None if odd else tuple(names[:-1])
        self.fault = _fault(found)
        self.usual: _Taken | None = None
        if self.basic is not None and not odd and self.fault is None:
            taken = [self.basic[3], *found[b"via"], self.basic[1], self.basic[2]]
            self.usual = itemgetter(*taken, *(place for name in ADDRESSES for place in found.get(name, ())))


def fields(lines: bytes) -> tuple[Layout, list[bytes]]:
    """What stands between start line and blank line, the last line without its end, folded or not.

    The pieces hold the values with the blanks around them. SipError: a line is none of a header, or there are more
    than 1 024.
    """
    pieces = _VALUE.split(lines)
    if len(pieces) <= _KNOWN_PIECES:
        names = b":".join(pieces[::2])
        layout = _known(names) if len(names) <= _KNOWN_OCTETS else _layout(names)
        if layout is not None:
            return layout, pieces
    folded = b"\n " in lines or b"\n\t" in lines or lines[:1] in _FOLDS
    if folded:
        pieces = _VALUE.split(unfold(lines))
    if len(pieces) > 2 * MAX_HEADERS + 1:
        raise SipError("head", f"more than {MAX_HEADERS} lines", 513)
    return Layout(pieces[::2], folded=folded), pieces


_FOLDS = (b" ", b"\t")


def _layout(names: bytes) -> Layout | None:
    """None: lines are folded."""
    each = names.split(b":")
    if any(b"\n" + fold in b"\n" + name for name in each for fold in _FOLDS):
        return None
    return Layout(each)


# Agents write the same headers in the same order again and again.
_known = lru_cache(maxsize=1_024)(_layout)


def _fault(found: Mapping[bytes, Sequence[int]]) -> SipError | None:
    for name in found.keys() - _KNOWN:
        if not is_token(name):
            return SipError("head", "a header name that is no token")
    for name in found.keys() & SINGLE:
        if len(found[name]) > 1:
            return SipError(name.decode(), "more than one")
    return None


# Names that are tokens for sure.
_KNOWN = SINGLE | LISTS | frozenset(COMPACT.values())


def _long(name: bytes) -> bytes:
    if b"\n" in name:
        before, _, name = name.rpartition(b"\n")
        if before.strip():
            raise SipError("head", "a line without colon")
    name = name.rstrip(b" \t").lower()
    return COMPACT.get(name, name) if len(name) == 1 else name

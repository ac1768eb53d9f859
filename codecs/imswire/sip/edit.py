"""What a proxy changes in a message (RFC 3261 16.6, 16.7, 18.2); every line that it does not touch keeps its octets."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from imswire.sip.errors import SipError
from imswire.sip.grammar import COMPACT, LISTS, is_token, split
from imswire.sip.message import SipMessage

MAX_FORWARDS = 70
"""RFC 3261 16.6 3: what a request without one is given."""


class Editor:
    """A message taken apart into header lines, changed, and put together again.

    Names are long, in any case; values go in as text. SipError: a name or value that would break out of its line.
    """

    __slots__ = ("_body", "_lines", "_start")

    def __init__(self, message: SipMessage) -> None:
        self._start = message.start_line
        self._body = message.body
        self._lines: list[tuple[bytes, bytes]] = [(_key(line), line) for _, line in message.header_lines()]

    def octets(self) -> bytes:
        """The message as it stands now; its body ends where Content-Length said."""
        head = b"\r\n".join([self._start, *(line for _, line in self._lines)])
        return head + b"\r\n\r\n" + self._body

    def request_uri(self, uri: str) -> None:
        """Another Request-URI (RFC 3261 16.6 2)."""
        if not uri or any(character in uri for character in " \t\r\n\0<>"):
            raise SipError("Request-Line", "no URI")
        method, _, rest = self._start.partition(b" ")
        self._start = b"%b %b %b" % (method, _octets(uri), rest.rpartition(b" ")[2])

    def push(self, name: str, value: str) -> None:
        """A line before all others of its name: Via, Record-Route, Route, Path."""
        key = name.lower().encode()
        place = next((place for place, (each, _) in enumerate(self._lines) if each == key), 0)
        self._lines.insert(place, (key, _line(name, value)))

    def append(self, name: str, value: str) -> None:
        """A line behind all others."""
        self._lines.append((name.lower().encode(), _line(name, value)))

    def remove(self, name: str) -> int:
        """All lines of a name; how many there were."""
        key, before = name.lower().encode(), len(self._lines)
        self._lines = [each for each in self._lines if each[0] != key]
        return before - len(self._lines)

    def replace(self, name: str, value: str) -> None:
        """One line in the place of the first of its name; behind the others when there was none."""
        key = name.lower().encode()
        for place, (each, _) in enumerate(self._lines):
            if each == key:
                self._lines[place] = key, _line(name, value)
                return
        self.append(name, value)

    def change_first(self, name: str, change: Callable[[str], str | None]) -> None:
        """The topmost value of a list header becomes what ``change`` makes of it; with None it is taken away.

        Values that share its line stay as they are.
        """
        key = name.lower().encode()
        for place, (each, line) in enumerate(self._lines):
            if each != key:
                continue
            values = _values(key, line)
            if not values:
                continue
            changed = change(values[0])
            rest = ([] if changed is None else [changed]) + values[1:]
            self._lines[place : place + 1] = [(key, _line(name, ", ".join(rest)))] if rest else []
            return

    def pop(self, name: str) -> str | None:
        """Takes away the topmost value of a list header, and gives it; None when there is none."""
        popped: list[str] = []
        self.change_first(name, lambda value: popped.append(value))
        return popped[0] if popped else None

    def pop_last(self, name: str) -> str | None:
        """Takes away the last value of a list header, and gives it.

        There a strict router has put the Request-URI (RFC 3261 16.4).
        """
        key = name.lower().encode()
        for place in range(len(self._lines) - 1, -1, -1):
            each, line = self._lines[place]
            values = _values(key, line) if each == key else []
            if values:
                rest = values[:-1]
                self._lines[place : place + 1] = [(key, _line(name, ", ".join(rest)))] if rest else []
                return values[-1]
        return None

    def state_length(self) -> None:
        """A Content-Length where the message has none."""
        if not any(key == b"content-length" for key, _ in self._lines):
            self.append("Content-Length", str(len(self._body)))


def max_forwards(message: SipMessage) -> int | None:
    """Hops left; None: not said. SipError: no number. Above 255, which nothing needs, it is taken as 255."""
    place = message.layout.hops
    hops = hops_of(message.pieces[place]) if place else -1
    if hops >= 0:
        return hops
    values = message.values("Max-Forwards")
    if not values:
        return None
    if len(values) > 1:
        raise SipError("Max-Forwards", "more than one")
    if not values[0].isascii() or not values[0].isdigit():
        raise SipError("Max-Forwards", "not a number")
    return min(int(values[0][-4:]), 255) if len(values[0].lstrip("0")) < 4 else 255


def hops_of(piece: bytes) -> int:
    """The number of a Max-Forwards as it stands behind the colon, at most 255; -1: it has to be looked at closely."""
    return _usual_hops(piece) if len(piece) <= _USUAL_HOPS else -1


_USUAL_HOPS = 6


@lru_cache(maxsize=1_024)
def _usual_hops(piece: bytes) -> int:
    value = piece.strip()
    return min(int(value), 255) if value.isdigit() else -1


def _key(line: bytes) -> bytes:
    name = line.partition(b":")[0].strip().lower()
    return COMPACT.get(name, name) if len(name) == 1 else name


def _values(key: bytes, line: bytes) -> list[str]:
    text = line.partition(b":")[2].decode("utf-8", "surrogateescape")
    text = " ".join(piece.strip() for piece in text.splitlines())
    pieces = split(text, ",") if key in LISTS else iter((text,))
    return [piece.strip() for piece in pieces if piece.strip()]


def _line(name: str, value: str) -> bytes:
    if not is_token(name.encode("utf-8", "surrogateescape")) or any(character in value for character in "\r\n\0"):
        raise SipError(name if name.isprintable() else "header", "would not stay in its line")
    return _octets(f"{name}: {value}")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

"""Streams of units that say themselves how long they are: PS-PDUs, PDUs of X2 and X3, messages of HEP."""

from __future__ import annotations

from typing import Generic, TypeVar

from imswire.errors import WireError

E = TypeVar("E", bound=WireError)


class UnitSplitter(Generic[E]):
    """Whole units of one connection. Who knows their rule says in :meth:`_end` where one ends, or why it is none.

    ``error`` is what that raises.
    """

    __slots__ = ("_buffer", "_error", "_fault", "_taken")

    def __init__(self, error: type[E]) -> None:
        self._error = error
        self._buffer = bytearray()  # a unit that is not complete yet
        self._taken = 0  # octets of the stream before it
        self._fault: E | None = None

    @property
    def pending(self) -> int:
        """Octets kept of a unit that is not complete yet."""
        return len(self._buffer)

    @property
    def fault(self) -> E | None:
        """Why the stream cannot be read any further; its offset, if it has one, counts from the stream's start."""
        return self._fault

    def feed(self, data: bytes) -> list[bytes]:
        """The units that ``data`` completes, as they came.

        What follows one that is none, or is too long, cannot be found: units before it are returned first; then, when
        there are none or at the next call, the error, and so ever after.
        """
        if self._fault is not None:
            raise self._fault
        found: list[bytes] = []
        try:
            self._split(data, found)
        except self._error as fault:
            self._fault = fault
            self._buffer.clear()
            if not found:
                raise
        return found

    def _split(self, data: bytes, found: list[bytes]) -> None:
        if self._buffer:
            self._buffer += data
            if self._end(self._buffer, 0) is None:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        at = 0
        while (end := self._end(data, at)) is not None:
            found.append(data[at:end])
            at = end
        self._buffer += data[at:]
        self._taken += at

    def _end(self, octets: bytes | bytearray, at: int) -> int | None:
        """Where the unit at ``at`` ends; None: further on than the octets are."""
        raise NotImplementedError

"""Cutting a stream into messages (RFC 3261 18.3): several in one segment, one over many."""

from __future__ import annotations

from imswire.sip.errors import SipError
from imswire.sip.grammar import COMPACT
from imswire.sip.message import MAX_MESSAGE, content_length

MAX_HEAD = 65_535


class StreamFramer:
    """Takes the octets of one direction of a connection and gives whole messages.

    Keep-alives (CRLF, RFC 5626 4.4.1) between messages are skipped. A message without Content-Length has no
    body. After a SipError the stream cannot go on: nobody knows where the next message begins.
    """

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max = max_message
        self._buffer = bytearray()
        self._searched = 0
        self._needed = 0

    @property
    def pending(self) -> int:
        """Octets that wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that ``octets`` completed. SipError: too long, or a bad Content-Length."""
        self._buffer += octets
        messages: list[bytes] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._needed:
            self._skip_keep_alives()
            self._needed = self._length()
            if not self._needed:
                return None
        if len(buffer) < self._needed:
            return None
        message = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._needed = self._searched = 0
        return message

    def _skip_keep_alives(self) -> None:
        skip = 0
        while self._buffer[skip : skip + 2] == b"\r\n":
            skip += 2
        if skip:
            del self._buffer[:skip]

    def _length(self) -> int:
        """Octets of the message at the beginning of the buffer; 0 while its head is not whole."""
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > min(MAX_HEAD, self._max):
                raise SipError("head", f"longer than {MAX_HEAD} octets", 513)
            return 0
        length = end + 4 + _body_length(bytes(self._buffer[: end + 2]))
        if length > self._max:
            raise SipError("message", f"longer than {self._max} octets", 513)
        return length


def _body_length(head: bytes) -> int:
    values: list[bytes] = []
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon and len(name) < 32:
            key = name.strip().lower()
            if COMPACT.get(key, key) == b"content-length":
                values.append(value.strip())
    return content_length(values) if values else 0

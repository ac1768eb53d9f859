"""Cutting a stream into messages (RFC 3261 18.3): several in one segment, one over many."""

from __future__ import annotations

from imswire.sip.errors import SipError
from imswire.sip.grammar import COMPACT, unfold
from imswire.sip.message import MAX_MESSAGE, blank_line, content_length

MAX_HEAD = 65_535
MAX_START_LINE = 8_192  # a method, a URI of 4 096 octets, a version


class StreamFramer:
    """Takes the octets of one direction of a connection and gives whole messages.

    Keep-alives (CRLF, RFC 5626 4.4.1) between messages are skipped. A message without Content-Length has no
    body. After a ``fault`` (too long, a bad Content-Length, something that is no start line) the stream cannot go
    on: nobody knows where the next message begins. However a stream is cut, it gives the same messages and fault.
    """

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max = max_message
        self._buffer = bytearray()
        self._searched = 0
        self._needed = 0
        self._blank = b""  # what ends the head; none while the start line is not whole
        self.fault: SipError | None = None

    @property
    def pending(self) -> int:
        """Octets that wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that ``octets`` completed; see ``fault`` for what ended the stream behind them."""
        messages: list[bytes] = []
        if self.fault is not None:
            return messages
        self._buffer += octets
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except SipError as error:
            self.fault = error
            self._buffer.clear()
        return messages

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._needed:
            self._skip_keep_alives()
            self._needed = self._length() if self._start_is_whole() else 0
            if not self._needed:
                return None
        if len(buffer) < self._needed:
            return None
        message = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._needed = self._searched = 0
        self._blank = b""
        return message

    def _skip_keep_alives(self) -> None:
        skip = 0
        while self._buffer[skip : skip + 2] == b"\r\n":
            skip += 2
        if skip:
            del self._buffer[:skip]

    def _start_is_whole(self) -> bool:
        """Octets behind a body that was longer than announced must not be waited for as a message."""
        if self._blank:
            return True
        end = self._buffer.find(b"\n", 0, MAX_START_LINE)
        if end < 0 and len(self._buffer) < MAX_START_LINE:
            return False
        if end < 0 or b"SIP/" not in bytes(self._buffer[:end]).upper():
            raise SipError("start line", "no SIP message begins here")
        self._blank = blank_line(self._buffer)
        return True

    def _length(self) -> int:
        """Octets of the message at the beginning of the buffer; 0 while its head is not whole."""
        width = len(self._blank)
        end = self._buffer.find(self._blank, max(0, self._searched - width + 1))
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > min(MAX_HEAD, self._max):
                raise SipError("head", f"longer than {MAX_HEAD} octets", 513)
            return 0
        length = end + width + _body_length(bytes(self._buffer[:end]))
        if length > self._max:
            raise SipError("message", f"longer than {self._max} octets", 513)
        return length


def _body_length(head: bytes) -> int:
    if b"\n " in head or b"\n\t" in head:
        head = unfold(head)
    values: list[bytes] = []
    for line in head.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and len(name) < 32:
            key = name.strip().lower()
            if COMPACT.get(key, key) == b"content-length":
                values.append(value.strip())
    return content_length(values) if values else 0

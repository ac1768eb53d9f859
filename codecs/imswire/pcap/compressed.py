"""gzip (RFC 1952) around a capture: read as it comes, with as little memory as the capture itself takes."""

from __future__ import annotations

import zlib

from imswire.pcap.values import CHUNK, Read

MAGIC = b"\x1f\x8b"
_GZIP = 31  # window of 32 KB, gzip header
_PIECE = 8 * 1024
"""Octets given to zlib at once. It copies what is behind a member: of a file of nothing but empty ones, each time."""


class Inflate:
    """``read`` of the content of a gzip file whose first octets, ``head``, were read already.

    Several members follow one another (RFC 1952 2.2); what is no member behind one ends the content. Where the
    file is damaged or cut short the content ends too, and ``fault`` says why.
    """

    def __init__(self, head: bytes, read: Read) -> None:
        self._read = read
        self._chunk = b""
        self._at = 0
        self._waiting = head
        self._member = zlib.decompressobj(_GZIP)
        self._over = False
        self.fault = ""

    def __call__(self, octets: int) -> bytes:
        while not self._over:
            if not self._waiting:
                self._waiting = self._piece()
                if not self._waiting:
                    self._end("gzip: cut short")
                    break
            try:
                content = self._member.decompress(self._waiting, octets)
            except zlib.error:
                self._end("gzip: damaged")
                break
            self._waiting = self._member.unconsumed_tail
            if self._member.eof:
                self._next_member()
            if content:
                return content
        return b""

    def _piece(self) -> bytes:
        if self._at >= len(self._chunk):
            self._chunk, self._at = self._read(CHUNK), 0
        piece = self._chunk[self._at : self._at + _PIECE]
        self._at += len(piece)
        return piece

    def _next_member(self) -> None:
        rest = self._member.unused_data
        while len(rest) < len(MAGIC) and (more := self._piece()):
            rest += more
        if rest[: len(MAGIC)] != MAGIC:
            self._over = True
            return
        self._waiting = rest
        self._member = zlib.decompressobj(_GZIP)

    def _end(self, fault: str) -> None:
        self._over = True
        self.fault = fault

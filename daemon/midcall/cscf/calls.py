"""Which call a message belongs to, at a glance: workers and points of interception share calls by it."""

from __future__ import annotations

import hashlib
import re

_USUAL = b"\nCall-ID: "
_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Calls:
    """64 bits of keyed BLAKE2b over the Call-ID: nobody outside can choose whom its calls go to."""

    def __init__(self, key: bytes) -> None:
        self._blake = hashlib.blake2b(key=key, digest_size=8, person=b"midcall.mates")

    def of(self, octets: bytes) -> int:
        """0: the message names no call."""
        end = octets.find(b"\r\n\r\n")
        head = len(octets) if end < 0 else end
        place = octets.find(_USUAL, 0, head)
        if place >= 0:
            place += len(_USUAL)
            line = octets.find(b"\n", place)
            name = octets[place : line if line >= 0 else head]
        else:
            found = _CALL_ID.search(octets, 0, head)
            if found is None:
                return 0
            name = found[1]
        blake = self._blake.copy()
        blake.update(name.strip())
        return int.from_bytes(blake.digest(), "big")

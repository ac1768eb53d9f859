"""PS-PDUs out of a stream: there is no framing but their own lengths (TS 102 232-1 6)."""

from __future__ import annotations

DEFAULT_LIMIT = 1 << 20  # octets of one PS-PDU: a SIP message of 64 KiB in each of several members, with room


class Splitter:
    """Whole PS-PDUs of one connection, TLV by TLV; indefinite lengths are followed to their end."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        raise NotImplementedError

    def feed(self, data: bytes) -> list[bytes]:
        """The PS-PDUs that ``data`` completes, as they came.

        HiError: what follows is no PS-PDU, or one longer than ``limit``; the stream cannot be read any
        further, and each later call raises the same. PS-PDUs before the fault have been returned by then:
        the error comes with the call after them.
        """
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Octets kept of a PS-PDU that is not complete yet."""
        raise NotImplementedError

"""Content records of one stream at speed: what is the same in all of them is encoded once."""

from __future__ import annotations

from imswire.hi.values import CcForm, Header


class CcTemplate:
    """CC PS-PDUs that differ in sequence number, time and payload only.

    ``header`` gives all else (its own sequence and time are ignored; the time form is microseconds),
    ``direction`` is a Direction for payloadDirection (None: absent). Octet for octet what ``build`` makes of
    the same values.
    """

    def __init__(self, header: Header, direction: int | None, stream: CcForm) -> None:
        raise NotImplementedError

    def pdu(self, sequence: int, time_ns: int, payload: bytes) -> bytes:
        """One PS-PDU; HiError when the sequence number or the time is out of range."""
        raise NotImplementedError

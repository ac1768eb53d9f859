"""What all X1 messages share: the header, and how a message's table is made (TS 103 221-1 6.1)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from imswire.x1.members import STRING, TIME, TOKEN, Member, Sequence, must

VERSION = "v1.22.1"  # of the schemas that stand here, and of what midcall asks
FIRST_MINOR, LAST_MINOR = 6, 22


class Header(Struct, frozen=True, gc=False):
    """Who talks to whom, when (nanoseconds since 1970), in which version, about which transaction."""

    admf_identifier: str
    ne_identifier: str
    timestamp: int
    version: str
    transaction_id: str

    def reply(self, at: int) -> Header:
        """The header of the answer, given at ``at``: in the version of the question, which its sender understands."""
        return Header(self.admf_identifier, self.ne_identifier, at, self.version, self.transaction_id)


def accepted(version: str) -> bool:
    """Whether a version is one of v1.6 to v1.22, whatever its edition."""
    major, _, rest = version.partition(".")
    minor, _, edition = rest.partition(".")
    known = major == "v1" and _is_number(minor) and _is_number(edition)
    return known and FIRST_MINOR <= int(minor) <= LAST_MINOR


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


_HEADER = (
    must("admfIdentifier", "header.admf_identifier", TOKEN),
    must("neIdentifier", "header.ne_identifier", TOKEN),
    must("messageTimestamp", "header.timestamp", TIME),
    must("version", "header.version", STRING),
    must("x1TransactionId", "header.transaction_id", TOKEN),
)


def message(cls: type, *members: Member) -> Sequence:
    """The table of a message: the header's members, then its own."""

    def make(found: dict[str, Any]) -> Any:
        return cls(Header(*[found.pop(each.attr) for each in _HEADER]), **found)

    return Sequence(cls, *_HEADER, *members, make=make)

"""What is to be taken out, and the names under which it is counted (TS 33.107 7A.1.A)."""

from __future__ import annotations

from msgspec import Struct

LOCATION, CONTENT, SDES, TICKET = "location", "content", "sdes-keys", "ticket"
# Octets behind the length that Content-Length says, and bodies whose coding hides what they hold.
TRAILING, UNREADABLE = "trailing", "unreadable"


class Rules(Struct, frozen=True):
    """What is taken out: headers and bodies that tell where somebody is; bodies but session descriptions; keys of
    ``a=crypto`` (RFC 4568) and ``k=`` (RFC 4566 5.12); tickets of ``a=key-mgmt``; MIKEY messages of ``a=key-mgmt`` but
    those that certainly have no key in clear, which go with content as well.
    """

    location: bool = False
    content: bool = False
    sdes: bool = False
    ticket: bool = False
    mikey: bool = False

    @property
    def key_management(self) -> bool:
        """Whether ``a=key-mgmt`` is looked at."""
        return self.ticket or self.content or self.mikey


NOTHING = Rules()


class Redacted(Struct, frozen=True, gc=False):
    """A message as it may go out, and what was taken out of it, for the audit; ``from_body``: of its body."""

    octets: bytes
    removed: tuple[str, ...]
    from_body: tuple[str, ...] = ()

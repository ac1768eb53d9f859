"""What can be wrong with a SIP message."""

from __future__ import annotations

from imswire.errors import WireError


class SipError(WireError):
    """Octets that are not SIP.

    ``status`` is the response that a server would give (RFC 3261 21.4), ``field`` the part that is wrong.
    """

    def __init__(self, field: str, reason: str, status: int = 400) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.status = status

"""What can be wrong with a MIKEY message."""

from __future__ import annotations

from imswire.errors import WireError
from imswire.mikey.numbers import ErrorNo


class MikeyError(WireError):
    """Octets that are no MIKEY, or a message that does not prove right.

    ``payload`` and ``field`` say what is wrong, ``offset`` where it stands in the message (None: not at one
    place), ``error_no`` is what an Error message about it would carry (RFC 3830 6.12).
    """

    def __init__(
        self,
        payload: str,
        reason: str,
        *,
        field: str = "",
        offset: int | None = None,
        error_no: ErrorNo = ErrorNo.UNSPECIFIED,
    ) -> None:
        where = payload if offset is None else f"{payload} at offset {offset}"
        super().__init__(f"{where}: {field + ': ' if field else ''}{reason}")
        self.payload = payload
        self.reason = reason
        self.field = field
        self.offset = offset
        self.error_no = error_no

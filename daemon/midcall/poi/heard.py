"""A SIP message with all that tells what it belongs to, read before anything changes."""

from __future__ import annotations

from msgspec import structs

from imswire import sip
from midcall.base import redaction
from midcall.events import SipSeen

_SDES_RULES = redaction.Rules(sdes=True)


class Heard:
    """One message, parsed; SipError when it is none, or does not say what it belongs to.

    ``status`` is 0 for a request, ``branch`` that of the topmost Via: which leg of the INVITE it belongs to.
    """

    __slots__ = (
        "_described",
        "_kept",
        "_sdes",
        "branch",
        "call_id",
        "from_tag",
        "is_request",
        "message",
        "method",
        "number",
        "seen",
        "status",
        "to_tag",
    )

    def __init__(self, seen: SipSeen, *, sdes: bool) -> None:
        self.seen = seen
        self.message = message = sip.parse(seen.octets)
        self.call_id, self.from_tag, self.to_tag, cseq, self.branch = message.belongs()
        self.number, self.method = cseq.number, cseq.method
        self.is_request = message.is_request
        self.status = message.status or 0
        self._sdes = sdes
        self._described: bool | None = None
        self._kept: SipSeen | None = None

    @property
    def described(self) -> bool:
        """Whether it carries a session description."""
        if self._described is None:
            self._described = self.message.sdp is not None
        return self._described

    @property
    def kept(self) -> SipSeen:
        """The message as it may be kept: unless they are wanted, without keys that stand in its description."""
        if self._kept is None:
            self._kept = self.seen if self._sdes else self._without_keys()
        return self._kept

    def _without_keys(self) -> SipSeen:
        redacted = redaction.of_parsed(self.message, self.seen.octets, _SDES_RULES)
        return structs.replace(self.seen, octets=redacted.octets, sent=()) if redacted.removed else self.seen

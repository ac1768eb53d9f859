"""BEGIN, CONTINUE, END and REPORT: which record of a communication is which (TS 102 232-5 table 1)."""

from __future__ import annotations

from imswire import hi, sip
from midcall.base.bounded import BoundedTable

COMMUNICATIONS = 65_536
# Answers to an INVITE after which its sender tries again in the same call.
AGAIN = frozenset({401, 407, 422, 494})


class _Phase:
    """How far one communication has come."""

    __slots__ = ("answered", "ended")

    def __init__(self) -> None:
        self.answered = False
        self.ended = False


class Phases:
    """Communications by LIID and CIN; what is not known any more begins anew."""

    def __init__(self) -> None:
        self._phases: BoundedTable[tuple[str, int], _Phase] = BoundedTable("df2.phases", COMMUNICATIONS)

    def start(self, liid: str, cin: int, *, answered: bool) -> hi.IriType:
        """The record of a session that was found running."""
        key = (liid, cin)
        phase = self._phases.get(key)
        if phase is None:
            self._open(key).answered = answered
            return hi.IriType.BEGIN
        phase.answered |= answered
        return hi.IriType.REPORT if phase.ended else hi.IriType.CONTINUE

    def sip(self, liid: str, cin: int, message: sip.SipMessage) -> hi.IriType:
        """The record of a SIP message of a communication."""
        key = (liid, cin)
        phase = self._phases.get(key)
        if phase is None:
            phase = self._open(key)
            phase.ended = _ends(message, phase)
            return hi.IriType.BEGIN
        if phase.ended:
            return hi.IriType.REPORT
        phase.answered |= message.status is not None and message.status // 100 == 2 and message.method == "INVITE"
        phase.ended = _ends(message, phase)
        return hi.IriType.END if phase.ended else hi.IriType.CONTINUE

    def other(self, liid: str, cin: int) -> hi.IriType:
        """A record about a communication that no message brought: keys, a failure."""
        phase = self._phases.get((liid, cin))
        return hi.IriType.REPORT if phase is None or phase.ended else hi.IriType.CONTINUE

    def state(self, liid: str, cin: int) -> tuple[bool, bool]:
        """Whether a communication was answered, and whether it has ended."""
        phase = self._phases.get((liid, cin))
        return (False, False) if phase is None else (phase.answered, phase.ended)

    def recall(self, liid: str, cin: int, *, answered: bool, ended: bool) -> None:
        """A communication that has begun in a former run."""
        phase = self._open((liid, cin))
        phase.answered, phase.ended = answered, ended

    def _open(self, key: tuple[str, int]) -> _Phase:
        phase = _Phase()
        self._phases.put(key, phase)
        return phase


def _ends(message: sip.SipMessage, phase: _Phase) -> bool:
    """The answer to BYE or CANCEL, or the final refusal of the first INVITE."""
    status = message.status
    if status is None or status < 200:
        return False
    if message.method in ("BYE", "CANCEL"):
        return True
    return message.method == "INVITE" and status >= 300 and status not in AGAIN and not phase.answered

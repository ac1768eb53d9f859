"""Transport-related information: what keeps a link going, and what is to be said of it (TS 102 232-1 6.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

from imswire import hi
from midcall.lemf.numbers import NUMBERS
from midcall.lemf.records import shown

_KEEPING: dict[type, str] = {
    hi.KeepAlive: "TRI keep-alive",
    hi.OptionRequest: "TRI optionRequest",
    hi.OptionComplete: "TRI optionComplete",
    hi.AckRequest: "TRI pDUAcknowledgementRequest",
}
"""What a link is kept going with; it is not stored, and its numbers begin with each process of the deliverer."""
_OTHER_TRI: dict[type, str] = {
    hi.TestPdu: "TRI testPDU",
    hi.Padding: "TRI paddingPDU",
    hi.FirstSegment: "TRI firstSegmentFlag",
    hi.LastSegment: "TRI lastSegmentFlag",
    hi.CinReset: "TRI cINReset",
    hi.OperatorLeaMessage: "TRI operatorLeaMessage",
    hi.KeepAliveResponse: "TRI keep-aliveResponse",
    hi.OptionResponse: "TRI optionResponse",
    hi.AckResponse: "TRI pDUAcknowledgementResponse",
}
_OURS = (hi.KeepAliveResponse, hi.OptionResponse, hi.AckResponse)


class Taken(NamedTuple):
    """What follows from one of them."""

    answer: hi.Payload | None = None
    event: str = ""
    wrong: tuple[str, ...] = ()


class Transport:
    """That of one link: its numbers begin with each process of the deliverer. ``options``: those agreed upon."""

    def __init__(self) -> None:
        self.options: tuple[int, ...] = ()
        self._numbers: dict[str, int] = {}

    @staticmethod
    def takes(payload: hi.Payload) -> bool:
        return type(payload) in _KEEPING or type(payload) in _OTHER_TRI

    def take(self, header: hi.Header, payload: Any, acknowledge: bool) -> Taken:
        """``acknowledge``: that option is accepted."""
        kept = _KEEPING.get(type(payload))
        if kept is None:
            return _other(_OTHER_TRI[type(payload)], header, payload)
        wrong = self._in_turn(kept, header.sequence)
        if isinstance(payload, hi.KeepAlive):
            return Taken(hi.KeepAliveResponse(), "", wrong)
        if isinstance(payload, hi.AckRequest):
            return Taken(hi.AckResponse(), "", wrong)
        if isinstance(payload, hi.OptionRequest):
            wanted = {hi.Option.PDU_ACKNOWLEDGEMENT} if acknowledge else set()
            self.options = tuple(option for option in payload.options if option in wanted)
            declined = tuple(option for option in payload.options if option not in wanted)
            return Taken(hi.OptionResponse(self.options, declined), "", wrong)
        return Taken(wrong=wrong)

    def _in_turn(self, name: str, number: int) -> tuple[str, ...]:
        former = self._numbers.get(name)
        self._numbers[name] = number
        if former is None or number == (former + 1) % NUMBERS:
            return ()
        return (f"{name} {number} follows {name} {former}",)


def _other(name: str, header: hi.Header, payload: Any) -> Taken:
    if isinstance(payload, hi.CinReset):
        return Taken(event="cINReset: numbers may begin anew")
    if isinstance(payload, hi.OperatorLeaMessage):
        return Taken(event=f"message of the operator: {shown(payload.message)}")
    if isinstance(payload, _OURS):
        return Taken(wrong=(f"{name} {header.sequence} comes from a deliverer",))
    if isinstance(payload, hi.TestPdu) and header.sequence:
        return Taken(wrong=(f"{name} with number {header.sequence}; 0 is its number",))
    return Taken()

"""X3 PDUs of one stream at speed: all but sequence number, time and payload is encoded once."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct as Layout
from struct import error
from typing import Final

from imswire.x2x3 import attributes
from imswire.x2x3.attributes import Attribute
from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.numbers import HEADER_LENGTH, AttributeType
from imswire.x2x3.pdu import SEQUENCES, Pdu, build
from imswire.x2x3.splitter import DEFAULT_LIMIT

_SECOND: Final = 1_000_000_000
_PER_PDU = frozenset((AttributeType.SEQUENCE_NUMBER, AttributeType.TIMESTAMP))


class X3Template:
    """PDUs that differ in sequence number, timestamp and payload only.

    ``constant`` gives all else: it has neither a payload nor attributes 8 and 9, which go where their types stand
    in the order. Octet for octet what ``build`` makes of the same values. X2X3Error: a value does not fit.
    """

    __slots__ = ("_after", "_before", "_between", "_constant", "_middle", "_pack", "_room")

    def __init__(self, constant: Pdu) -> None:
        if constant.payload or any(each.type in _PER_PDU for each in constant.attributes):
            raise X2X3Error("template", "payload, sequence number and timestamp belong to each PDU")
        self._constant = constant
        octets = build(self.full(0, 0, b""))
        number = HEADER_LENGTH + len(attributes.write(self._split(constant.attributes)[0])) + 4
        self._before, self._middle = octets[:8], octets[12:number]
        self._between, self._after = octets[number + 4 : number + 8], octets[number + 16 :]
        self._pack = Layout(f"!8sI{len(self._middle)}sI4sII{len(self._after)}s").pack
        self._room = DEFAULT_LIMIT - len(octets)

    @staticmethod
    def _split(held: tuple[Attribute, ...]) -> tuple[tuple[Attribute, ...], tuple[Attribute, ...]]:
        """Those before attributes 8 and 9, and those behind them."""
        for place, each in enumerate(held):
            if each.type > AttributeType.TIMESTAMP:
                return held[:place], held[place:]
        return held, ()

    def full(self, sequence: int, time_ns: int, payload: bytes, sdp: bytes | None = None) -> Pdu:
        """The PDU as a value; with ``sdp`` it opens the stream, or says that its description is another now."""
        before, behind = self._split(self._constant.attributes)
        number = Attribute(AttributeType.SEQUENCE_NUMBER, sequence)
        time = Attribute(AttributeType.TIMESTAMP, time_ns)
        described = () if sdp is None else (Attribute(AttributeType.SDP, sdp),)
        old = self._constant
        held = (*before, number, time, *behind, *described)
        return Pdu(old.kind, old.format, old.direction, old.xid, old.correlation, held, payload, old.version)

    def pdu(self, sequence: int, time_ns: int, payload: bytes) -> bytes:
        """One PDU; X2X3Error when the number, the time or the size of the payload is out of range."""
        size = len(payload)
        if size > self._room:
            raise X2X3Error("payload", f"{size} octets, at most {self._room} are sent")
        try:
            return (
                self._pack(
                    self._before,
                    size,
                    self._middle,
                    sequence,
                    self._between,
                    time_ns // _SECOND,
                    time_ns % _SECOND,
                    self._after,
                )
                + payload
            )
        except error:
            raise X2X3Error("attributes", "sequence number or time out of range") from None

    def pdus(self, sequence: int, records: Iterable[tuple[int, bytes]]) -> list[bytes]:
        """PDUs of (time, payload), numbered from ``sequence`` on, which wraps at 2^32."""
        pdu = self.pdu
        return [
            pdu(number % SEQUENCES, time_ns, payload) for number, (time_ns, payload) in enumerate(records, sequence)
        ]

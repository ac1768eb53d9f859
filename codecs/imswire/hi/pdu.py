"""PS-PDUs (TS 102 232-1 annex A): octets to values and back."""

from __future__ import annotations

from imswire.hi.values import PsPdu


def parse(octets: bytes) -> PsPdu:
    """Exactly one PS-PDU, in any BER; HiError when it is none, is cut short or has octets behind it."""
    raise NotImplementedError


def build(pdu: PsPdu) -> bytes:
    """The PS-PDU in DER; HiError when a value breaks a bound of the module."""
    raise NotImplementedError

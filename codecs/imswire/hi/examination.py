"""What an examination of octets gives: each member with its place, and each rule that is broken.

Reading stops at the first fault; examining goes on, as far as lengths can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from imswire import ber
from imswire.ber import BerError, Tlv


class Finding(Struct, frozen=True, gc=False):
    """A rule that is broken: member, rule, offset."""

    path: str
    rule: str
    offset: int

    def __str__(self) -> str:
        return f"{self.path} at offset {self.offset}: {self.rule}"


class Node(Struct, frozen=True):
    """A member as it stands in the octets: ``value`` is None where there are nodes inside."""

    name: str
    offset: int
    octets: int
    value: str | int | None = None
    inside: tuple[Node, ...] = ()
    items: bool = False


MAX_FINDINGS = 256  # of one PS-PDU: a hostile one could have one for every two octets


class Report:
    """What an examination finds on its way; ``keys`` says whether key material is shown, ``values`` whether any
    value is, and ``path`` where it is.
    """

    __slots__ = ("findings", "keys", "path", "values")

    def __init__(self, keys: bool = False, *, values: bool = True) -> None:
        self.findings: list[Finding] = []
        self.keys = keys
        self.values = values
        self.path: list[str] = []

    def say(self, rule: str, offset: int, member: str = "") -> None:
        """A finding; of very many the first are listed."""
        if len(self.findings) >= MAX_FINDINGS:
            return
        path = joined(self.path + [member] if member else self.path)
        self.findings.append(Finding(path, rule, offset))


def joined(names: Iterable[str]) -> str:
    """Names of members to a path: "payload.iRIPayloadSequence[0].iRIType"."""
    path = ""
    for name in names:
        path += name if name.startswith("[") or not path else f".{name}"
    return path


def parts(octets: bytes, tlv: Tlv, report: Report) -> Iterable[Tlv]:
    """The TLVs inside, as far as they can be read."""
    if tlv.constructed:
        try:
            return ber.elements(octets, tlv)
        except BerError:
            pass
    return _as_far_as_they_go(octets, tlv, report)


def _as_far_as_they_go(octets: bytes, tlv: Tlv, report: Report) -> Iterator[Tlv]:
    if not tlv.constructed:
        report.say("primitive where parts should be", tlv.at)
        return
    at = tlv.start
    while at < tlv.end:
        try:
            inner = ber.read(octets, at, tlv.end)
        except BerError as fault:
            report.say(fault.reason, fault.offset)
            return
        yield inner
        at = inner.after


def unknown(octets: bytes, tlv: Tlv) -> Node:
    """A member that no table has: its octets in hexadecimal."""
    kind = ("UNIVERSAL ", "APPLICATION ", "", "PRIVATE ")[tlv.klass]
    return Node(f"<{kind}{tlv.number}>", tlv.at, tlv.after - tlv.at, hexadecimal(octets[tlv.start : tlv.end]))


MAX_SHOWN = 4_096  # octets of a value in hexadecimal


def hexadecimal(octets: bytes) -> str:
    """Octets in hexadecimal; of very many the first."""
    more = f" and {len(octets) - MAX_SHOWN} octets more" if len(octets) > MAX_SHOWN else ""
    return "0x" + octets[:MAX_SHOWN].hex() + more

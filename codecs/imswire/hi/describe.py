"""PS-PDUs for people: each member with its path, value and place; and the same as JSON.

Key material (cCDecKey, cCSalt) is withheld unless asked for. Octets that are text are shown as text, on one
line; others in hexadecimal ("0x...").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from imswire.ber import BerError
from imswire.hi.errors import HiError
from imswire.hi.examination import Node, Report, joined
from imswire.hi.pdu import PS_PDU
from imswire.hi.primitives import sequence
from imswire.hi.schema import within


class Line(Struct, frozen=True, gc=False):
    """A member without members: its path, value, and where its TLV stands."""

    path: str
    value: str | int
    offset: int
    octets: int

    def __str__(self) -> str:
        return f"{self.path} = {self.value}"


def tree(octets: bytes, *, keys: bool = False) -> Node:
    """The PS-PDU as nodes in one another; HiError when the octets are not one SEQUENCE.

    What cannot be read inside is shown as far as it can; :func:`imswire.hi.check.check` says what is wrong.
    """
    try:
        outer = sequence(octets)
    except (HiError, BerError) as fault:
        raise within("PS-PDU", fault) from None
    return PS_PDU.examine(octets, outer, "PS-PDU", Report(keys))


def lines(octets: bytes, *, keys: bool = False) -> list[Line]:
    """Every member that holds a value, in the order of the octets."""
    return list(_lines(tree(octets, keys=keys), []))


def _lines(node: Node, path: list[str]) -> Iterator[Line]:
    for inner in node.inside:
        path.append(inner.name)
        if inner.value is not None:
            yield Line(joined(path), inner.value, inner.offset, inner.octets)
        yield from _lines(inner, path)
        path.pop()


def as_json(octets: bytes, *, keys: bool = False) -> dict[str, Any]:
    """The same as dictionaries (members by name), lists (items) and values; a member that stands twice is a list."""
    value = _json(tree(octets, keys=keys))
    return value if isinstance(value, dict) else {}


def _json(node: Node) -> Any:
    if node.value is not None:
        return node.value
    if node.items:
        return [_json(inner) for inner in node.inside]
    if len(node.inside) == 1 and node.name.startswith("["):
        return {node.inside[0].name: _json(node.inside[0])}
    found: dict[str, Any] = {}
    for inner in node.inside:
        value = _json(inner)
        if inner.name in found:
            before = found[inner.name]
            value = [*before, value] if isinstance(before, list) else [before, value]
        found[inner.name] = value
    return found

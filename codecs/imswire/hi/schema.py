"""ASN.1 types of the modules as tables: one declaration writes, reads, and examines.

A type knows the contents of its TLV; the tag is that of the member that has it. All modules here have IMPLICIT
TAGS with context tags throughout, where a CHOICE under a tag is explicit (X.680 31.2.7).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol

from msgspec import Struct

from imswire import ber
from imswire.ber import BerError, Tlv
from imswire.hi.errors import HiError
from imswire.hi.examination import Node, Report, joined, parts, unknown

MAX_ITEMS = 65_536  # of one SEQUENCE OF; the longest that the standards foresee has some thousands


def within(name: str, fault: HiError | BerError) -> HiError:
    """The same fault, seen from outside of member ``name``."""
    if isinstance(fault, BerError):
        return HiError(name, fault.reason, fault.offset)
    if not fault.path:
        return HiError(name, fault.reason, fault.offset)
    return HiError(joined((name, fault.path)), fault.reason, fault.offset)


class Type(Protocol):
    """What a member can be of."""

    universal: int  # tag where it has no other; -1: a CHOICE, which has none
    constructed: bool

    def write(self, value: Any) -> bytes:
        """Contents; HiError when the value is out of bounds."""

    def read(self, octets: bytes, tlv: Tlv) -> Any:
        """The value; HiError or BerError."""

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        """The node; findings go to the report."""


class Leaf:
    """A primitive: subclasses say how it is shown and what is wrong with it."""

    universal = ber.OCTET_STRING
    constructed = False

    def write(self, value: Any) -> bytes:
        raise NotImplementedError

    def read(self, octets: bytes, tlv: Tlv) -> Any:
        raise NotImplementedError

    def shown(self, value: Any, report: Report) -> str | int:  # noqa: ARG002
        """As text or number."""
        return str(value)

    def wrong(self, value: Any) -> str | None:  # noqa: ARG002
        """The bound that a value breaks; both directions ask."""
        return None

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        size = tlv.after - tlv.at
        try:
            value = self.read(octets, tlv)
        except (HiError, BerError) as fault:
            report.say(fault.reason, tlv.at)
            return Node(name, tlv.at, size, f"<{tlv.end - tlv.start} octets, not readable>")
        if rule := self.wrong(value):
            report.say(rule, tlv.at)
        return Node(name, tlv.at, size, self.shown(value, report) if report.values else "")

    def _bounded(self, value: Any) -> None:
        if rule := self.wrong(value):
            raise HiError("", rule)


class Member(Struct, frozen=True):
    """A member of a SEQUENCE or alternative of a CHOICE.

    ``attr`` names the attribute of the value ("": the member is seen by examination only), ``get`` takes it from
    there where that is more than reading the attribute.
    """

    tag: int
    name: str
    attr: str
    type: Type
    optional: bool = True
    get: Callable[[Any], Any] | None = None


def must(tag: int, name: str, attr: str, type_: Type, get: Callable[[Any], Any] | None = None) -> Member:
    """A member that is not OPTIONAL."""
    return Member(tag, name, attr, type_, False, get)


NOT_STRINGS = frozenset({ber.BOOLEAN, ber.INTEGER, ber.ENUMERATED, ber.NULL, ber.OBJECT_IDENTIFIER, ber.RELATIVE_OID})


class Sequence:
    """SEQUENCE: a value of class ``cls``; what is not in the table (extensions) is stepped over.

    ``make`` builds the value of what was read (None: the class, of attributes). ``rest`` names an attribute
    that takes the TLVs which are not in the table, as they are.
    """

    universal = ber.SEQUENCE
    constructed = True

    def __init__(
        self,
        cls: type,
        members: tuple[Member, ...],
        *,
        make: Callable[[dict[str, Any]], Any] | None = None,
        rest: str | None = None,
    ) -> None:
        self._cls = cls
        self._make = make
        self._rest = rest
        self._members = members
        self._place = {
            member.tag: (
                place,
                member.name,
                member.type.examine,
                not member.type.constructed and member.type.universal in NOT_STRINGS,
            )
            for place, member in enumerate(members)
        }
        self._missing = tuple(member for member in members if not member.optional)
        self._written = tuple(
            (
                member.get or attrgetter(member.attr),
                ber.identifier(ber.CONTEXT, member.tag, member.type.constructed),
                member.type.write,
                member,
            )
            for member in members
            if member.attr
        )
        self._read = {member.tag: (member.attr, member.type.read, member.name) for member in members if member.attr}

    def write(self, value: Any) -> bytes:
        parts: list[bytes] = []
        for get, head, write, member in self._written:
            each = get(value)
            if each is None:
                if not member.optional:
                    raise HiError(member.name, "missing")
                continue
            try:
                contents = write(each)
            except (HiError, BerError) as fault:
                raise within(member.name, _unplaced(fault)) from None
            size = len(contents)
            parts += (head, _LENGTHS[size] if size < 0x80 else ber.length(size), contents)
        if self._rest is not None:
            parts += map(one_tlv, getattr(value, self._rest))
        return b"".join(parts)

    def read(self, octets: bytes, tlv: Tlv) -> Any:
        found: dict[str, Any] = {}
        rest: list[bytes] = []
        for inner in ber.elements(octets, tlv):
            known = self._read.get(inner.number) if inner.klass == ber.CONTEXT else None
            if known is None:
                if self._rest is not None:
                    rest.append(octets[inner.at : inner.after])
                continue
            attr, read, name = known
            if attr in found:
                raise HiError(name, "twice", inner.at)
            try:
                found[attr] = read(octets, inner)
            except (HiError, BerError) as fault:
                raise within(name, fault) from None
        for member in self._missing:
            if member.attr not in found:
                raise HiError(member.name, "missing", tlv.at)
        if self._rest is not None:
            found[self._rest] = tuple(rest)
        return self._make(found) if self._make is not None else self._cls(**found)

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        inside: list[Node] = []
        seen: set[int] = set()
        last = -1
        path, places = report.path, self._place
        for inner in parts(octets, tlv, report):
            klass, number, constructed, at, _, _, _ = inner
            known = places.get(number) if klass == ber.CONTEXT else None
            if known is None:
                inside.append(unknown(octets, inner))
                continue
            place, member_name, examine, primitive = known
            path.append(member_name)
            if number in seen:
                report.say("twice", at)
            elif place < last:
                report.say("behind a member that it comes before", at)
            else:
                last = place
            seen.add(number)
            if constructed and primitive:
                report.say("constructed where it is a primitive", at)
            inside.append(examine(octets, inner, member_name, report))
            path.pop()
        for member in self._missing:
            if member.tag not in seen:
                report.say("missing", tlv.at, member.name)
        return Node(name, tlv.at, tlv.after - tlv.at, None, tuple(inside))


_LENGTHS = tuple(map(ber.length, range(0x80)))


class Remembered(Sequence):
    """A SEQUENCE whose values come again and again: what was written for one is kept, for ``limit`` of them."""

    limit = 256

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept: dict[Any, bytes] = {}

    def write(self, value: Any) -> bytes:
        contents = self._kept.get(value)
        if contents is None:
            contents = super().write(value)
            if len(self._kept) >= self.limit:
                self._kept.clear()
            self._kept[value] = contents
        return contents


class SequenceOf:
    """SEQUENCE OF or SET OF (``unordered``): a tuple; the order of a SET OF stays as given."""

    constructed = True

    def __init__(self, item: Type, low: int = 0, high: int = MAX_ITEMS, *, unordered: bool = False) -> None:
        self.universal = ber.SET if unordered else ber.SEQUENCE
        self._item = item
        self._low, self._high = low, high

    def write(self, value: Any) -> bytes:
        if rule := self._wrong(len(value)):
            raise HiError("", rule)
        many = getattr(self._item, "write_items", None)
        if many is not None and (octets := many(value)) is not None:
            return bytes(octets)
        written = []
        for number, each in enumerate(value):
            try:
                written.append(write_item(self._item, each))
            except (HiError, BerError) as fault:
                raise within(f"[{number}]", _unplaced(fault)) from None
        return b"".join(written)

    def read(self, octets: bytes, tlv: Tlv) -> tuple[Any, ...]:
        inside = ber.elements(octets, tlv)
        if len(inside) > MAX_ITEMS:
            raise HiError("", f"more than {MAX_ITEMS} items", tlv.at)
        found = []
        for number, inner in enumerate(inside):
            try:
                found.append(read_item(self._item, octets, inner))
            except (HiError, BerError) as fault:
                raise within(f"[{number}]", fault) from None
        return tuple(found)

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        inside: list[Node] = []
        for number, inner in enumerate(parts(octets, tlv, report)):
            if number >= MAX_ITEMS:
                report.say(f"more than {MAX_ITEMS} items", inner.at)
                break
            report.path.append(f"[{number}]")
            inside.append(examine_item(self._item, octets, inner, f"[{number}]", report))
            report.path.pop()
        if rule := self._wrong(len(inside)):
            report.say(rule, tlv.at)
        return Node(name, tlv.at, tlv.after - tlv.at, None, tuple(inside), items=True)

    def _wrong(self, count: int) -> str | None:
        return None if self._low <= count <= self._high else f"{count} items, {self._low} to {self._high} are allowed"


class Choice:
    """CHOICE of tagged alternatives. ``pick`` gives an alternative's tag and inner value, ``make`` is its inverse.

    Its contents, where a tag stands around it, are the TLV of the alternative.
    """

    universal = -1
    constructed = True

    def __init__(
        self,
        alternatives: tuple[Member, ...],
        pick: Callable[[Any], tuple[int, Any]],
        make: Callable[[int, Any], Any],
        other: Callable[[int, bytes], Any] | None = None,
    ) -> None:
        """``other`` makes the value of an alternative that is not in the table, of its tag and TLV."""
        self._alternatives = {member.tag: member for member in alternatives}
        self._heads = {
            member.tag: ber.identifier(ber.CONTEXT, member.tag, member.type.constructed) for member in alternatives
        }
        self._pick, self._make, self._other = pick, make, other

    def write(self, value: Any) -> bytes:
        tag, inner = self._pick(value)
        member = self._alternatives.get(tag)
        if member is None:
            if self._other is None or not isinstance(inner, bytes):
                raise HiError("", f"no alternative with tag {tag}")
            return one_tlv(inner)
        try:
            return ber.tlv(self._heads[tag], member.type.write(inner))
        except (HiError, BerError) as fault:
            raise within(member.name, _unplaced(fault)) from None

    def read(self, octets: bytes, tlv: Tlv) -> Any:
        return self.read_item(octets, one_inside(octets, tlv))

    def read_item(self, octets: bytes, tlv: Tlv) -> Any:
        """Of the alternative's own TLV."""
        member = self._alternatives.get(tlv.number) if tlv.klass == ber.CONTEXT else None
        if member is None:
            if self._other is None or tlv.klass != ber.CONTEXT:
                raise HiError("", f"no such alternative: tag {tlv.number} of class {tlv.klass}", tlv.at)
            return self._other(tlv.number, octets[tlv.at : tlv.after])
        try:
            return self._make(tlv.number, member.type.read(octets, tlv))
        except (HiError, BerError) as fault:
            raise within(member.name, fault) from None

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        inside = tuple(parts(octets, tlv, report))
        if len(inside) != 1:
            report.say(f"{len(inside)} TLVs where one alternative is chosen", tlv.at)
        nodes = tuple(self.examine_item(octets, each, report) for each in inside)
        return Node(name, tlv.at, tlv.after - tlv.at, None, nodes)

    def examine_item(self, octets: bytes, tlv: Tlv, report: Report) -> Node:
        member = self._alternatives.get(tlv.number) if tlv.klass == ber.CONTEXT else None
        if member is None:
            if self._other is None or tlv.klass != ber.CONTEXT:
                report.say(f"no such alternative: tag {tlv.number} of class {tlv.klass}", tlv.at)
            return unknown(octets, tlv)
        report.path.append(member.name)
        node = member.type.examine(octets, tlv, member.name, report)
        report.path.pop()
        return node


# What all of them share


def write_item(type_: Type, value: Any) -> bytes:
    """The TLV of an item without a tag of its own."""
    if isinstance(type_, Choice):
        return type_.write(value)
    return ber.tlv(ber.identifier(ber.UNIVERSAL, type_.universal, type_.constructed), type_.write(value))


def read_item(type_: Type, octets: bytes, tlv: Tlv) -> Any:
    """The value of an item without a tag of its own."""
    if isinstance(type_, Choice):
        return type_.read_item(octets, tlv)
    if tlv.klass != ber.UNIVERSAL or tlv.number != type_.universal:
        raise HiError("", f"tag {tlv.number} of class {tlv.klass} where {type_.universal} should be", tlv.at)
    return type_.read(octets, tlv)


def examine_item(type_: Type, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
    """The node of an item without a tag of its own."""
    if isinstance(type_, Choice):
        node = type_.examine_item(octets, tlv, report)
        return Node(name, tlv.at, tlv.after - tlv.at, None, (node,))
    if tlv.klass != ber.UNIVERSAL or tlv.number != type_.universal:
        report.say(f"tag {tlv.number} of class {tlv.klass} where {type_.universal} should be", tlv.at)
    return type_.examine(octets, tlv, name, report)


def one_inside(octets: bytes, tlv: Tlv) -> Tlv:
    """The only TLV inside a constructed one."""
    inside = ber.elements(octets, tlv)
    if len(inside) != 1:
        raise HiError("", f"{len(inside)} TLVs where one is chosen", tlv.at)
    return inside[0]


def one_tlv(octets: bytes) -> bytes:
    """The octets, when they are one TLV of the context class."""
    try:
        klass = ber.only(octets).klass
    except BerError as fault:
        raise HiError("", f"not one TLV: {fault.reason}") from None
    if klass != ber.CONTEXT:
        raise HiError("", "not a TLV of the context class")
    return octets


def _unplaced(fault: HiError | BerError) -> HiError:
    """A value that was to be written stands nowhere."""
    return HiError(fault.path if isinstance(fault, HiError) else "", fault.reason)


# A contents' TLV, alone


def write_contents(name: str, head: bytes, type_: Type, value: Any) -> bytes:
    """The TLV with identifier ``head``; HiError of ``name`` when a value is out of bounds."""
    try:
        return ber.tlv(head, type_.write(value))
    except (HiError, BerError) as fault:
        raise within(name, _unplaced(fault)) from None


def read_contents(name: str, tag: int, type_: Type, octets: bytes) -> Any:
    """The value of the TLV that the octets are; HiError of ``name`` when it is another, or broken."""
    try:
        tlv = ber.only(octets)
        if (tlv.klass, tlv.number) != (ber.CONTEXT, tag):
            raise HiError("", f"tag {tlv.number} of class {tlv.klass} where {tag} should be", tlv.at)
        return type_.read(octets, tlv)
    except (HiError, BerError) as fault:
        raise within(name, fault) from None

"""Elements as tables: one declaration reads, and writes in the schema's order.

A type fills an element with a value and takes the value back out. Reading comes behind validation, so that a table
need not check what the schema does; but it stands alone: what it does not know is refused, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from operator import attrgetter
from typing import Any, Protocol

from lxml import etree
from msgspec import Struct

from imswire.x1 import times
from imswire.x1.document import X1, Element, keep_place, read, set_type, type_name
from imswire.x1.enumerations import ErrorCode
from imswire.x1.errors import X1Error
from imswire.x1.extensions import Extension, ForeignElement


class Type(Protocol):
    """What an element can hold."""

    def read(self, element: Element) -> Any:
        """The value; X1Error."""

    def write(self, value: Any, element: Element) -> None:
        """Fill the element; X1Error."""


class Leaf:
    """Text: ``parse`` and ``text`` raise ValueError for what is none of theirs."""

    def __init__(self, parse: Callable[[str], Any], text: Callable[[Any], str]) -> None:
        self._parse = parse
        self._text = text

    def read(self, element: Element) -> Any:
        if len(element):
            raise X1Error("elements where a value belongs")
        try:
            return self._parse(element.text or "")
        except ValueError:
            raise X1Error("no value of its type") from None

    def write(self, value: Any, element: Element) -> None:
        try:
            # An empty text is no text: libxml2 would take it for content where the schema fixes that to nothing.
            element.text = self._text(value) or None
        except ValueError:
            raise X1Error("no value of its type") from None


def collapsed(text: str) -> str:
    """White space as xs:token has it."""
    words = text.split()
    return words[0] if len(words) == 1 else " ".join(words)


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[collapsed(text)]
    except KeyError:
        raise ValueError("no xs:boolean") from None


def word(kind: type[StrEnum]) -> Leaf:
    """One of the words that the schema lists."""
    return Leaf(kind, lambda value: kind(value).value)


def _as_it_is(text: str) -> str:
    return text


STRING = Leaf(_as_it_is, _as_it_is)
TOKEN = Leaf(collapsed, _as_it_is)
INTEGER = Leaf(int, str)
BOOLEAN = Leaf(_boolean, lambda value: "true" if value else "false")
HEX = Leaf(bytes.fromhex, bytes.hex)
TIME = Leaf(lambda text: times.of_text(collapsed(text)), times.text_of)


class Valued:
    """A value class of one attribute, ``value``."""

    def __init__(self, cls: Callable[[Any], Any], inner: Type) -> None:
        self._cls = cls
        self._inner = inner

    def read(self, element: Element) -> Any:
        return self._cls(self._inner.read(element))

    def write(self, value: Any, element: Element) -> None:
        self._inner.write(value.value, element)


class Member(Struct, frozen=True):
    """An element in a sequence, and the attribute of the value that it is (dotted: of a value in it)."""

    name: str
    attr: str
    type: Type
    optional: bool = False
    many: bool = False
    ns: str = X1

    @property
    def tag(self) -> str:
        return f"{{{self.ns}}}{self.name}"


def must(name: str, attr: str, type_: Type, ns: str = X1) -> Member:
    """Exactly once."""
    return Member(name, attr, type_, ns=ns)


def may(name: str, attr: str, type_: Type) -> Member:
    """At most once; None or an empty tuple: not there."""
    return Member(name, attr, type_, optional=True)


def many(name: str, attr: str, type_: Type) -> Member:
    """Any number of times: a tuple."""
    return Member(name, attr, type_, optional=True, many=True)


class Sequence:
    """xs:sequence: a value of class ``cls``. ``make`` builds it of what was read, where that is not by keyword."""

    def __init__(self, cls: type, *members: Member, make: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self.cls = cls
        self._make = make
        self._read = {each.tag: (each.attr, each.type.read, each.many) for each in members}
        self._write = tuple((each.tag, attrgetter(each.attr), each) for each in members)
        self._required = frozenset(each.attr for each in members if not each.optional)
        self._many = frozenset(each.attr for each in members if each.many)
        self._names = {each.attr: each.name for each in members}

    def read(self, element: Element) -> Any:
        found: dict[str, Any] = {}
        for child in element:
            known = self._read.get(child.tag)
            if known is None:
                raise X1Error("a member that is not known")
            attr, reading, repeats = known
            try:
                value = reading(child)
            except X1Error as fault:
                raise fault.within(self._names[attr]) from None
            if repeats:
                found.setdefault(attr, []).append(value)
            elif attr in found:
                raise X1Error("twice", self._names[attr])
            else:
                found[attr] = value
        for attr in self._required - found.keys():
            raise X1Error("missing", self._names[attr])
        for attr in self._many & found.keys():
            found[attr] = tuple(found[attr])
        return self._make(found) if self._make is not None else self.cls(**found)

    def write(self, value: Any, element: Element) -> None:
        for tag, get, member in self._write:
            part = get(value)
            if member.optional and (part is None or part == ()):
                continue
            try:
                for each in part if member.many else (part,):
                    member.type.write(each, etree.SubElement(element, tag))
            except X1Error as fault:
                raise fault.within(member.name) from None


class ListOf:
    """An element that holds any number of one other: a tuple."""

    def __init__(self, name: str, inner: Type) -> None:
        self._tag = f"{{{X1}}}{name}"
        self._name = name
        self._inner = inner

    def read(self, element: Element) -> tuple[Any, ...]:
        try:
            return tuple([self._one(child) for child in element])
        except X1Error as fault:
            raise fault.within(self._name) from None

    def _one(self, child: Element) -> Any:
        if child.tag != self._tag:
            raise X1Error("a member that is not known")
        return self._inner.read(child)

    def write(self, value: tuple[Any, ...], element: Element) -> None:
        for each in value:
            try:
                self._inner.write(each, etree.SubElement(element, self._tag))
            except X1Error as fault:
                raise fault.within(self._name) from None


class Choice:
    """xs:choice: the class of the value tells which. What is in ``opaque`` is kept, with its name."""

    def __init__(
        self, alternatives: Mapping[str, tuple[type, Type]], *, ns: str = X1, opaque: tuple[str, ...] = ()
    ) -> None:
        self._read = {f"{{{ns}}}{name}": (name, each.read) for name, (_, each) in alternatives.items()}
        self._write = {cls: (f"{{{ns}}}{name}", name, each.write) for name, (cls, each) in alternatives.items()}
        self._opaque = {f"{{{ns}}}{name}": name for name in opaque}

    def read(self, element: Element) -> Any:
        if len(element) != 1:
            raise X1Error("not one of the alternatives")
        child = element[0]
        if child.tag in self._opaque:
            return Opaque(self._opaque[child.tag], child.text or "", tuple([Part.of(each) for each in child]))
        if child.tag not in self._read:
            raise X1Error("none of the alternatives")
        name, reading = self._read[child.tag]
        try:
            return reading(child)
        except X1Error as fault:
            raise fault.within(name) from None

    def write(self, value: Any, element: Element) -> None:
        if isinstance(value, Opaque):
            self._keep(value, element)
            return
        if type(value) not in self._write:
            raise X1Error("none of the alternatives")
        tag, name, writing = self._write[type(value)]
        try:
            writing(value, etree.SubElement(element, tag))
        except X1Error as fault:
            raise fault.within(name) from None

    def name_of(self, value: Any) -> str:
        """The alternative that a value is."""
        return self._write[type(value)][1]

    def _keep(self, value: Opaque, element: Element) -> None:
        if f"{{{X1}}}{value.name}" not in self._opaque:
            raise X1Error("none of the alternatives")
        kept = etree.SubElement(element, f"{{{X1}}}{value.name}")
        STRING.write(value.text, kept)
        for each in value.parts:
            STRING.write(each.text, etree.SubElement(kept, f"{{{each.ns}}}{each.name}"))


class Part(Struct, frozen=True, gc=False):
    """An element in one that is kept."""

    ns: str
    name: str
    text: str

    @classmethod
    def of(cls, element: Element) -> Part:
        """X1Error when it holds elements."""
        name = etree.QName(element)
        return cls(name.namespace or "", name.localname, STRING.read(element))


class Opaque(Struct, frozen=True, gc=False):
    """An alternative that midcall names and does not look into. The representation shows no content."""

    name: str
    text: str
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        return f"Opaque(name={self.name!r}, <redacted>)"


class Derived:
    """An abstract type: xsi:type tells which. ``kinds`` by namespace and name of the type."""

    def __init__(self, kinds: Mapping[tuple[str, str], Sequence]) -> None:
        self._kinds = dict(kinds)
        self._of = {kind.cls: (name, kind) for name, kind in kinds.items()}

    def read(self, element: Element) -> Any:
        kind = self._kinds.get(type_name(element) or ("", ""))
        if kind is None:
            raise X1Error("a type that is not supported", code=ErrorCode.UNSUPPORTED)
        return kind.read(element)

    def write(self, value: Any, element: Element) -> None:
        if type(value) not in self._of:
            raise X1Error("a type that is not supported", code=ErrorCode.UNSUPPORTED)
        (namespace, name), kind = self._of[type(value)]
        set_type(element, namespace, name)
        kind.write(value, element)


class ExtensionType:
    """An extension: its Owner, and whatever elements of other namespaces it put there."""

    _OWNER = f"{{{X1}}}Owner"

    def read(self, element: Element) -> Extension:
        if not len(element) or element[0].tag != self._OWNER:
            raise X1Error("missing", "Owner")
        owner, *others = element
        return Extension(STRING.read(owner), tuple([ForeignElement.of(each) for each in others]))

    def write(self, value: Extension, element: Element) -> None:
        STRING.write(value.owner, etree.SubElement(element, self._OWNER))
        for each in value.elements:
            foreign = read(each.octets)
            if foreign.tag != f"{{{each.namespace}}}{each.name}":
                raise X1Error("octets of another element than named")
            if any(not str(inner.tag).startswith("{") for inner in foreign.iter()):
                raise X1Error("elements of no namespace, which would take that of X1 here")
            keep_place(each.octets, element)


EXTENSION = ExtensionType()

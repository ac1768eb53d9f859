"""Tables of elements: what they read, write and refuse by themselves, whatever a schema says."""

from __future__ import annotations

from enum import StrEnum

import pytest
from msgspec import Struct

from imswire.x1 import ErrorCode, Opaque, X1Error
from imswire.x1 import members as m
from imswire.x1.document import X1, XSI_TYPE, canonical, new, read, write
from imswire.x1.extensions import Extension, ForeignElement


class Colour(StrEnum):
    RED = "red"


class Point(Struct, frozen=True):
    x: int
    y: int | None = None
    tags: tuple[str, ...] = ()


class Name(Struct, frozen=True):
    value: str


POINT = m.Sequence(Point, m.must("x", "x", m.INTEGER), m.may("y", "y", m.INTEGER), m.many("tag", "tags", m.TOKEN))
CHOICE = m.Choice({"name": (Name, m.Valued(Name, m.TOKEN)), "point": (Point, POINT)}, opaque=("other",))


def element(inside: str):
    return read(f'<e xmlns="{X1}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{inside}</e>'.encode())


def written(kind: m.Type, value: object) -> str:
    root = new(f"{{{X1}}}e", {None: X1})
    kind.write(value, root)
    return canonical(root).decode().replace(f' xmlns="{X1}"', "").removeprefix("<e>").removesuffix("</e>")


@pytest.mark.parametrize(
    ("kind", "text", "value", "again"),
    [
        (m.STRING, " a b ", " a b ", " a b "),
        (m.STRING, "", "", ""),
        (m.TOKEN, " a \n b ", "a b", "a b"),
        (m.INTEGER, " 07 ", 7, "7"),
        (m.BOOLEAN, "1", True, "true"),
        (m.BOOLEAN, " false ", False, "false"),
        (m.HEX, "00FF", b"\0\xff", "00ff"),
        (m.TIME, "1970-01-01T01:00:00.000001+01:00", 1_000, "1970-01-01T00:00:00.000001Z"),
        (m.word(Colour), "red", Colour.RED, "red"),
    ],
)
def test_text(kind, text, value, again):
    assert kind.read(element(text)) == value
    assert written(kind, value) == again


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (m.INTEGER, ""),
        (m.INTEGER, "a"),
        (m.INTEGER, "9" * 5_000),
        (m.BOOLEAN, "yes"),
        (m.HEX, "0"),
        (m.TIME, "now"),
        (m.word(Colour), "blue"),
    ],
)
def test_no_such_text(kind, text):
    with pytest.raises(X1Error, match="^no value of its type$"):
        kind.read(element(text))
    with pytest.raises(X1Error):
        m.TOKEN.read(element("<a/>"))


@pytest.mark.parametrize(("kind", "value"), [(m.STRING, "\0"), (m.TIME, 10**30), (m.word(Colour), "blue")])
def test_nothing_to_write(kind, value):
    with pytest.raises(X1Error, match="^no value of its type$"):
        written(kind, value)


def test_a_sequence():
    assert POINT.read(element("<x>1</x>")) == Point(1)
    full = Point(1, 2, ("a", "b"))
    assert POINT.read(element("<x>1</x><y>2</y><tag>a</tag><tag>b</tag>")) == full
    assert written(POINT, full) == "<x>1</x><y>2</y><tag>a</tag><tag>b</tag>"
    assert written(POINT, Point(1)) == "<x>1</x>"


@pytest.mark.parametrize(
    ("inside", "error"),
    [
        ("", "x: missing"),
        ("<x>1</x><x>2</x>", "x: twice"),
        ("<x>1</x><z/>", "a member that is not known"),
        ('<x xmlns="urn:other">1</x>', "a member that is not known"),
        ("<x>a</x>", "x: no value of its type"),
    ],
)
def test_what_a_sequence_refuses(inside, error):
    with pytest.raises(X1Error, match=f"^{error}$"):
        POINT.read(element(inside))


def test_a_list():
    kind = m.ListOf("point", POINT)
    assert kind.read(element("<point><x>1</x></point><point><x>2</x></point>")) == (Point(1), Point(2))
    assert kind.read(element("")) == ()
    assert written(kind, (Point(1),)) == "<point><x>1</x></point>"
    with pytest.raises(X1Error, match="^point: a member that is not known$"):
        kind.read(element("<x/>"))
    with pytest.raises(X1Error, match="^tag: no value of its type$"):
        written(m.ListOf("tag", m.TOKEN), ("\0",))


def test_a_choice():
    for inside, value in (
        ("<name>a</name>", Name("a")),
        ("<point><x>1</x></point>", Point(1)),
        ("<other>b</other>", Opaque("other", "b")),
        ("<other><a>b</a><c>d</c></other>", Opaque("other", "", (m.Part(X1, "a", "b"), m.Part(X1, "c", "d")))),
    ):
        assert CHOICE.read(element(inside)) == value
        assert written(CHOICE, value) == inside
    assert CHOICE.name_of(Name("a")) == "name"


@pytest.mark.parametrize("inside", ["", "<name/><name/>", "<z/>", "<point/>", "<other><a><b/></a></other>"])
def test_what_a_choice_refuses(inside):
    with pytest.raises(X1Error):
        CHOICE.read(element(inside))


@pytest.mark.parametrize("value", [Colour.RED, Name("\0"), Opaque("name", "a"), Opaque("other", "\0")])
def test_what_is_no_choice(value):
    with pytest.raises(X1Error):
        written(CHOICE, value)


def test_an_abstract_type_is_told_by_its_type():
    kind = m.Derived({(X1, "Point"): POINT})
    root = new(f"{{{X1}}}e")
    kind.write(Point(1), root)
    assert (root.get(XSI_TYPE), kind.read(root)) == ("Point", Point(1))
    for inside in ("<x>1</x>", "<x/>"):
        with pytest.raises(X1Error) as raised:
            kind.read(element(inside))
        assert raised.value.code == ErrorCode.UNSUPPORTED
    with pytest.raises(X1Error):
        kind.write(Name("a"), root)


def test_an_extension_has_an_owner():
    assert m.EXTENSION.read(element("<Owner>o</Owner>")).owner == "o"
    for inside in ("", "<a xmlns='urn:a'/>"):
        with pytest.raises(X1Error, match="Owner"):
            m.EXTENSION.read(element(inside))


def test_an_extension_holds_no_elements_without_a_namespace():
    """Below the default namespace of X1 they would be X1's."""
    found = m.EXTENSION.read(element("<Owner>o</Owner><a:a xmlns:a='urn:a'><b xmlns=''/></a:a>"))
    assert found.elements[0].octets == b'<a:a xmlns:a="urn:a"><b></b></a:a>'
    with pytest.raises(X1Error, match="no namespace"):
        written(m.EXTENSION, found)


def test_an_extension_is_written_as_it_is_kept():
    extension = Extension("o", (ForeignElement.parse(b'<a xmlns="urn:a">b</a>'),))
    root = new(f"{{{X1}}}e")
    m.EXTENSION.write(extension, root)
    octets, final = write(root)
    assert b'<a xmlns="urn:a">b</a>' in octets
    assert m.EXTENSION.read(final) == extension
    with pytest.raises(X1Error, match="another element"):
        m.EXTENSION.write(Extension("o", (ForeignElement("urn:b", "a", b'<a xmlns="urn:a"/>'),)), root)


def test_what_is_kept_shows_its_name_only():
    assert repr(Opaque("imsi", "262011234567890")) == "Opaque(name='imsi', <redacted>)"

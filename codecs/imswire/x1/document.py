"""XML as X1 has it: UTF-8, no DTD and so no entities, within bounds; nothing is ever fetched.

The bounds come before the work: size, document type declarations and the number of tags are seen in the octets,
before the parser sees them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from lxml import etree
from msgspec import Struct

from imswire.x1.enumerations import ErrorCode
from imswire.x1.errors import X1Error

Element = etree._Element

X1 = "http://uri.etsi.org/03221/X1/2017/10"
COMMON = "http://uri.etsi.org/03280/common/2017/07"
HASHED_ID = "http://uri.etsi.org/03221/X1/2017/10/HashedID"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSI_TYPE = f"{{{XSI}}}type"
PREFIXES = {None: X1, "etsi103280": COMMON, "hashedID": HASHED_ID, "xsi": XSI}


class Limits(Struct, frozen=True):
    """What a document may be at most.

    libxml2 looks up the place of each schema fault among its siblings, which makes the time for a document full of
    faults grow with the square of ``siblings``: 1 000 of them take some 20 ms. There may be as many attributes as
    ``elements``.
    """

    octets: int
    elements: int
    siblings: int
    depth: int


# A hundred tasks with a signed warrant each; the schema's own deepest place is 14, extensions go deeper.
REQUEST_LIMITS = Limits(octets=1 << 20, elements=8_192, siblings=1_000, depth=32)
# GetAllDetails of ten thousand tasks, from an element that the ADMF itself called.
RESPONSE_LIMITS = Limits(octets=32 << 20, elements=1_000_000, siblings=20_000, depth=32)

# One pattern of the schema, ".+@.+", takes time with the square of the number of "@".
MAX_ATS = 8
MAX_NAMESPACES = 64  # declared in one extension and around it; canonicalization looks through all at each element

_PARSER = etree.XMLParser(
    encoding="utf-8",  # whatever the document declares: what was looked for in the octets is then what is parsed
    resolve_entities=False,
    load_dtd=False,
    dtd_validation=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,  # else a comment would cut a value in two, of which a reader sees the first
    remove_pis=True,
)
_PLACE = b"midcall-octets"
_PLACES = re.compile(rb"<\?midcall-octets ([A-Za-z0-9+/=]+)\?>")
_EMAIL = b"internationalizedEmailAddress"
_BEHIND_ATS = "substring-after(" * MAX_ATS + "." + ", '@')" * MAX_ATS
_TOO_MANY_ATS = etree.XPath(f"boolean(//*[local-name() = '{_EMAIL.decode()}'][contains({_BEHIND_ATS}, '@')])")
_PREFIXED = re.compile(r"(?<![^\s\"'{}\[\]()/@,;])([^\W\d][\w.-]*):(?=[^\W\d])")
_DECLARED = re.compile(rb"xmlns:([^\s=]+)=")
_LEANING_TYPE = etree.XPath(
    "boolean(descendant-or-self::*[contains(name(), ':') and @xsi:type[not(contains(., ':'))]])",
    namespaces={"xsi": XSI},
)


def read(octets: bytes, limits: Limits = REQUEST_LIMITS) -> Element:
    """The root element; X1Error when it is no XML, is beyond a bound, or has a document type declaration."""
    if len(octets) > limits.octets:
        raise _refused("longer than allowed")
    if b"<!DOCTYPE" in octets:
        raise _refused("a document type declaration")
    tags = octets.count(b"<") - octets.count(b"</")
    if tags > limits.elements:
        raise _refused("more elements than allowed")
    try:
        root = etree.fromstring(octets, _PARSER)
    except (etree.LxmlError, ValueError):
        raise _refused("not well-formed") from None
    if _deeper(limits.depth)(root):
        raise _refused("deeper than allowed")
    if octets.count(b"=") > limits.elements and _more_attributes(limits.elements)(root):
        raise _refused("more attributes than allowed")
    if tags > limits.siblings and _wider(limits.siblings)(root):
        raise _refused("more elements in one than allowed")
    if _EMAIL in octets and _TOO_MANY_ATS(root):
        raise _refused("no address")
    return root


def new(tag: str, namespaces: Mapping[str | None, str] = PREFIXES) -> Element:
    """A root element with prefixes declared (None: the default namespace)."""
    return etree.Element(tag, nsmap=cast(dict[str, str], dict(namespaces)))


def write(root: Element) -> tuple[bytes, Element]:
    """The document with its declaration, and its root as a receiver has it: with the foreign octets in their place."""
    octets = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    if _PLACE not in octets:
        return octets, root
    octets = _PLACES.sub(lambda place: base64.b64decode(place[1]), octets)
    return octets, read(octets, RESPONSE_LIMITS)


def keep_place(octets: bytes, element: Element) -> None:
    """Put foreign octets into an element: as they are, since a tree would find other prefixes for them."""
    element.append(etree.ProcessingInstruction(_PLACE.decode(), base64.b64encode(octets).decode()))


def canonical(element: Element) -> bytes:
    """An element as a document of its own: Exclusive XML Canonicalization, without comments.

    Prefixes that stand in values (QNames) are kept along, wherever they were declared. X1Error when it has no
    canonical form (relative namespace names), or more namespaces than an extension needs.
    """
    plain = etree.tostring(element, encoding="UTF-8", with_tail=False)
    if plain.count(b"xmlns") > MAX_NAMESPACES:
        raise X1Error("more namespaces than allowed")
    declared = {prefix.decode() for prefix in _DECLARED.findall(plain)}
    prefixes = sorted(declared & _mentioned(element)) if declared else []
    if b":type" in plain and _LEANING_TYPE(element):
        raise X1Error("a type that leans on the default namespace around it")
    try:
        return etree.tostring(
            element, method="c14n", exclusive=True, with_comments=False, with_tail=False, inclusive_ns_prefixes=prefixes
        )
    except (etree.LxmlError, ValueError):
        raise X1Error("an extension without a canonical form") from None


def _mentioned(element: Element) -> set[str]:
    """Prefixes that values mention, or seem to."""
    found: set[str] = set()
    for each in element.iter():
        for value in (each.text, *each.attrib.values()):
            if value and ":" in value:
                found.update(_PREFIXED.findall(value))
    return found


def type_name(element: Element) -> tuple[str, str] | None:
    """Namespace and name of xsi:type; None: it has none, or one that resolves to nothing."""
    prefix, colon, name = (element.get(XSI_TYPE) or "").strip().rpartition(":")
    namespace = element.nsmap.get(prefix if colon else None)
    return (namespace or "", name) if name and (namespace or not colon) else None


def set_type(element: Element, namespace: str, name: str) -> None:
    """xsi:type, with the prefix that the namespace has there; X1Error when it has none."""
    prefixes = [prefix for prefix, each in element.nsmap.items() if each == namespace]
    if not prefixes:
        raise X1Error("a type of a namespace without a prefix")
    element.set(XSI_TYPE, f"{prefixes[0]}:{name}" if prefixes[0] else name)


@lru_cache(maxsize=16)
def _deeper(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


@lru_cache(maxsize=16)
def _more_attributes(count: int) -> etree.XPath:
    return etree.XPath(f"boolean(count(//@*) > {count})")


@lru_cache(maxsize=16)
def _wider(siblings: int) -> etree.XPath:
    return etree.XPath(f"boolean(//*[*[{siblings + 1}]])")


def _refused(reason: str) -> X1Error:
    return X1Error(reason, code=ErrorCode.GENERIC)

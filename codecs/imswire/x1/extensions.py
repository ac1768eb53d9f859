"""Extensions of X1: an owner and elements of a namespace of theirs, which X1 passes on as they are.

Three kinds concern midcall. Its own carries the signed warrant of a task:

    <taskDetailsExtensions>
      <Owner>midcall</Owner>
      <signedWarrant xmlns="urn:midcall:ns:x1:warrant:v1">eyJwYXlsb2Fk...</signedWarrant>
    </taskDetailsExtensions>

in base64, since it is the octets that are signed (schemas/midcall_warrant.xsd). Those of TS 33.128 are recognised, of
any release, so that a refusal can name them. All others are kept as octets and validated only where the schemas at
hand know their namespace: whether one can be honoured is for the element to say.
"""

from __future__ import annotations

import base64
import binascii
import re

from lxml import etree
from msgspec import Struct

from imswire.x1.document import Element, canonical, new, read
from imswire.x1.errors import X1Error

OWNER = "midcall"
WARRANT = "urn:midcall:ns:x1:warrant:v1"
SIGNED_WARRANT = "signedWarrant"
MAX_WARRANT = 65_536  # octets; two signatures, a dozen LIIDs and destinations take less than a tenth

_TS_33_128 = re.compile(r"urn:3GPP:ns:li:3GPPX1Extensions:r(\d{1,3}):v(\d{1,3})", re.ASCII)


class ForeignElement(Struct, frozen=True, gc=False):
    """An element of another namespace: its name, and itself in canonical form. The representation shows no content."""

    namespace: str
    name: str
    octets: bytes

    @classmethod
    def of(cls, element: Element) -> ForeignElement:
        """Of an element; X1Error when it has no canonical form."""
        name = etree.QName(element)
        return cls(name.namespace or "", name.localname, canonical(element))

    @classmethod
    def parse(cls, octets: bytes) -> ForeignElement:
        """Of a document; X1Error when it is none."""
        return cls.of(read(octets))

    def __repr__(self) -> str:
        return f"ForeignElement({self.namespace!r}, {self.name!r}, <{len(self.octets)} octets>)"


class Extension(Struct, frozen=True, gc=False):
    """What one owner added, to a task, a destination, a status or a report, or as a target identifier."""

    owner: str
    elements: tuple[ForeignElement, ...] = ()


class Ts33128Extension(Struct, frozen=True, gc=False):
    """An extension of TS 33.128, named: release and version of its namespace, its element, and what is in that.

    ``X1Extensions`` holds one element, which says what it is about: "SDP", "HeaderReporting", ...
    """

    release: int
    version: int
    name: str
    members: tuple[str, ...]


def of_ts_33_128(element: ForeignElement) -> Ts33128Extension | None:
    """None: it is another's."""
    found = _TS_33_128.fullmatch(element.namespace)
    if found is None:
        return None
    members = tuple([etree.QName(each).localname for each in read(element.octets)])
    return Ts33128Extension(int(found[1]), int(found[2]), element.name, members)


def warrant_extension(signed: bytes) -> Extension:
    """The extension that carries a signed warrant; X1Error when it is empty or too long."""
    if not 0 < len(signed) <= MAX_WARRANT:
        raise X1Error("empty, or longer than a warrant can be", SIGNED_WARRANT)
    element = new(f"{{{WARRANT}}}{SIGNED_WARRANT}", {None: WARRANT})
    element.text = base64.b64encode(signed).decode()
    return Extension(OWNER, (ForeignElement.of(element),))


def signed_warrant(extensions: tuple[Extension, ...]) -> bytes | None:
    """The signed warrant among the extensions of a task; None: there is none.

    X1Error when there are two, or something else in the same namespace: which of them to obey is nothing to guess.
    """
    own = [each for extension in extensions for each in extension.elements if each.namespace == WARRANT]
    if not own:
        return None
    if len(own) > 1 or own[0].name != SIGNED_WARRANT:
        raise X1Error("more than a signed warrant", SIGNED_WARRANT)
    element = read(own[0].octets)
    text = "" if len(element) else "".join((element.text or "").split())
    try:
        signed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise X1Error("no base64", SIGNED_WARRANT) from None
    if not 0 < len(signed) <= MAX_WARRANT or base64.b64encode(signed).decode() != text:
        raise X1Error("empty, too long, or not the one way to write it", SIGNED_WARRANT)
    return signed

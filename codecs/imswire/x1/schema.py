"""The XML schemas of X1: compiled once, asked for each document, in and out.

The published files import each other without saying where; a driver that is made here says it. The files stay as
they are, with one departure in memory: an extension's elements of other namespaces are validated where the schemas
know their namespace, and let pass where they do not (processContents "lax" for the "strict" of the standard), since
else a receiver would have to hold the schemas of every owner. Whether such an element can be honoured is no question
of the schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

from lxml import etree

from imswire.x1.document import X1, Element, new
from imswire.x1.enumerations import ErrorCode
from imswire.x1.errors import X1Error
from imswire.x1.extensions import WARRANT

XS = "http://www.w3.org/2001/XMLSchema"
OWN = "midcall_warrant.xsd"
DIGESTS = "SHA256SUMS"
_BASE = "x1-schemas:/"
# A folder of schemas is the operator's; the bound is against a wrong folder.
MAX_OCTETS = 4 << 20


class Schema:
    """The compiled schemas. ``files`` are the contents of XSD files by name: one a namespace, X1's among them.

    X1Error when they are no schemas, or do not fit together. midcall's own is added where it is not among them.
    The faults of the last document stand in here: each thread needs one of its own.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        trees = {name: _schema_document(name, octets) for name, octets in sorted(files.items())}
        if all(tree.get("targetNamespace") != WARRANT for tree in trees.values()):
            trees[OWN] = _schema_document(OWN, _packaged(OWN))
        namespaces = {tree.get("targetNamespace", ""): name for name, tree in trees.items()}
        if len(namespaces) < len(trees) or "" in namespaces:
            raise X1Error("schemas without a namespace, or two of one")
        if X1 not in namespaces:
            raise X1Error("no schema of X1 among the schemas")
        for found in trees[namespaces[X1]].iter(f"{{{XS}}}any"):
            found.set("processContents", "lax")
        self.namespaces = frozenset(namespaces)
        self._names = frozenset(
            str(found.get("name")) for tree in trees.values() for found in tree.iter(f"{{{XS}}}element")
        )
        self._schema = _compiled(namespaces, {name: etree.tostring(tree) for name, tree in trees.items()})

    def check(self, root: Element) -> X1Error | None:
        """What is wrong with a document: the place and the kind, nothing of what stands there. None: it is valid."""
        if self._schema.validate(root):
            return None
        entry = self._schema.error_log[0]  # type: ignore[index]  # lxml-stubs leave its items out
        reason, path = _REASONS.get(entry.type_name, _OTHER), self._path(root, entry.path)
        unsupported = reason == _TYPE and path in _OBJECTS
        return X1Error(reason, path, ErrorCode.UNSUPPORTED if unsupported else ErrorCode.SCHEMA)

    def _path(self, root: Element, path: str | None) -> str:
        """The names on the way to a place, inside the message; of names only those that the schemas have."""
        found = _at(root, path or "")
        way = [found, *found.iterancestors()][::-1]
        names = [etree.QName(each).localname for each in way if each.tag not in _CONTAINERS]
        return "/".join([name if name in self._names else "?" for name in names])


def _at(root: Element, path: str) -> Element:
    """The element that a path of libxml2 leads to, as far as it does: steps are names with prefixes, or "*"."""
    found = root
    for step in path.split("/")[2:]:
        name, _, number = step.rstrip("]").partition("[")
        prefix, _, local = name.rpartition(":")
        those = [
            each
            for each in found
            if name == "*" or (etree.QName(each).localname == local and (each.prefix or "") == prefix)
        ]
        place = int(number) - 1 if number.isdigit() else 0
        if place >= len(those):
            break
        found = those[place]
    return found


_CONTAINERS = frozenset(
    f"{{{X1}}}{name}"
    for name in ("X1Request", "x1RequestMessage", "X1Response", "x1ResponseMessage", "X1TopLevelErrorResponse")
)
# Generic objects are of types that come from elsewhere: one that is not known here may be right.
_OBJECTS = ("createObject", "modifyObject")
_VALUE = "a value that is not of its type"
_TYPE = "a type that is not known here"
_ATTRIBUTE = "an attribute that does not belong here"
_OTHER = "not as the schema has it"
_REASONS = {
    "SCHEMAV_ELEMENT_CONTENT": "a member is missing, out of place or not known",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_3": "text between members",
    "SCHEMAV_CVC_PATTERN_VALID": _VALUE,
    "SCHEMAV_CVC_ENUMERATION_VALID": _VALUE,
    "SCHEMAV_CVC_MINLENGTH_VALID": _VALUE,
    "SCHEMAV_CVC_MAXLENGTH_VALID": _VALUE,
    "SCHEMAV_CVC_MININCLUSIVE_VALID": _VALUE,
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": _VALUE,
    "SCHEMAV_CVC_MINEXCLUSIVE_VALID": _VALUE,
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": _VALUE,
    "SCHEMAV_CVC_ELT_4_2": _TYPE,
    "SCHEMAV_CVC_ELT_4_3": _TYPE,
    "SCHEMAV_CVC_TYPE_2": _TYPE,
    "SCHEMAV_CVC_TYPE_3_1_1": _ATTRIBUTE,
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": _ATTRIBUTE,
}


@lru_cache(maxsize=1)
def packaged() -> Schema:
    """Those that come with midcall: TS 103 221-1 v1.22.1, TS 103 280, and the extensions of TS 33.128."""
    files = {}
    for line in _packaged(DIGESTS).decode("ascii").splitlines():
        digest, name = line.split()
        files[name] = _packaged(name)
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise X1Error(f"{name} is not the published file: install midcall anew")
    return Schema(files)


def _packaged(name: str) -> bytes:
    return resources.files("imswire.x1").joinpath("schemas", name).read_bytes()


def _schema_document(name: str, octets: bytes) -> Element:
    """A schema with its imports laid open: the driver alone says where things are."""
    if len(octets) > MAX_OCTETS or b"<!DOCTYPE" in octets:
        raise X1Error(f"{name} is longer than a schema, or has a document type declaration")
    try:
        root = etree.fromstring(octets, etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True))
    except (etree.LxmlError, ValueError):
        raise X1Error(f"{name} is no XML") from None
    if root.tag != f"{{{XS}}}schema":
        raise X1Error(f"{name} is no schema")
    for found in root.iter(f"{{{XS}}}import", f"{{{XS}}}include", f"{{{XS}}}redefine"):
        found.attrib.pop("schemaLocation", "")
    return root


class _Files(etree.Resolver):
    """Gives the files at hand, and nothing else in the world."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = files

    def resolve(self, system_url: str, public_id: str, context: object) -> object:  # type: ignore[override] # noqa: ARG002
        # lxml-stubs leave the context out.
        octets = self._files.get(system_url.removeprefix(_BASE), b"")
        return self.resolve_string(octets.decode(), context, base_url=system_url)


def _compiled(namespaces: Mapping[str, str], files: Mapping[str, bytes]) -> etree.XMLSchema:
    driver = new(f"{{{XS}}}schema", {"xs": XS})
    driver.set("targetNamespace", "urn:midcall:ns:x1:driver")
    for namespace, name in namespaces.items():
        etree.SubElement(driver, f"{{{XS}}}import", namespace=namespace, schemaLocation=name)
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    parser.resolvers.add(_Files(files))
    try:
        return etree.XMLSchema(etree.fromstring(etree.tostring(driver), parser, base_url=f"{_BASE}driver.xsd"))
    except etree.LxmlError:
        raise X1Error("the schemas do not fit together") from None

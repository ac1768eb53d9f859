"""Reading X1: a container of messages, each of which stands or falls by itself (TS 103 221-1 6.1, 6.7).

A document that is no X1 at all, or has a message that cannot even be answered, raises X1Error: its answer is
X1TopLevelErrorResponse, and nothing in it is carried out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from imswire.x1 import schema as schemas
from imswire.x1.document import REQUEST_LIMITS, RESPONSE_LIMITS, X1, Element, Limits, read, type_name
from imswire.x1.enumerations import ErrorCode, ExtensionSpecification, RequestMessageType
from imswire.x1.errors import X1Error
from imswire.x1.members import Sequence, collapsed
from imswire.x1.messages import VERSION, Header, accepted
from imswire.x1.requests import REQUESTS, Request
from imswire.x1.responses import RESPONSES, TOP_LEVEL_ERROR, ExtensionInformation, Response, TopLevelErrorResponse
from imswire.x1.schema import Schema

_UUID = re.compile(r"[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12}", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_3GPP = "urn:3GPP:ns:li:"
MAX_IDENTIFIER = 255  # characters of an identifier in an answer to a message that was not understood

REQUEST = f"{{{X1}}}X1Request"
RESPONSE = f"{{{X1}}}X1Response"
TOP_LEVEL_ERROR_RESPONSE = f"{{{X1}}}X1TopLevelErrorResponse"


class Malformed(Struct, frozen=True, gc=False):
    """A message that is not understood, with what is needed to answer it.

    The identifiers are None where the message has none that can be given back.
    """

    error: X1Error
    transaction_id: str
    message_type: RequestMessageType
    extension: ExtensionInformation | None = None
    admf_identifier: str | None = None
    ne_identifier: str | None = None
    version: str = VERSION

    def header(self, at: int, admf_identifier: str, ne_identifier: str) -> Header:
        """The header of the answer, given at ``at``; the identifiers are for want of the message's own."""
        return Header(
            self.admf_identifier or admf_identifier,
            self.ne_identifier or ne_identifier,
            at,
            self.version,
            self.transaction_id,
        )


def parse_requests(
    octets: bytes, *, limits: Limits = REQUEST_LIMITS, schema: Schema | None = None
) -> tuple[Request | Malformed, ...]:
    """The messages of an X1Request in their order, of either direction; X1Error: not understood at all."""
    return _messages(_root(octets, limits, REQUEST), "x1RequestMessage", REQUESTS, schema or schemas.packaged())


def parse_response(
    octets: bytes, *, limits: Limits = RESPONSE_LIMITS, schema: Schema | None = None
) -> tuple[Response | Malformed, ...] | TopLevelErrorResponse:
    """The messages of an X1Response, or that there are none; X1Error: not understood at all."""
    schema = schema or schemas.packaged()
    root = _root(octets, limits, RESPONSE, TOP_LEVEL_ERROR_RESPONSE)
    if root.tag == RESPONSE:
        return _messages(root, "x1ResponseMessage", RESPONSES, schema)
    fault = schema.check(root)
    if fault is not None:
        raise fault
    found = TOP_LEVEL_ERROR.read(root)
    assert isinstance(found, TopLevelErrorResponse)
    return found


def _root(octets: bytes, limits: Limits, *tags: str) -> Element:
    root = read(octets, limits)
    if root.tag not in tags:
        raise X1Error("another document than expected", code=ErrorCode.GENERIC)
    return root


def _messages(root: Element, name: str, tables: Mapping[str, Sequence], schema: Schema) -> tuple[Any, ...]:
    tag = f"{{{X1}}}{name}"
    if not len(root) or any(each.tag != tag for each in root):
        raise X1Error("something else than messages, or nothing", code=ErrorCode.GENERIC)
    fault = schema.check(root)
    if fault is None or len(root) == 1:
        return tuple([_message(each, tables, fault) for each in root])
    return tuple([_message(each, tables, schema.check(root)) for each in _each_alone(root)])


def _each_alone(root: Element) -> Iterator[Element]:
    """The messages one after the other, each the only one in the document: that keeps the prefixes around it."""
    messages = list(root)
    for each in messages:
        root.remove(each)
    for each in messages:
        root.append(each)
        yield each
        root.remove(each)


def _message(element: Element, tables: Mapping[str, Sequence], fault: X1Error | None) -> object:
    try:
        return _understood(element, tables, fault)
    except X1Error as error:
        return _malformed(element, error)


def _understood(element: Element, tables: Mapping[str, Sequence], fault: X1Error | None) -> object:
    """The version comes first: what else is wrong may be right in another one. Then the type, then the schema."""
    version = _header_text(element, "version")
    if version is not None and not accepted(version):
        raise X1Error(f"v1.6 to {VERSION} are", "version", ErrorCode.VERSION)
    namespace, name = type_name(element) or ("", "")
    if not name:
        raise X1Error("a message without a type")
    table = tables.get(name) if namespace == X1 else None
    if table is None:
        raise X1Error("a message that is not supported", code=ErrorCode.UNSUPPORTED)
    if fault is not None:
        raise fault
    return table.read(element)


def _malformed(element: Element, fault: X1Error) -> Malformed:
    transaction_id = _header_text(element, "x1TransactionId") or ""
    if _UUID.fullmatch(transaction_id) is None:
        raise X1Error("a message that cannot be answered: no transaction", code=ErrorCode.GENERIC)
    message_type, extension = _asked(element)
    version = _header_text(element, "version") or ""
    return Malformed(
        fault,
        transaction_id,
        message_type,
        extension,
        _header_text(element, "admfIdentifier"),
        _header_text(element, "neIdentifier"),
        version if accepted(version) else VERSION,
    )


def _header_text(element: Element, name: str) -> str | None:
    """What stands in the header under a name, where it can be given back."""
    tag = f"{{{X1}}}{name}"
    found = next((each for each in element if each.tag == tag), None)
    text = collapsed(found.text or "") if found is not None and not len(found) else ""
    return text if 0 < len(text) <= MAX_IDENTIFIER else None


def _asked(element: Element) -> tuple[RequestMessageType, ExtensionInformation | None]:
    """How an ErrorResponse names the message. TS 33.128 has requests of its own, which it names apart."""
    namespace, name = type_name(element) or ("", "")
    short = name.removesuffix("Request").removesuffix("Response")
    if namespace == X1 and short in _LISTED:
        return RequestMessageType(short), None
    if namespace.startswith(_3GPP) and _NAME.fullmatch(short):
        return RequestMessageType.EXTENDED, ExtensionInformation(ExtensionSpecification.TS_33_128, short)
    return RequestMessageType.EXTENDED, None


_LISTED = frozenset(RequestMessageType) - {RequestMessageType.EXTENDED}

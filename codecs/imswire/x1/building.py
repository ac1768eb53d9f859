"""Writing X1: containers of messages in the schema's order, validated before they leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxml import etree

from imswire.x1 import schema as schemas
from imswire.x1.document import X1, XSI_TYPE, Element, new, write
from imswire.x1.enumerations import ErrorCode, Ok
from imswire.x1.errors import X1Error
from imswire.x1.members import Sequence
from imswire.x1.parsing import REQUEST, RESPONSE, TOP_LEVEL_ERROR_RESPONSE, Malformed
from imswire.x1.requests import REQUESTS, Request
from imswire.x1.responses import (
    ACKNOWLEDGEMENTS,
    RESPONSES,
    TOP_LEVEL_ERROR,
    Acknowledgement,
    ErrorResponse,
    Response,
    TopLevelErrorResponse,
)
from imswire.x1.schema import Schema
from imswire.x1.tasks import Fault


def build_request(messages: Iterable[Request], *, schema: Schema | None = None) -> bytes:
    """An X1Request; X1Error when a value is none of its type, or there is no message."""
    return _checked(_container(REQUEST, "x1RequestMessage", messages, REQUESTS), schema)


def build_response(messages: Iterable[Response] | TopLevelErrorResponse, *, schema: Schema | None = None) -> bytes:
    """An X1Response, or an X1TopLevelErrorResponse; X1Error when a value is none of its type."""
    if isinstance(messages, TopLevelErrorResponse):
        root = new(TOP_LEVEL_ERROR_RESPONSE)
        TOP_LEVEL_ERROR.write(messages, root)
    else:
        root = _container(RESPONSE, "x1ResponseMessage", messages, RESPONSES)
    return _checked(root, schema)


def acknowledgement(asked: Request, at: int, ok: Ok = Ok.COMPLETED) -> Acknowledgement:
    """The positive answer to a request that has no more of one; X1Error: it asks for something."""
    if asked.message_type not in ACKNOWLEDGEMENTS:
        raise X1Error("a request that is answered with more than oK")
    return ACKNOWLEDGEMENTS[asked.message_type](asked.header.reply(at), ok)


def refusal(asked: Request, code: ErrorCode, at: int, detail: str = "") -> ErrorResponse:
    """The negative answer to a request. ``detail`` is sent: it names a rule or a member, and nobody."""
    text = f"{code.text}: {detail}" if detail else code.text
    return ErrorResponse(asked.header.reply(at), asked.message_type, Fault(int(code), text))


def correction(asked: Malformed, at: int, admf_identifier: str, ne_identifier: str) -> ErrorResponse:
    """The answer to a message that is not understood; the identifiers are for want of the message's own."""
    code = asked.error.code
    return ErrorResponse(
        asked.header(at, admf_identifier, ne_identifier),
        asked.message_type,
        Fault(int(code), f"{code.text}: {asked.error}"),
        asked.extension,
    )


def _container(tag: str, name: str, messages: Iterable[object], tables: Mapping[str, Sequence]) -> Element:
    root = new(tag)
    for each in messages:
        kind = type(each).__name__
        if kind not in tables:
            raise X1Error("no message of this direction")
        element = etree.SubElement(root, f"{{{X1}}}{name}")
        element.set(XSI_TYPE, kind)
        tables[kind].write(each, element)
    return root


def _checked(root: Element, schema: Schema | None) -> bytes:
    octets, final = write(root)
    fault = (schema or schemas.packaged()).check(final)
    if fault is not None:
        raise fault
    return octets

"""MIKEY over HTTP as users and KMSs speak it (TS 33.328, RFC 6043 7): a body raw or in base64, an answer likewise."""

from __future__ import annotations

import base64
import binascii

from aiohttp import web
from msgspec import Struct

from imswire.mikey import ErrorNo
from midcall.base import https
from midcall.kms.core import REQUESTS, RESOLVES
from midcall.kms.shell.desk import Desk
from midcall.kms.values import KmsRefusal, Question

PATH = "/keymanagement"
KIND = "application/mikey"
KINDS = frozenset((KIND, "application/octet-stream", "text/plain"))
"""What is written above a body: what RFC 3830 10.1 registers, and what those write who do not know it."""
TYPES = {"ticketrequest": REQUESTS, "ticketresolve": RESOLVES}
MAX_MESSAGE = 1 << 16
MAX_BODY = MAX_MESSAGE * 3 // 2
"""Base64 in lines."""
_RAW = 1
"""The version of MIKEY, the first octet of every message, and no letter of base64."""
_FORM = frozenset(
    (
        ErrorNo.INVALID_PRF, ErrorNo.INVALID_EA, ErrorNo.INVALID_HA, ErrorNo.INVALID_DH, ErrorNo.INVALID_CERT,
        ErrorNo.INVALID_SP, ErrorNo.INVALID_SP_PAR, ErrorNo.INVALID_DT, ErrorNo.UNSPECIFIED,
        ErrorNo.UNSUPPORTED_MESSAGE, ErrorNo.INVALID_TP_PAR,
    )
)  # fmt: skip


class Refused(Exception):
    """An HTTP answer without keys."""

    def __init__(self, status: int, last: bool = False) -> None:
        super().__init__(status)
        self.status = status
        self.last = last


class Body(Struct, frozen=True):
    """A MIKEY message that came, and whether in base64."""

    octets: bytes
    text: bool

    def answer(self, octets: bytes, status: int = 200) -> web.Response:
        """In the form of the question."""
        body = base64.b64encode(octets) if self.text else octets
        return https.response(status, body, KIND)


def wanted(request: web.BaseRequest) -> str:
    """The requesttype of a POST to the one path. Refused."""
    if request.path != PATH:
        raise Refused(404, last=True)
    if request.method != "POST":
        raise Refused(405, last=True)
    if request.content_type not in KINDS:
        raise Refused(415, last=True)
    asked = request.rel_url.query.getall("requesttype", [])
    if len(asked) != 1 or asked[0] not in TYPES:
        raise Refused(400, last=True)
    return asked[0]


async def read(request: web.BaseRequest, seconds: float) -> Body:
    """Refused."""
    try:
        octets = bytes(await https.body(request, MAX_BODY, seconds))
    except https.TooLong:
        raise Refused(413, last=True) from None
    except https.TooSlow:
        raise Refused(408, last=True) from None
    if octets[:1] == bytes((_RAW,)):
        body = Body(octets, text=False)
    else:
        try:
            body = Body(base64.b64decode(b"".join(octets.split()), validate=True), text=True)
        except (binascii.Error, ValueError):
            raise Refused(400) from None
    if len(body.octets) > MAX_MESSAGE:
        raise Refused(413)
    return body


def fits(question: Question, kind: str) -> None:
    """KmsRefusal when the message is not what the URI says."""
    if question.message.header.data_type not in TYPES[kind]:
        raise KmsRefusal(f"not a message of a {kind}", ErrorNo.INVALID_DT)


def plain(refused: Refused) -> web.Response:
    response = https.response(refused.status)
    return https.closing(response) if refused.last else response


def refusal(desk: Desk, body: Body, refused: KmsRefusal, status: int | None = None) -> web.Response:
    """An Error message, or none when what came was no message: 400 its form, 403 who asks or for what."""
    if status is None:
        status = 400 if refused.error_no in _FORM else 403
    octets = desk.kms.error(body.octets, refused, desk.now().wall)
    return https.response(status) if octets is None else body.answer(octets, status)

"""X1 fuzzed: documents of either direction; what is understood is written again, what is not is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imswire import x1

DATA = Path(__file__).parents[2] / "tests" / "data" / "x1"
_EXTENSIONS = b"""<taskDetailsExtensions><Owner>o</Owner><a xmlns="urn:a" xmlns:p="urn:p" p:b="p:c">d</a>
<signedWarrant xmlns="urn:midcall:ns:x1:warrant:v1">e30=</signedWarrant>
<X1Extensions xmlns="urn:3GPP:ns:li:3GPPX1Extensions:r19:v2"><SDP><SDPData><LocalSDP>v</LocalSDP></SDPData></SDP>
</X1Extensions></taskDetailsExtensions></taskDetails>"""
_TARGETS = (
    b"<sipUri>sips:a@b</sipUri>",
    b"<callPartyRole>Originating</callPartyRole>",
    b"<ipv4Address>1.2.3.4</ipv4Address>",
    b"<internationalizedEmailAddress>a@b</internationalizedEmailAddress>",
)


def requests(octets: bytes) -> None:
    """Each message is understood, and the same when written again, or can be answered."""
    messages = x1.parse_requests(octets)
    for each in messages:
        if isinstance(each, x1.Malformed):
            answer = x1.correction(each, 0, "admf", "ne")
            assert x1.parse_response(x1.build_response([answer])) == (answer,)
            continue
        x1.build_response([x1.refusal(each, x1.ErrorCode.GENERIC, 0)])
        if isinstance(each, x1.ActivateTaskRequest | x1.ModifyTaskRequest):
            _warrant(each)
        assert x1.parse_requests(x1.build_request([each])) == (each,)


def _warrant(message: x1.ActivateTaskRequest | x1.ModifyTaskRequest) -> None:
    for extension in message.task.extensions:
        for element in extension.elements:
            x1.of_ts_33_128(element)
    try:
        x1.signed_warrant(message.task.extensions)
    except x1.X1Error:
        return


def responses(octets: bytes) -> None:
    """What is understood is the same when written again."""
    messages = x1.parse_response(octets)
    if isinstance(messages, x1.TopLevelErrorResponse):
        assert x1.parse_response(x1.build_response(messages)) == messages
        return
    known = tuple(each for each in messages if isinstance(each, x1.Response))
    assert not known or x1.parse_response(x1.build_response(known)) == known


def request_documents() -> Iterator[bytes]:
    for path in sorted(DATA.glob("*.xml")):
        if b"<X1Request" in (octets := path.read_bytes()):
            yield octets
            for target in _TARGETS:
                yield octets.replace(b"<impu>sip:alice@ims.example</impu>", target).replace(
                    b"</taskDetails>", _EXTENSIONS
                )


def response_documents() -> Iterator[bytes]:
    return (path.read_bytes() for path in sorted(DATA.glob("*.xml")) if b"<X1Request" not in path.read_bytes())

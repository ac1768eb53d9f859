"""Extensions: kept as octets, midcall's own opened, those of TS 33.128 named."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x1
from imswire.x1.extensions import (
    MAX_WARRANT,
    OWNER,
    WARRANT,
    Ts33128Extension,
    of_ts_33_128,
    signed_warrant,
    warrant_extension,
)
from tests.imswire.x1 import made

JWS = b'{"payload":"e30","signatures":[{"protected":"e30","signature":"AA"},{"protected":"e30","signature":"AB"}]}'
EXTENSION = b"<taskDetailsExtensions><Owner>%s</Owner>%s</taskDetailsExtensions></taskDetails>"


def with_extension(octets: bytes, owner: bytes = b"somebody") -> bytes:
    return made.changed(b"</taskDetails>", EXTENSION % (owner, octets))


@given(st.binary(min_size=1, max_size=300))
def test_a_warrant_comes_through_octet_by_octet(signed):
    task = made.activate(extensions=(warrant_extension(signed),)).task
    (back,) = x1.parse_requests(x1.build_request([x1.ActivateTaskRequest(made.HEADER, task)]))
    assert back.task == task
    assert signed_warrant(back.task.extensions) == signed


def test_a_warrant_stands_in_a_namespace_of_its_own():
    octets = x1.build_request([made.activate(extensions=(warrant_extension(JWS),))])
    assert b"<Owner>midcall</Owner>" in octets
    assert (
        b'<signedWarrant xmlns="urn:midcall:ns:x1:warrant:v1">' + base64.b64encode(JWS) + b"</signedWarrant>" in octets
    )


def test_a_warrant_as_another_would_write_it():
    folded = b"\n  ".join(base64.b64encode(JWS)[at : at + 30] for at in range(0, 200, 30))
    found = made.one(
        with_extension(b'<w:signedWarrant xmlns:w="urn:midcall:ns:x1:warrant:v1">\n  ' + folded + b"</w:signedWarrant>")
    )
    assert signed_warrant(found.task.extensions) == JWS


def test_no_warrant_is_no_error():
    assert signed_warrant(()) is None
    assert signed_warrant((x1.Extension("a"), made.foreign(b'<b xmlns="urn:b"/>'))) is None


def own(content: bytes, name: bytes = b"signedWarrant") -> x1.Extension:
    return made.foreign(b'<%s xmlns="urn:midcall:ns:x1:warrant:v1">%s</%s>' % (name, content, name))


@pytest.mark.parametrize(
    "extensions",
    [
        (warrant_extension(JWS), warrant_extension(JWS)),
        (own(b"AAAA", b"otherWarrant"),),
        (own(b"AAA"),),
        (own(b"AAB="),),
        (own(b"A\xc3\xa9=="),),
        (own(b""),),
        (own(b"AAAA<b/>"),),
        (own(base64.b64encode(bytes(MAX_WARRANT + 1))),),
    ],
)
def test_what_is_not_the_one_warrant_is_refused(extensions):
    with pytest.raises(x1.X1Error, match=r"^signedWarrant: "):
        signed_warrant(extensions)


@pytest.mark.parametrize("signed", [b"", bytes(MAX_WARRANT + 1)])
def test_no_warrant_to_send(signed):
    with pytest.raises(x1.X1Error):
        warrant_extension(signed)


def test_the_schema_checks_the_warrant_too():
    for octets in (b"!", b"", base64.b64encode(bytes(MAX_WARRANT + 1))):
        bad = made.one(
            with_extension(b'<signedWarrant xmlns="urn:midcall:ns:x1:warrant:v1">' + octets + b"</signedWarrant>")
        )
        assert isinstance(bad, x1.Malformed) and bad.error.code == x1.ErrorCode.SCHEMA


def test_elements_of_unknown_owners_are_kept():
    found = made.one(with_extension(b'<v:a xmlns:v="urn:vendor" v:b = "c" ><v:d/></v:a><e xmlns="urn:e"/>'))
    (extension,) = found.task.extensions
    assert extension.owner == "somebody"
    assert [(each.namespace, each.name, each.octets) for each in extension.elements] == [
        ("urn:vendor", "a", b'<v:a xmlns:v="urn:vendor" v:b="c"><v:d></v:d></v:a>'),
        ("urn:e", "e", b'<e xmlns="urn:e"></e>'),
    ]
    assert made.one(x1.build_request([found])) == found


@pytest.mark.parametrize("octets", [b"<xId>a</xId>", b'<a xmlns=""/>', b"text"])
def test_what_is_no_element_of_another_namespace_breaks_the_schema(octets):
    assert isinstance(made.one(with_extension(octets)), x1.Malformed)


def test_ts_33_128_is_checked_where_its_schema_is_at_hand():
    sdp = b'<X1Extensions xmlns="urn:3GPP:ns:li:3GPPX1Extensions:r19:v2"><SDP><SDPData><%s>v=0</%s></SDPData></SDP>'
    sdp += b"</X1Extensions>"
    found = made.one(with_extension(sdp % (b"LocalSDP", b"LocalSDP"), b"3GPP"))
    (element,) = found.task.extensions[0].elements
    assert of_ts_33_128(element) == Ts33128Extension(19, 2, "X1Extensions", ("SDP",))
    assert isinstance(made.one(with_extension(sdp % (b"OurSDP", b"OurSDP"), b"3GPP")), x1.Malformed)


@pytest.mark.parametrize(("release", "version"), [(18, 6), (19, 4)])
def test_ts_33_128_of_other_releases_is_named(release, version):
    target = b"<targetIdentifierExtension><Owner>3GPP</Owner><IMST3TargetIdentifierExtensions xmlns="
    target += b'"urn:3GPP:ns:li:3GPPX1Extensions:r%d:v%d"><IMST3TargetIdentifierExtension/>' % (release, version)
    found = made.one(made.with_target(target + b"</IMST3TargetIdentifierExtensions></targetIdentifierExtension>"))
    (extension,) = found.task.targets
    named = of_ts_33_128(extension.elements[0])
    assert named == Ts33128Extension(
        release, version, "IMST3TargetIdentifierExtensions", ("IMST3TargetIdentifierExtension",)
    )
    assert of_ts_33_128(made.foreign(b'<a xmlns="urn:a"/>').elements[0]) is None


def test_a_representation_shows_no_content():
    extension = warrant_extension(JWS)
    assert (extension.owner, extension.elements[0].namespace) == (OWNER, WARRANT)
    assert base64.b64encode(JWS).decode() not in repr(extension)
    assert repr(extension.elements[0]).startswith("ForeignElement('urn:midcall:ns:x1:warrant:v1', 'signedWarrant', <")

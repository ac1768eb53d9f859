"""URIs and the canonical form of identities: equal ones share a form, different ones do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip
from imswire.sip import uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:alice:secret@example.com:5061;transport=tcp;lr?subject=x&y=z",
        "sip:example.com",
        "sip:a;b=c@[2001:db8::1]:5070",
        "tel:+49-30-123;phone-context=x",
        "urn:gsma:imei:35-209900-176148-0",
        "mailto:a@b",
    ],
)
def test_text_is_the_exact_inverse(text):
    assert str(sip.parse_uri(text)) == text


def test_parts_of_a_sip_uri():
    uri = sip.parse_uri("SIP:al%20ice:pw@Example.com:5080;User=phone;lr?x=y%40z")
    assert isinstance(uri, sip.SipUri)
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sip", "al%20ice", "pw", "Example.com", 5080)
    assert (uri.param("user"), uri.param("lr"), uri.param("no"), uri.headers) == ("phone", "", None, "x=y%40z")
    assert sip.parse_uri("sip:a?b@c").user == "a?b"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "noscheme",
        ":x",
        "1ip:x",
        "sip:a b",
        "s ip:a",
        "s%69p:a",
        "sip:a@b:0000070000",
        "sip:@host",
        "sip:a@",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:70000",
        "sip:a@[::1",
        "sip:a@[::g]",
        "sip:a@[::1]x",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a@b;=x",
        "sip:a@b{",
        "sip:a@b@c",
        "urn:x",
        "urn::x",
        "sip:" + "a" * 5000,
    ],
)
def test_no_uri(text):
    with pytest.raises(sip.SipError):
        sip.parse_uri(text)
    assert sip.identities(text) == ()


EQUAL = [
    ("sip:alice@example.com", "SIP:alice@EXAMPLE.COM"),
    ("sip:alice@example.com", "sip:alice@example.com:5060"),
    ("sip:alice@example.com", "sips:alice@example.com:5061"),
    ("sip:alice@example.com", "sip:%61lice@example.com;transport=tcp?x=y"),
    ("sip:alice@example.com", "sip:alice:pw@example.com."),
    ("sip:a%2fb@x", "sip:a/b@x"),
    ("sip:a%22b@x", "sip:a%22b@x"),
    ("sip:a@[2001:DB8:0::1]", "sip:a@[2001:db8::1]"),
    ("sip:a@x:005070", "sip:a@x:5070"),
    ("sip:b\u00e9@x", "sip:b%C3%a9@x"),
    ('sip:a"%41b@x', "sip:a%22Ab@x"),
    ("tel:123;phone-context=x", "sip:1-23;phone-context=X@y;user=phone"),
    ("tel:%23100;phone-context=x", "tel:#100;phone-context=x"),
    ("tel:+4930123", "tel:+49-30-(12)3"),
    ("tel:+4930123", "tel:+49.30.123;ext=4"),
    ("tel:+4930123", "sip:+49-30-123@any.example;user=phone"),
    ("sip:+4930123@x;user=phone", "sip:+4930123@x"),
    ("tel:+4930123", "tel:+49%330123"),
    ("tel:+4930123", "sip:+4930123@x;%75ser=p%68one"),
    ("tel:123;phone-context=x", "tel:123;phone%2dcontext=%78"),
    ("tel:123;phone-context=+49-30", "tel:1-23;phone-context=+4930"),
    ("tel:12A;phone-context=Example.COM", "tel:12a;phone-context=example.com"),
    ("urn:gsma:imei:35209900-176148-0", "URN:GSMA:IMEI:35209900-176148-0?x"),
    ("urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
]
DIFFERENT = [
    ("sip:alice@example.com", "sip:Alice@example.com"),
    ("sip:alice@example.com", "sip:alice@example.org"),
    ("sip:alice@example.com", "sip:alice@example.com:5070"),
    ("sip:alice@example.com", "sip:alice%00@example.com"),
    ("sip:alice@example.com", "sip:alice@example.com.evil.example"),
    ("sip:alice@example.com", "sip:alice%40example.com@evil.example"),
    ("sip:null-@x", "sip:null-%00@x"),
    ("tel:+4930123", "sip:+4930123@x"),
    ("tel:+4930123", "tel:4930123;phone-context=x"),
    ("tel:+4930123", "sip:+4930123x@y;user=phone"),
    ("tel:123;phone-context=a", "tel:123;phone-context=b"),
    ("sip:4930123@x;user=phone", "tel:+4930123"),
    ("sip:123;phone-context=x@y", "tel:123;phone-context=x"),
    ("sip:123;=x@y;user=phone", "tel:123;phone-context=x"),
    ("sip:a%2541@x", "sip:aA@x"),
    ("tel:+4930123", "tel:+49%25330123"),
    ("sip:\u0430lice@example.com", "sip:alice@example.com"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_identities_share_a_form(one, other):
    assert set(sip.identities(one)) & set(sip.identities(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_identities_share_none(one, other):
    assert not set(sip.identities(one)) & set(sip.identities(other))


@pytest.mark.parametrize(
    "text", ["sip:example.com", "tel:123", "tel:", "tel:xyz;phone-context=a", "mailto:a@b", "tel:+"]
)
def test_what_names_nobody(text):
    assert sip.identities(text) == ()


@given(st.text(max_size=60))
def test_anything_else_raises_only_its_error(text):
    for scheme in ("", "sip:", "tel:", "urn:x:"):
        assert isinstance(sip.identities(scheme + text), tuple)


@given(st.from_regex(r"[a-z0-9._-]{1,10}", fullmatch=True), st.from_regex(r"[a-z]{1,8}\.[a-z]{2,3}", fullmatch=True))
def test_a_form_is_its_own_canonical_form(user, host):
    (form,) = sip.identities(f"sips:{user}@{host};x")
    assert sip.identities(form) == (form,)


def test_a_urn_of_nothing_but_components_names_nobody():
    assert sip.identities("urn:gsma:?+x") == () and sip.identities("urn:gsma:imei:1:") == ("urn:gsma:imei:1:",)


@given(
    st.from_regex(r"sips?:[a-zA-Z0-9+%;:_.!~*'&-]{0,6}@?[a-zA-Z0-9._\[-]{0,8}(:5060)?(;user=phone)?\n?", fullmatch=True)
)
def test_the_short_way_to_a_canonical_form_is_that_of_the_long_one(text):
    expected = uri._sip_identities(sip.parse_uri(text)) if uri._CANONICAL_SIP(text) else sip.identities(text)
    assert sip.identities(text) == expected


def test_most_identities_go_the_short_way():
    for text in ("sip:alice@example.com", "sips:+4930123@ims.mnc001.mcc262.3gppnetwork.org", "sip:a.b-c@x"):
        assert uri._CANONICAL_SIP(text) and sip.identities(text) == uri._sip_identities(sip.parse_uri(text))
    for text in ("sip:a@b:5060", "sip:a@b.", "sip:a@b;user=phone", "sip:%61@b", "sip:a@B", "sip:a:b@c", "SIP:a@b"):
        assert uri._CANONICAL_SIP(text) is None

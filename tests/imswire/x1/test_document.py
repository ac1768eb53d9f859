"""The hardened parser: what is refused, in how little work, and the canonical form of what is kept."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imswire.x1 import REQUEST_LIMITS, ErrorCode, Limits, X1Error
from imswire.x1.document import XSI_TYPE, canonical, keep_place, new, read, set_type, type_name, write
from tests.imswire.x1 import made

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY a "&lol;&lol;"><!ENTITY b "&a;&a;">]>
<lolz>&b;</lolz>"""


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (LAUGHS, "a document type declaration"),
        (b"<!DOCTYPE a><a/>", "a document type declaration"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "a document type declaration"),
        (b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://192.0.2.1/">%p;]><a/>', "a document type declaration"),
        (b"<a>&lol;</a>", "not well-formed"),
        (b"", "not well-formed"),
        (b"<a>", "not well-formed"),
        (b"<a/><b/>", "not well-formed"),
        (b"<a>\0</a>", "not well-formed"),
        (b"<a>\xff</a>", "not well-formed"),
        ("<a/>".encode("utf-16"), "not well-formed"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"), "not well-formed"),
        (b"<a>" * 1_000_000, "longer than allowed"),
        (b"<a>" * 9_000, "more elements than allowed"),
        (b"<a>" * 300, "not well-formed"),
        (b"<a>" * 33 + b"</a>" * 33, "deeper than allowed"),
        (b"<a>" + b"<b/>" * 1_001 + b"</a>", "more elements in one than allowed"),
        (b'<a b="' + b"x" * (1 << 20) + b'"/>', "longer than allowed"),
        (b"<a " + b" ".join(b'b%d=""' % n for n in range(8_193)) + b"/>", "more attributes than allowed"),
        (b"<internationalizedEmailAddress>" + b"@" * 9 + b"</internationalizedEmailAddress>", "no address"),
    ],
)
def test_refused(octets, reason):
    with pytest.raises(X1Error) as raised:
        read(octets)
    assert (raised.value.reason, raised.value.code) == (reason, ErrorCode.GENERIC)


def test_an_attribute_of_a_megabyte_is_read_and_left_to_the_schema():
    assert len(read(b'<a b="' + b"x" * 1_000_000 + b'"/>').get("b")) == 1_000_000


def test_at_the_bounds():
    assert len(read(b"<a>" + b"<b/>" * 1_000 + b"</a>")) == 1_000
    assert read(b"<a>" * 32 + b"</a>" * 32) is not None
    assert len(read(b"<a " + b" ".join(b'b%d=""' % n for n in range(8_192)) + b">=</a>").attrib) == 8_192
    assert read(b"<internationalizedEmailAddress>" + b"@" * 8 + b"</internationalizedEmailAddress>") is not None
    with pytest.raises(X1Error):
        read(b"<a/>", Limits(octets=3, elements=1, siblings=1, depth=1))
    assert read(b"<a/>", Limits(octets=4, elements=1, siblings=1, depth=1)) is not None


def test_what_is_declared_changes_nothing_about_the_octets():
    """An encoding in which no "<" looks like one would hide from what is looked for in the octets."""
    root = read(b'<?xml version="1.0" encoding="UTF-7"?><a>+ADw-b/+AD4-</a>')
    assert root.text == "+ADw-b/+AD4-" and len(root) == 0
    assert read(b"\xef\xbb\xbf<a/>").tag == "a"


def test_comments_do_not_cut_values():
    assert read(b"<a>x<!-- c -->y<?pi?><![CDATA[<z>]]></a>").text == "xy<z>"


def test_nothing_is_included():
    root = read(
        b'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/hostname" parse="text"/></a>'
    )
    assert root[0].text is None


@given(st.binary(max_size=200))
@example(made.ACTIVATE)
def test_nothing_else_comes_out(octets):
    try:
        read(octets)
    except X1Error:
        return


def test_written_with_its_declaration():
    root = new("{urn:a}b")
    root.text = "é"
    octets, final = write(root)
    assert octets.startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<")
    assert final is root
    assert read(octets).text == "é"


def test_foreign_octets_are_written_as_they_are():
    root = new("{urn:a}b", {None: "urn:a", "q": "urn:p"})
    root.text = "<?midcall-octets QUJD?>"
    keep_place(b'<p:c xmlns:p="urn:p" p:t="p:v"></p:c>', root)
    octets, final = write(root)
    assert octets.count(b'<p:c xmlns:p="urn:p" p:t="p:v"></p:c>') == 1
    assert final[0].tag == "{urn:p}c" and final.text == root.text


# Canonical form


def test_it_stands_alone_and_is_its_own():
    inner = read(b'<a xmlns="urn:a" xmlns:p="urn:p" xmlns:q="urn:q"><p:b  c = "d" ><!-- x --></p:b></a>')[0]
    octets = canonical(inner)
    assert octets == b'<p:b xmlns:p="urn:p" c="d"></p:b>'
    assert canonical(read(octets)) == octets


def test_prefixes_in_values_are_kept():
    inner = read(b'<a xmlns:q="urn:q" xmlns:r="urn:r"><b t="q:v">say r:w, s:x</b></a>')[0]
    assert canonical(inner) == b'<b xmlns:q="urn:q" xmlns:r="urn:r" t="q:v">say r:w, s:x</b>'


def test_a_type_without_a_prefix_is_kept_where_its_element_has_none_either():
    xsi = b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    assert type_name(read(canonical(read(b'<a xmlns="urn:a" ' + xsi + b' xsi:type="T"/>')))) == ("urn:a", "T")
    with pytest.raises(X1Error, match="default namespace"):
        canonical(read(b'<a xmlns="urn:a" xmlns:p="urn:p" ' + xsi + b'><p:b xsi:type="T"/></a>')[0])


def test_no_canonical_form():
    with pytest.raises(X1Error, match="canonical"):
        canonical(read(b'<a xmlns="relative"/>'))
    many = b" ".join(b'xmlns:a%d="urn:%d"' % (each, each) for each in range(65))
    with pytest.raises(X1Error, match="namespaces"):
        canonical(read(b"<a " + many + b"/>"))


# Types


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b'<a xmlns="urn:a" xsi:type="T"', ("urn:a", "T")),
        (b'<a xsi:type=" T "', ("", "T")),
        (b'<a xmlns:p="urn:p" xsi:type="p:T"', ("urn:p", "T")),
        (b'<a xsi:type="p:T"', None),
        (b'<a xsi:type=""', None),
        (b'<a xmlns:p="urn:p" xsi:type="p:"', None),
        (b"<a", None),
    ],
)
def test_the_type_of_an_element(octets, name):
    assert type_name(read(octets + b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>')) == name


def test_a_type_is_set_with_a_prefix_that_resolves():
    for namespace, text in (("urn:a", "T"), ("urn:b", "b:T")):
        root = new("{urn:a}a", {None: "urn:a", "b": "urn:b"})
        set_type(root, namespace, "T")
        assert root.get(XSI_TYPE) == text
        assert type_name(read(write(root)[0])) == (namespace, "T")
    with pytest.raises(X1Error):
        set_type(new("a"), "urn:nowhere", "T")


def test_requests_are_bounded_more_tightly_than_what_one_asked_for():
    assert REQUEST_LIMITS.octets == 1 << 20

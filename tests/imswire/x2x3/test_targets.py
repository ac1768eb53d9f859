"""Identifiers of X1 in attributes 17 and 18."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.x2x3 import X2X3Error, read_target, target


def test_as_the_standard_shows_it():
    assert target("impu", "sip:a@x") == "<impu>sip:a@x</impu>"
    assert read_target("<impu>sip:a@x</impu>") == ("impu", "sip:a@x")


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cn")), max_size=30)


@given(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,10}", fullmatch=True), _TEXT | st.sampled_from(["a&b", "<>\"'", "\r\n\t"])
)
def test_round_trip_and_what_a_reader_of_xml_makes_of_it(name, text):
    written = target(name, text)
    assert read_target(written) == (name, text)
    parsed = ElementTree.fromstring(written)
    assert (parsed.tag, parsed.text or "") == (name, text)


@pytest.mark.parametrize(
    "xml, expected",
    [
        ("\n <impu>tel:+46</impu>\n", ("impu", "tel:+46")),
        ('<p:impu xmlns:p="http://x">sip:a</p:impu >', ("impu", "sip:a")),
        ("<e164Number>46&#49;&#x32;</e164Number>", ("e164Number", "4612")),
        ("<a>&amp;&lt;&gt;&quot;&apos;</a>", ("a", "&<>\"'")),
        ("<a></a>", ("a", "")),
        ("", None),
        ("sip:a", None),
        ("<a/>", None),
        ("<a>b</c>", None),
        ("<a><b>c</b></a>", None),
        ("<a>b</a><a>b</a>", None),
        ("<!DOCTYPE a><a>b</a>", None),
        ("<a>b & c</a>", None),
        ("<a>&nbsp;</a>", None),
        ("<a>&#0;</a>", None),
        ("<a>&#xD800;</a>", None),
        ("<a>&#x110000;</a>", None),
        ("<a>&#9999999;</a>", None),
        ("<" + "a" * 65 + ">b</" + "a" * 65 + ">", None),
    ],
)
def test_reading(xml, expected):
    assert read_target(xml) == expected


@given(st.text(max_size=40) | st.text("<>ab&#;x1/ :", max_size=40))
def test_nothing_gets_an_error_out_of_it(xml):
    read_target(xml)


@pytest.mark.parametrize(
    "name, text", [("", "a"), ("1a", "a"), ("a b", "a"), ("a", "\0"), ("a", "\ud800"), ("a", "\x1b")]
)
def test_what_xml_cannot_carry(name, text):
    with pytest.raises(X2X3Error):
        target(name, text)

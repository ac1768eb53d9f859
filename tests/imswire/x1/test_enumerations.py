"""The words are those of the schema: all of them, and no others."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources

import pytest
from lxml import etree

from imswire import x1
from imswire.x1 import enumerations

XS = "{http://www.w3.org/2001/XMLSchema}"
NAMES = {
    "OK": x1.Ok,
    "TypeOfNeIssueMessage": x1.NeIssueType,
    "NeStatus": x1.NeStatus,
    "HashAlgorithm": x1.HashAlgorithm,
}


def lists() -> dict[str, set[str]]:
    found = {}
    for name in ("TS_103_221_01.xsd", "TS_103_221_01_HashedID.xsd"):
        root = etree.fromstring(resources.files("imswire.x1").joinpath("schemas", name).read_bytes())
        for kind in root.iter(f"{XS}simpleType"):
            if words := {each.get("value") for each in kind.iter(f"{XS}enumeration")}:
                found[kind.get("name")] = words
    return found


@pytest.mark.parametrize(("name", "words"), lists().items())
def test_every_list_of_the_schema_has_its_enumeration(name, words):
    if name == "OKAckAndComplete":
        assert words == {x1.Ok.COMPLETED}
        return
    kind = NAMES.get(name) or getattr(enumerations, name)
    assert issubclass(kind, StrEnum)
    assert {each.value for each in kind} == words


def test_every_code_has_a_text():
    assert all(code.text for code in x1.ErrorCode)
    assert x1.ErrorCode(1010).text == "the message breaks the schema"

"""Requests: one class a message."""

from __future__ import annotations

from hypothesis import given

from imswire import x1
from imswire.x1.requests import REQUESTS
from tests.imswire.x1 import made


@given(made.requests)
def test_a_request_comes_back(message):
    assert made.again(REQUESTS[type(message).__name__], message) == message


def test_each_is_named_as_an_error_about_it_names_it():
    named = {
        table.cls(made.HEADER, *[None] * (len(table.cls.__struct_fields__) - 1)).message_type
        for table in REQUESTS.values()
    }
    assert named == set(x1.RequestMessageType) - {x1.RequestMessageType.EXTENDED}

"""Responses: one class a message."""

from __future__ import annotations

from hypothesis import given

from imswire import x1
from imswire.x1.responses import ACKNOWLEDGEMENTS, RESPONSES
from tests.imswire.x1 import made


@given(made.responses)
def test_a_response_comes_back(message):
    assert made.again(RESPONSES[type(message).__name__], message) == message


def test_an_element_that_holds_nothing_says_so():
    empty = [
        x1.GetAllTaskDetailsResponse(made.HEADER),
        x1.GetAllDestinationDetailsResponse(made.HEADER),
        x1.GetAllGenericObjectDetailsResponse(made.HEADER),
        x1.ListAllDetailsResponse(made.HEADER),
        x1.GetAllDetailsResponse(made.HEADER, x1.NeStatusDetails(x1.NeStatus.OK)),
    ]
    assert x1.parse_response(x1.build_response(empty)) == tuple(empty)


def test_what_is_acknowledged_has_its_class():
    assert len(ACKNOWLEDGEMENTS) == 17
    assert ACKNOWLEDGEMENTS[x1.RequestMessageType.PING] is x1.PingResponse
    assert x1.RequestMessageType.GET_OBJECT not in ACKNOWLEDGEMENTS

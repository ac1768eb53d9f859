"""The codec's error."""

from __future__ import annotations

from imswire.errors import WireError
from imswire.x1 import ErrorCode, X1Error


def test_it_is_a_wire_error_with_a_place_a_rule_and_a_code():
    error = X1Error("missing", "xId")
    assert isinstance(error, WireError)
    assert (error.path, error.reason, error.code) == ("xId", "missing", ErrorCode.SCHEMA)
    assert str(error) == "xId: missing"
    assert str(X1Error("not well-formed", code=ErrorCode.GENERIC)) == "not well-formed"


def test_it_is_seen_from_outside():
    error = X1Error("twice", code=ErrorCode.UNSUPPORTED).within("xId").within("taskDetails")
    assert (error.path, error.code) == ("taskDetails/xId", ErrorCode.UNSUPPORTED)

"""Errors of X2/X3 say where."""

from imswire.errors import WireError
from imswire.x2x3 import X2X3Error


def test_with_and_without_a_place():
    fault = X2X3Error("header.version", "not read", 4)
    assert isinstance(fault, WireError) and str(fault) == "header.version at offset 4: not read"
    assert (fault.path, fault.reason, fault.offset) == ("header.version", "not read", 4)
    assert str(X2X3Error("header", "short")) == "header: short"

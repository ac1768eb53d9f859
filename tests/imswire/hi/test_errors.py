"""Errors of handover records say where."""

from imswire.errors import WireError
from imswire.hi import HiError


def test_with_and_without_a_place():
    fault = HiError("pSHeader", "missing", 4)
    assert isinstance(fault, WireError) and str(fault) == "pSHeader at offset 4: missing"
    assert (fault.path, fault.reason, fault.offset) == ("pSHeader", "missing", 4)
    assert str(HiError("pSHeader", "missing")) == "pSHeader: missing"

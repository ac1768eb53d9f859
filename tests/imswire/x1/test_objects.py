"""Generic objects."""

from __future__ import annotations

import pytest
from hypothesis import given

from imswire import x1
from imswire.x1.objects import GENERIC_OBJECT_RESPONSE_DETAILS
from tests.imswire.x1 import made


@given(made.object_responses)
def test_an_object_comes_back(details):
    assert made.again(GENERIC_OBJECT_RESPONSE_DETAILS, details) == details


def test_a_salt_is_eight_octets_at_least():
    asked = [x1.CreateObjectRequest(made.HEADER, x1.HashContext(made.XID, x1.HashAlgorithm.SHA_512, bytes(7)))]
    with pytest.raises(x1.X1Error, match="^createObject/salt: "):
        x1.build_request(asked)


def test_the_salt_is_not_shown():
    shown = repr(x1.HashContext(made.XID, x1.HashAlgorithm.SHA_512, b"saltsalt"))
    assert "salt" not in shown and made.XID in shown

"""The package's one error."""

from __future__ import annotations

from imswire.errors import WireError
from imswire.inet.errors import InetError


def test_it_is_an_error_of_the_codecs() -> None:
    assert issubclass(InetError, WireError)
    assert str(InetError("frame: no IP packet in it")) == "frame: no IP packet in it"

"""The error of the SIP codec carries what a server answers."""

from imswire import sip
from imswire.errors import WireError


def test_fields():
    error = sip.SipError("To", "missing", 400)
    assert (str(error), error.field, error.reason, error.status) == ("To: missing", "To", "missing", 400)
    assert isinstance(error, WireError)

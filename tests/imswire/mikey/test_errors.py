"""A MikeyError says where, what, and what an Error message would carry."""

from imswire import mikey


def test_fields():
    error = mikey.MikeyError("T", "too short", field="value", offset=10, error_no=mikey.ErrorNo.INVALID_TS)
    assert str(error) == "T at offset 10: value: too short"
    assert (error.payload, error.field, error.offset, error.error_no) == ("T", "value", 10, 1)
    assert str(mikey.MikeyError("V", "wrong")) == "V: wrong"

"""Number tables, against the vectors and the RFC where they have them in digits."""

from imswire.mikey import numbers as n


def test_numbers_of_rfc_6043():
    assert [n.DataType.REQUEST_INIT_PSK, n.DataType.RESOLVE_RESP] == [11, 18]
    assert [n.PayloadType.TR, n.PayloadType.TICKET] == [13, 17]
    assert [n.ErrorNo.INVALID_TICKET, n.ErrorNo.INVALID_TP_PAR] == [14, 15]
    assert n.MAC_OCTETS[2] == 32 and n.ENCR_KEY_OCTETS[3] == 32 and n.TS_OCTETS[3] == 4

"""PS-PDUs as values."""

from imswire import hi
from tests.imswire.hi.samples import BUILT, CC, HEADER


def test_what_may_hold_keys_is_not_shown():
    pdu = hi.parse(BUILT["eps-keys"])
    assert isinstance(pdu.payload, tuple)
    assert bytes(range(16)) in pdu.payload[0].contents
    assert "x0f" not in repr(pdu) and "octets>" in repr(pdu)
    assert repr(hi.Cc(1, CC["ipmm"])) == f"Cc(direction=1, contents=<{len(CC['ipmm'])} octets>, time=None)"


def test_defaults():
    header = hi.Header(b"LIID1", hi.CommunicationId(b"OP1"), 0)
    assert header.version == 43 and header.time_form == hi.TimeForm.MICROSECONDS
    assert hi.IpmmStream().frame_type == hi.FrameType.RTP
    assert hi.VoipStream(None, b"\1") == hi.VoipStream(None, b"\1", None)
    assert hash(hi.Ts33128Stream()) == hash(hi.Ts33128Stream(None))
    assert HEADER.cid.cin == 7 and not hi.TestPdu.__test__

"""All codecs raise errors of one tree."""

import pytest

from imswire import inet, mikey, pcap, sdp, sip, srtp
from imswire.errors import WireError


@pytest.mark.parametrize(
    "error", [sip.SipError, sdp.SdpError, mikey.MikeyError, srtp.SrtpError, inet.InetError, pcap.PcapError]
)
def test_one_tree(error):
    assert issubclass(error, WireError) and issubclass(error, ValueError)

"""The topmost Via with where its request came from (RFC 3261 18.2.1, RFC 3581 4)."""

from __future__ import annotations

import pytest

from imswire import sip
from imswire.sip import verdict
from midcall.cscf import top_via
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import request

SOURCE = Hop("udp", "10.0.0.1", 4444)


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("SIP/2.0/UDP 10.0.0.1", None),
        ("SIP/2.0/UDP 10.0.0.1;branch=z;x=y", None),
        ("SIP/2.0/UDP [2001:DB8::1]", "SIP/2.0/UDP [2001:DB8::1];received=10.0.0.1"),
        ("SIP/2.0/UDP host:5061;branch=z", "SIP/2.0/UDP host:5061;branch=z;received=10.0.0.1"),
        ("SIP/2.0/UDP host;received=1.2.3.4", "SIP/2.0/UDP host;received=10.0.0.1"),
        ("SIP/2.0/UDP 10.0.0.1;rport;branch=z", "SIP/2.0/UDP 10.0.0.1;rport=4444;branch=z;received=10.0.0.1"),
        ("SIP/2.0/UDP 10.0.0.1;branch=z;rport", "SIP/2.0/UDP 10.0.0.1;branch=z;rport=4444;received=10.0.0.1"),
        ("SIP/2.0/UDP 10.0.0.1;branch=z;oc;oc-algo=loss", "SIP/2.0/UDP 10.0.0.1;branch=z"),
    ],
)
def test_where_a_request_came_from(via, expected):
    octets = f"OPTIONS sip:x SIP/2.0\r\nVia: {via}, SIP/2.0/TCP next\r\n\r\n".encode()
    found = top_via.with_source(top_via.read(sip.parse(octets)), SOURCE)
    assert found == (None if expected is None else expected.encode())


def test_nothing_tells_where_to_answer():
    with pytest.raises(sip.SipError, match="Via"):
        top_via.read(sip.parse(b"OPTIONS sip:x SIP/2.0\r\n\r\n"))


@pytest.mark.parametrize("more", ["", ";rport"])
def test_what_is_usual_says_the_same_as_what_is_read(more):
    octets = request(via="SIP/2.0/UDP host:5061").replace("branch=z9hG4bKa1", f"branch=z9hG4bKa1{more}").encode()
    usual = verdict.usual(sip.parse(octets))
    assert usual is not None and top_via.of_usual(usual) == top_via.read(sip.parse(octets))

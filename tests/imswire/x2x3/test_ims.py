"""SIP messages and the start of interception as X2 PDUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x2x3
from imswire.errors import WireError
from imswire.hi import HiError, IriType, eps, ts33128
from imswire.x2x3 import Direction, EpsRecord, PayloadFormat, Pdu, SipCopy, X2X3Error
from tests.imswire.hi.samples import EPS
from tests.imswire.x2x3.samples import A4, A6, B4, B6, HEAD, SDP, SIP, START, XID

MESSAGE = ts33128.ImsMessage(message=ts33128.SipMessage(A4, B4, SIP), direction=ts33128.SessionDirection.FROM_TARGET)
SOI = ts33128.StartOfInterception(
    originating=(ts33128.Impu("sip:a@x"),), terminating=ts33128.Impu("sip:b@x"), sdp=(b"v=0\r\n", b"v=0\r\n")
)


def sent(pdu: Pdu) -> Pdu:
    """What the other side has, without a finding."""
    octets = x2x3.build(pdu)
    found = x2x3.parse(octets)
    assert found == pdu and x2x3.check(found, of_3gpp=True) == ()
    return found


def test_the_vector():
    found = x2x3.parse(START)
    head = x2x3.X2Head(
        xid=found.xid, nfid=b"pcscf-1", ipid=b"sip-in", sequence=0, time=found.time, matched=("<impu>sip:a@x</impu>",)
    )
    assert x2x3.build(x2x3.xiri(head, SOI)) == START
    assert x2x3.contents(found) == ts33128.XiriPayload(SOI)


@pytest.mark.parametrize(
    "session, direction",
    [
        (ts33128.SessionDirection.FROM_TARGET, Direction.FROM_TARGET),
        (ts33128.SessionDirection.TO_TARGET, Direction.TO_TARGET),
        (ts33128.SessionDirection.COMBINED, Direction.SEVERAL),
        (ts33128.SessionDirection.INDETERMINATE, Direction.UNKNOWN),
    ],
)
def test_sip_in_format_2(session, direction):
    event = ts33128.ImsMessage(message=MESSAGE.message, direction=session)
    found = sent(x2x3.xiri(HEAD, event))
    assert (found.format, found.direction) == (PayloadFormat.TS_33_128, direction)
    assert x2x3.contents(found) == ts33128.XiriPayload(event)
    assert (found.matched, found.others, found.correlation) == (HEAD.matched, HEAD.others, HEAD.correlation)


@pytest.mark.parametrize("pair", [(A4, B4), (A6, B6)])
@pytest.mark.parametrize("ports", [(None, None, None), (5062, 5060, 17)])
def test_sip_in_format_9(pair, ports):
    copy = SipCopy(SIP, *pair, *ports)
    found = sent(x2x3.sip(HEAD, copy, Direction.TO_TARGET))
    assert found.payload == SIP and x2x3.contents(found) == copy
    types = [each.type for each in found.attributes]
    assert types == sorted(types)


def test_start_of_interception_in_format_14():
    parameters = EPS["start-of-interception"]
    found = sent(x2x3.start_of_interception(HEAD, parameters))
    assert (found.format, found.direction) == (PayloadFormat.EPS_IRI, Direction.NOT_APPLICABLE)
    assert x2x3.contents(found) == EpsRecord(IriType.REPORT, parameters)
    # The same record as in epsIRIsContent of an ePSIRI, behind the two tags that stand around it there.
    assert eps.build(parameters, IriType.REPORT).endswith(found.payload) and found.payload[0] == 0xA4
    assert b"INVITE" in found.payload and SDP in found.payload


@pytest.mark.parametrize("kind", IriType)
def test_any_record_of_ts_33_108(kind):
    found = sent(x2x3.eps_iri(HEAD, EPS["everything"], kind))
    assert x2x3.contents(found) == EpsRecord(kind, EPS["everything"])


def test_keys_never():
    with pytest.raises(X2X3Error, match="keys are not carried"):
        x2x3.eps_iri(HEAD, EPS["keys"])


def test_what_is_no_start_of_interception():
    with pytest.raises(X2X3Error, match="not the start"):
        x2x3.start_of_interception(HEAD, EPS["sip-message"])
    with pytest.raises(X2X3Error, match="an offer is needed"):
        x2x3.start_of_interception(HEAD, eps.IriParameters(liid=b"1", time=0, event=eps.ImsEvent.START_OF_INTERCEPTION))


@pytest.mark.parametrize("addresses", [(None, None), (A4, None), (A4, B6), (b"123", b"456")])
def test_bare_sip_needs_its_addresses(addresses):
    with pytest.raises(X2X3Error, match="address"):
        x2x3.sip(HEAD, SipCopy(SIP, *addresses), Direction.TO_TARGET)


def test_values_out_of_bounds():
    with pytest.raises(HiError, match="EpsIRIContent"):
        x2x3.eps_iri(HEAD, eps.IriParameters(liid=bytes(26), time=0))
    with pytest.raises(X2X3Error, match="SessionDirection"):
        x2x3.xiri(HEAD, ts33128.ImsMessage(message=MESSAGE.message, direction=9))


def test_other_formats_are_octets():
    assert x2x3.contents(Pdu(2, PayloadFormat.IPV4, 3, XID, payload=b"E")) == b"E"
    assert x2x3.contents(Pdu(2, PayloadFormat.TS_33_128, 3, XID, payload=b"0")) == b"0"


@given(st.sampled_from([2, 9, 14]), st.binary(max_size=60))
def test_nothing_but_its_own_error(format_, payload):
    try:
        x2x3.contents(Pdu(1, format_, 5, XID, payload=payload))
    except WireError:
        return


def test_a_domain_and_a_copy_that_shows_nothing():
    head = x2x3.X2Head(xid=XID, nfid=b"n", ipid=b"i", sequence=0, time=0, domain=b"d", matched=("<a>1</a>",))
    assert sent(x2x3.xiri(head, MESSAGE)).domain == b"d"
    assert "BYE" not in repr(SipCopy(SIP))

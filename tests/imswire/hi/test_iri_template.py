"""Templates of events make octet for octet what build makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imswire import hi
from imswire.hi import eps, times
from tests.imswire.hi.samples import ALICE, EPS, FULL_HEADER, HEADER, INVITE, TIME
from tests.imswire.hi.test_pdu import headers
from tests.imswire.hi.test_template import EDGES, TIMES

CONTENTS = eps.build(EPS["sip-message"])
SUBJECT = eps.IriParameters(
    time=0, liid=b"LIID1", parties=(ALICE,), event=1, initiator=0, carrier_data=b"x", national=(b"\0\1",)
)
NUMBER = bytes(range(8))
CORRELATED = {
    "none": (SUBJECT, b""),
    "content": (replace(SUBJECT, ims_voip=(eps.ImsVoip(NUMBER, eps.IriToCc((NUMBER,))),)), NUMBER),
    "events alone": (replace(SUBJECT, correlation=eps.Correlation(to_iri=NUMBER)), NUMBER),
}


def renumbered(parameters: eps.IriParameters, number: bytes) -> eps.IriParameters:
    if parameters.ims_voip:
        return replace(parameters, ims_voip=(eps.ImsVoip(number, eps.IriToCc((number,))),))
    return (
        parameters
        if parameters.correlation is None
        else replace(parameters, correlation=eps.Correlation(to_iri=number))
    )


@pytest.mark.parametrize("name", CORRELATED)
@pytest.mark.parametrize("record", [None, *hi.IriType])
@pytest.mark.parametrize("message", [b"", b"x", INVITE, bytes(127), bytes(128), bytes(255), bytes(65_535)])
def test_messages_of_any_size(name, record, message):
    parameters, number = CORRELATED[name]
    made = hi.EpsTemplate(parameters, record)
    for time, each in ((TIME, number), (0, number[::-1]), (times.LAST - 1, number)):
        expected = replace(renumbered(parameters, each), time=time, sip_message=message)
        assert made.contents(time, message, each) == eps.build(expected, record)


def test_a_season_is_not_kept():
    made = hi.EpsTemplate(replace(SUBJECT, time=5, season=1, sip_message=INVITE))
    assert eps.parse(made.contents(TIME, b"")).season is None


@pytest.mark.parametrize("time", [-1, times.LAST])
def test_a_time_that_cannot_be_said(time):
    with pytest.raises(hi.HiError, match="timeStamp"):
        hi.EpsTemplate(SUBJECT).contents(time, b"")


@pytest.mark.parametrize("name", CORRELATED)
def test_a_number_of_another_size(name):
    with pytest.raises(hi.HiError, match="another size"):
        hi.EpsTemplate(CORRELATED[name][0]).contents(TIME, b"", b"123")


def test_values_out_of_bounds_are_refused_when_the_template_is_made():
    with pytest.raises(hi.HiError, match="lawfulInterceptionIdentifier"):
        hi.EpsTemplate(replace(SUBJECT, liid=bytes(26)))
    with pytest.raises(hi.HiError, match="lawfulInterceptionIdentifier"):
        hi.IriTemplate(replace(HEADER, liid=bytes(26)), isolated=True)


def built(header: hi.Header, cin: int | None, sequence: int, time: int, kind: int, contents: bytes) -> bytes:
    cid = replace(header.cid, cin=cin)
    header = replace(header, cid=cid, sequence=sequence, time=time, time_form=hi.TimeForm.MICROSECONDS)
    return hi.build(hi.PsPdu(header, (hi.Iri(kind, contents),)))


@pytest.mark.parametrize("header", [HEADER, FULL_HEADER])
@pytest.mark.parametrize("isolated", [True, False])
def test_all_widths(header, isolated):
    made = hi.IriTemplate(header, isolated=isolated)
    for place, sequence in enumerate(EDGES):
        for shift, time in enumerate(TIMES):
            cin = EDGES[(place + shift) % len(EDGES)]
            kind = hi.IriType(1 + place % 4)
            expected = built(header, None if isolated else cin, sequence, time, kind, CONTENTS)
            assert made.pdu(cin, sequence, time, kind, CONTENTS) == expected


@given(headers, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**62), st.binary(max_size=5_000))
def test_any_values(header, cin, sequence, time, octets):
    contents = eps.build(replace(SUBJECT, sip_message=octets))
    made = hi.IriTemplate(header, isolated=False)
    assert made.pdu(cin, sequence, time, 4, contents) == built(header, cin, sequence, time, 4, contents)


@pytest.mark.parametrize(
    "values, name",
    [
        ((-1, 0, 0, 4, CONTENTS), "communicationIdentityNumber"),
        ((2**32, 0, 0, 4, CONTENTS), "communicationIdentityNumber"),
        ((0, -1, 0, 4, CONTENTS), "sequenceNumber"),
        ((0, 2**32, 0, 4, CONTENTS), "sequenceNumber"),
        ((0, 0, -1, 4, CONTENTS), "microSecondTimeStamp"),
        ((0, 0, 2**64 * 10**9, 4, CONTENTS), "microSecondTimeStamp"),
        ((0, 0, 0, 0, CONTENTS), "iRIType"),
        ((0, 0, 0, 5, CONTENTS), "iRIType"),
        ((0, 0, 0, 4, b""), "iRIContents"),
        ((0, 0, 0, 4, CONTENTS + b"\0"), "iRIContents"),
        ((0, 0, 0, 4, b"\x04\0"), "iRIContents"),
    ],
)
def test_out_of_range(values, name):
    made = hi.IriTemplate(HEADER, isolated=False)
    with pytest.raises(hi.HiError, match=name):
        made.pdu(*values)


LAST = (1 << 32) - 1
NUMBERS = [(), (0,), (127, 128), tuple(range(32_700, 32_900)), (LAST, 0), tuple(range(1_000))]


def checked(header: hi.Header, cin: int | None, sequence: int, time: int, check: hi.IntegrityCheck) -> bytes:
    head = replace(header, cid=replace(header.cid, cin=cin), sequence=sequence, time=time)
    return hi.build(hi.PsPdu(replace(head, time_form=hi.TimeForm.MICROSECONDS), check))


@pytest.mark.parametrize("header", [HEADER, FULL_HEADER])
@pytest.mark.parametrize("isolated", [True, False])
def test_integrity_checks_of_any_numbers(header, isolated):
    made = hi.CheckTemplate(header, isolated=isolated)
    signature = hi.IntegrityCheck((3, 4), hi.CheckType.SIGNATURE, hi.DataType.IRI, bytes(64), None, 2)
    checks = [hi.IntegrityCheck(each, hi.CheckType.HASH, hi.DataType.CC, bytes(range(32))) for each in NUMBERS]
    for check in [*checks, signature]:
        for cin, sequence, time in ((0, 0, TIME), (7, 128, 0), (1 << 31, LAST, TIME + 999_999_999)):
            found = made.pdu(cin, sequence, time, check)
            assert found == checked(header, None if isolated else cin, sequence, time, check)


def test_an_integrity_check_out_of_bounds():
    made, good = hi.CheckTemplate(HEADER, isolated=False), hi.IntegrityCheck((1,), 1, 2, b"")
    with pytest.raises(hi.HiError, match="integrityCheck.includedSequenceNumbers"):
        made.pdu(0, 0, TIME, replace(good, numbers=(-1,)))
    for cin, sequence, time in ((-1, 0, TIME), (0, 1 << 32, TIME), (0, 0, -1)):
        with pytest.raises(hi.HiError, match="pSHeader"):
            made.pdu(cin, sequence, time, good)

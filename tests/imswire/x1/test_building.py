"""Writing X1: what comes out is what the schema orders, and comes in again as it was."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from imswire import x1
from imswire.x1.document import X1
from tests.imswire.x1 import made


@pytest.mark.parametrize("sample", made.REQUESTS)
def test_a_sample_of_requests_is_rebuilt(sample):
    messages = x1.parse_requests(sample)
    assert not any(isinstance(each, x1.Malformed) for each in messages)
    again = x1.build_request(messages)
    assert same(again, sample)
    assert x1.parse_requests(again) == messages


@pytest.mark.parametrize("sample", made.RESPONSES)
def test_a_sample_of_responses_is_rebuilt(sample):
    messages = x1.parse_response(sample)
    again = x1.build_response(messages)
    assert same(again, sample)
    assert x1.parse_response(again) == messages


def same(one: bytes, other: bytes) -> bool:
    """Elements, attributes and text alike, whatever the prefixes and the space between members."""

    def tree(element):
        text = "" if len(element) else element.text or ""
        return element.tag, dict(element.attrib), text, [tree(each) for each in element]

    return tree(etree.fromstring(one)) == tree(etree.fromstring(other))


@given(st.lists(made.requests, min_size=1, max_size=2).map(tuple))
def test_requests_come_back(messages):
    assert x1.parse_requests(x1.build_request(messages)) == messages


@given(st.lists(made.responses, min_size=1, max_size=2).map(tuple))
def test_responses_come_back(messages):
    assert x1.parse_response(x1.build_response(messages)) == messages


def test_the_header_comes_first_and_in_order():
    (message,) = etree.fromstring(x1.build_request([made.activate()]))
    assert [etree.QName(each).localname for each in message] == [
        "admfIdentifier",
        "neIdentifier",
        "messageTimestamp",
        "version",
        "x1TransactionId",
        "taskDetails",
    ]
    assert message.findtext(f"{{{X1}}}messageTimestamp") == "2024-01-02T03:04:05.000000Z"


@pytest.mark.parametrize(
    "message",
    [
        made.activate(xid="no uuid"),
        made.activate(targets=()),
        made.activate(targets=(x1.Imei("490154203237518"),)),
        made.activate(targets=(x1.SipUri("sip:\0"),)),
        made.activate(targets=(x1.SipUri("sip:\ud800"),)),
        made.activate(targets=(x1.DoNotReport(),)),
        made.activate(targets=(x1.Opaque("imsi", "no digits"),)),
        made.activate(targets=(x1.Opaque("sipUri", "sip:a@b"),)),
        made.activate(delivery="X4Only"),
        made.activate(correlation_id=-1),
        made.activate(extensions=(x1.Extension("o", (x1.ForeignElement("urn:a", "b", b"<c/>"),)),)),
        x1.ReportTaskIssueRequest(made.HEADER, made.XID, x1.TaskReportType.WARNING, details="\1"),
        x1.PingRequest(x1.Header("a", "b", 10**30, x1.VERSION, made.TRANSACTION)),
        x1.PingRequest(x1.Header("a", "b", 0, "1.22", made.TRANSACTION)),
        x1.PingResponse(made.HEADER),
    ],
)
def test_what_the_schema_refuses_does_not_leave(message):
    with pytest.raises(x1.X1Error) as raised:
        x1.build_request([message])
    assert "sip:" not in str(raised.value) and "490154203237518" not in str(raised.value)


def test_an_error_names_the_member():
    with pytest.raises(x1.X1Error, match=r"^taskDetails/deliveryType: no value of its type$"):
        x1.build_request([made.activate(delivery="X4Only")])
    with pytest.raises(x1.X1Error, match=r"^taskDetails/xId: a value that is not of its type$"):
        x1.build_request([made.activate(xid="no uuid")])


def test_no_message_is_no_document():
    with pytest.raises(x1.X1Error):
        x1.build_request([])
    with pytest.raises(x1.X1Error):
        x1.build_response([])


def test_an_issue_of_the_element_is_answered_as_completed_only():
    asked = x1.ReportNEIssueRequest(made.HEADER, x1.NeIssueType.ALERT, "text")
    assert x1.build_response([x1.acknowledgement(asked, made.AT)])
    with pytest.raises(x1.X1Error):
        x1.build_response([x1.acknowledgement(asked, made.AT, x1.Ok.ACKNOWLEDGED)])


def test_an_acknowledgement_answers_its_request():
    answer = x1.acknowledgement(made.activate(), made.AT + 5_000, x1.Ok.ACKNOWLEDGED)
    assert answer == x1.ActivateTaskResponse(made.HEADER.reply(made.AT + 5_000), x1.Ok.ACKNOWLEDGED)
    with pytest.raises(x1.X1Error):
        x1.acknowledgement(x1.GetAllDetailsRequest(made.HEADER), made.AT)


def test_a_refusal_says_the_code_and_nothing_of_the_message():
    answer = x1.refusal(made.activate(), x1.ErrorCode.XID_EXISTS, made.AT)
    assert answer.message_type is x1.RequestMessageType.ACTIVATE_TASK
    assert answer.error == x1.Fault(2010, "the XID exists")
    more = x1.refusal(made.activate(), x1.ErrorCode.TARGET_TYPE, made.AT, "peiImei")
    assert more.error.description.endswith(": peiImei")
    assert x1.parse_response(x1.build_response([answer, more])) == (answer, more)


def test_a_correction_answers_what_is_not_understood():
    (bad,) = x1.parse_requests(made.changed(b"<deliveryType>X2andX3</deliveryType>", b""))
    answer = x1.correction(bad, made.AT, "admf-9", "ne-9")
    assert answer.error.code == x1.ErrorCode.SCHEMA
    assert answer.error.description == (
        "the message breaks the schema: taskDetails/listOfDIDs: a member is missing, out of place or not known"
    )
    assert answer.header == x1.Header("admf-1", "scscf-1", made.AT, "v1.22.1", made.TRANSACTION)
    assert x1.parse_response(x1.build_response([answer])) == (answer,)


def test_another_schema_decides_when_it_is_given():
    with pytest.raises(x1.X1Error, match="^taskDetails/deliveryType: "):
        x1.build_request([made.activate()], schema=narrower())


def narrower() -> x1.Schema:
    """X1 without X2Only."""
    folder = resources.files("imswire.x1").joinpath("schemas")
    files = {each.name: each.read_bytes() for each in folder.iterdir() if each.name.endswith(".xsd")}
    files["TS_103_221_01.xsd"] = files["TS_103_221_01.xsd"].replace(b'<xs:enumeration value="X2Only"/>', b"")
    return x1.Schema(files)


def test_foreign_octets_leave_as_they_are():
    """Whatever their prefixes: a value may mention one."""
    common = b"http://uri.etsi.org/03280/common/2017/07"
    octets = b'<p:a xmlns:c="%s" xmlns:p="urn:p" p:t="c:UUID"><c:b></c:b></p:a>' % common
    message = made.activate(extensions=(made.foreign(octets),))
    assert octets in x1.build_request([message])

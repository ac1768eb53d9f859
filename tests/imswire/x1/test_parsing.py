"""Reading X1: every message by itself, and hostile documents."""

from __future__ import annotations

import contextlib
import time
from importlib import resources
from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from imswire import x1
from imswire.errors import WireError
from imswire.x1.document import HASHED_ID, X1
from imswire.x1.requests import REQUESTS
from imswire.x1.responses import RESPONSES
from tests.imswire.x1 import made

XS = "{http://www.w3.org/2001/XMLSchema}"


def batch(*changes: tuple[bytes, bytes]) -> bytes:
    """Requests with transactions ...00, ...01, ...: each the sample with one difference."""
    message = made.ACTIVATE[made.ACTIVATE.index(b"<x1RequestMessage") : made.ACTIVATE.index(b"</X1Request>")]
    parts = []
    for number, (old, new) in enumerate(changes):
        assert old in message
        parts.append(message.replace(b"2b1adc80", b"2b1adc%02x" % number, 1).replace(old, new, 1))
    return made.ACTIVATE.replace(message, b"".join(parts))


def test_the_sample_says_what_it_says():
    first, second = x1.parse_requests(made.REQUESTS[1])
    assert first == x1.CreateDestinationRequest(
        x1.Header("admf-1", "scscf-1", made.AT, "v1.22.1", "3741800e-971b-4aa9-85f4-466d2b1adc7f"),
        x1.DestinationDetails(
            made.DID,
            x1.DeliveryType.X2_ONLY,
            x1.IpAddressAndPort(IPv4Address("192.0.2.10"), x1.TcpPort(9992)),
            "df2",
        ),
    )
    assert second == x1.ActivateTaskRequest(made.HEADER, made.TASK)


def test_reports_of_an_element_are_requests_too():
    kinds = [type(each) for each in x1.parse_requests(made.REQUESTS[2])]
    assert kinds == [
        x1.ReportTaskIssueRequest,
        x1.ReportNEIssueRequest,
        x1.ReportDestinationIssueRequest,
        x1.KeepaliveRequest,
        x1.DeactivateTaskRequest,
    ]


def test_every_message_of_the_schema_is_known():
    root = etree.fromstring(resources.files("imswire.x1").joinpath("schemas", "TS_103_221_01.xsd").read_bytes())
    based = {
        name: {
            kind.get("name") for kind in root.iter(f"{XS}complexType") for each in kind.iter(f"{XS}extension")
            if each.get("base") == name
        }
        for name in ("X1RequestMessage", "X1ResponseMessage")
    }  # fmt: skip
    assert set(REQUESTS) == based["X1RequestMessage"]
    assert set(RESPONSES) == based["X1ResponseMessage"]


def test_one_bad_message_leaves_the_others_alone():
    good = (b"xId", b"xId")
    found = x1.parse_requests(
        batch(good, (b"29f28e1c-", b"29f28e1c+"), good, (b"v1.22.1", b"v1.23.1"), (b"ActivateTask", b"Foo"), good)
    )
    assert [type(each).__name__ for each in found] == [
        "ActivateTaskRequest",
        "Malformed",
        "ActivateTaskRequest",
        "Malformed",
        "Malformed",
        "ActivateTaskRequest",
    ]
    assert [each.error.code for each in found if isinstance(each, x1.Malformed)] == [
        x1.ErrorCode.SCHEMA,
        x1.ErrorCode.VERSION,
        x1.ErrorCode.UNSUPPORTED,
    ]
    transactions = [
        each.transaction_id if isinstance(each, x1.Malformed) else each.header.transaction_id for each in found
    ]
    assert [transaction[-2:] for transaction in transactions] == ["00", "01", "02", "03", "04", "05"]
    assert found[0].task == found[2].task == found[5].task


def test_a_batch_that_is_valid_can_still_hold_a_wrong_version():
    wrong, right = x1.parse_requests(batch((b"v1.22.1", b"v1.5.1"), (b"v1.22.1", b"v1.6.1")))
    assert isinstance(wrong, x1.Malformed) and wrong.error.code == x1.ErrorCode.VERSION
    assert wrong.version == x1.VERSION
    assert wrong.message_type is x1.RequestMessageType.ACTIVATE_TASK
    assert isinstance(right, x1.ActivateTaskRequest) and right.header.version == "v1.6.1"


@pytest.mark.parametrize(
    ("old", "new", "code", "path"),
    [
        (b"<deliveryType>X2andX3</deliveryType>", b"", x1.ErrorCode.SCHEMA, "taskDetails/listOfDIDs"),
        (b"<admfIdentifier>admf-1</admfIdentifier>", b"", x1.ErrorCode.SCHEMA, "neIdentifier"),
        (b"<version>v1.22.1</version>", b"", x1.ErrorCode.SCHEMA, "x1TransactionId"),
        (b"v1.22.1", b"v2.0.0", x1.ErrorCode.VERSION, "version"),
        (b"v1.22.1", b"1.22.1", x1.ErrorCode.VERSION, "version"),
        (b' xsi:type="ActivateTaskRequest"', b"", x1.ErrorCode.SCHEMA, ""),
        (b'"ActivateTaskRequest"', b'"ErrorResponse"', x1.ErrorCode.UNSUPPORTED, ""),
        (b'"ActivateTaskRequest"', b'"c:ActivateTaskRequest"', x1.ErrorCode.UNSUPPORTED, ""),
        (b'"ActivateTaskRequest"', b'"nowhere:ActivateTaskRequest"', x1.ErrorCode.SCHEMA, ""),
        (b'"ActivateTaskRequest"', b'"PingRequest"', x1.ErrorCode.SCHEMA, "taskDetails"),
        (b"<impu>", b'<impu a="' + b"x" * 1_000_000 + b'">', x1.ErrorCode.SCHEMA, "taskDetails/targetIdentifiers"),
        (b"<xId>", b'<xId xmlns="urn:other">', x1.ErrorCode.SCHEMA, "taskDetails/xId"),
        (b"2024-02-02T00", b"2024-02-30T00", x1.ErrorCode.SCHEMA, "taskDetails/listOfMediationDetails"),
    ],
)
def test_what_is_wrong_with_one_message(old, new, code, path):
    bad = made.one(made.changed(old, new))
    assert isinstance(bad, x1.Malformed)
    assert bad.error.code == code
    assert bad.error.path.startswith(path)
    assert bad.transaction_id == made.TRANSACTION
    answer = x1.correction(bad, made.AT, "admf-1", "scscf-1")
    assert x1.parse_response(x1.build_response([answer])) == (answer,)
    assert answer.header == made.HEADER


def test_a_message_without_a_transaction_takes_the_whole_document_with_it():
    for octets in (
        made.changed(b"<x1TransactionId>" + made.TRANSACTION.encode() + b"</x1TransactionId>", b""),
        made.changed(made.TRANSACTION.encode(), made.TRANSACTION.upper().encode()),
        batch((b"xId", b"xId"), (b"3741800e", b"3741800g")),
    ):
        with pytest.raises(x1.X1Error, match="cannot be answered") as raised:
            x1.parse_requests(octets)
        assert raised.value.code == x1.ErrorCode.GENERIC


def test_identifiers_that_cannot_be_given_back_are_the_elements_own():
    for new in (b"", b" ", b"x" * 256, b"<a/>"):
        bad = made.one(made.changed(b">admf-1<", b">" + new + b"<").replace(b"v1.22.1", b"v9.9.9"))
        assert bad.admf_identifier is None
        assert bad.header(made.AT, "mine", "also mine") == x1.Header(
            "mine", "scscf-1", made.AT, "v1.22.1", made.TRANSACTION
        )


@pytest.mark.parametrize(
    ("kind", "namespace", "named"),
    [
        (b"IdentityAssociationRequest", b"urn:3GPP:ns:li:3GPPIdentityExtensions:r19:v0", "IdentityAssociation"),
        (b"ActivateAssociationUpdates", b"urn:3GPP:ns:li:3GPPIdentityExtensions:r18:v1", "ActivateAssociationUpdates"),
        (b"SomethingRequest", b"urn:vendor", None),
        ("É".encode(), b"urn:3GPP:ns:li:x", None),
    ],
)
def test_requests_of_other_specifications_are_refused_by_name(kind, namespace, named):
    bad = made.one(made.changed(b'xsi:type="ActivateTaskRequest"', b'xmlns:o="%s" xsi:type="o:%s"' % (namespace, kind)))
    assert (bad.error.code, bad.message_type) == (x1.ErrorCode.UNSUPPORTED, x1.RequestMessageType.EXTENDED)
    assert (bad.extension and bad.extension.message_type) == named
    assert x1.build_response([x1.correction(bad, made.AT, "a", "n")])


def test_a_replayed_transaction_is_none_of_the_codecs_business():
    found = x1.parse_requests(made.REQUESTS[2])
    assert len({each.header.transaction_id for each in found}) == 1


def generic_object(kind: bytes) -> bytes:
    message = made.ACTIVATE[made.ACTIVATE.index(b"<taskDetails>") : made.ACTIVATE.index(b"</x1RequestMessage>")]
    made_object = b'<createObject xmlns:h="%s" xmlns:d="urn:d" xsi:type="%s"><objectId>%s</objectId>' % (
        HASHED_ID.encode(),
        kind,
        made.XID.encode(),
    )
    made_object += b"<h:hashAlgorithm>sha-256</h:hashAlgorithm><h:salt>0011223344556677</h:salt></createObject>"
    return made.ACTIVATE.replace(message, made_object).replace(b"ActivateTask", b"CreateObject")


def test_an_object_of_a_known_type():
    found = made.one(generic_object(b"h:HashContext"))
    assert found.object == x1.HashContext(made.XID, x1.HashAlgorithm.SHA_256, bytes.fromhex("0011223344556677"))


@pytest.mark.parametrize("kind", [b"h:DestinationSet", b"d:TrafficPolicy", b"GenericObject"])
def test_an_object_of_another_type_is_refused(kind):
    bad = made.one(generic_object(kind))
    assert isinstance(bad, x1.Malformed) and bad.message_type is x1.RequestMessageType.CREATE_OBJECT
    assert bad.error.code == x1.ErrorCode.UNSUPPORTED


# Documents that are no X1


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<X1Request/>",
        b'<X1Request xmlns="urn:other"/>',
        b'<X1Request xmlns="%s"/>' % X1.encode(),
        b'<X1Request xmlns="%s"><other/></X1Request>' % X1.encode(),
        b'<X1Request xmlns="%s"><x1RequestMessage/></X1Request>' % X1.encode(),
        made.ACTIVATE.replace(b"http://uri.etsi.org/03221/X1/2017/10", b"http://uri.etsi.org/03221/X1/2099/01"),
        b'<!DOCTYPE X1Request [<!ENTITY a "b">]>' + made.ACTIVATE,
        made.ACTIVATE[:-2],
        made.RESPONSES[0],
    ],
)
def test_not_understood_at_all(octets):
    with pytest.raises(x1.X1Error):
        x1.parse_requests(octets)


def test_an_external_entity_is_not_even_looked_at(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("sip:alice@ims.example")
    octets = b'<!DOCTYPE X1Request [<!ENTITY x SYSTEM "%s">]>' % secret.as_uri().encode() + made.with_target(
        b"<impu>&x;</impu>"
    )
    with pytest.raises(x1.X1Error):
        x1.parse_requests(octets)


def test_a_schema_that_a_message_brings_is_not_loaded(tmp_path):
    location = (tmp_path / "x.xsd").as_uri().encode()
    octets = made.changed(b"<X1Request ", b'<X1Request xsi:schemaLocation="urn:x %s" ' % location)
    assert isinstance(made.one(octets), x1.ActivateTaskRequest)


BAD_TARGET = b"</targetIdentifier><targetIdentifier><impu> </impu>"
EMAIL = b"<internationalizedEmailAddress>%s</internationalizedEmailAddress>"
LONG = {
    "targets": made.with_target(b"<impu>a</impu>" + BAD_TARGET * 999),
    "batch": batch(*[(b"29f28e1c-", b"29f28e1c+")] * 150),
    "internationalized": made.with_target(EMAIL % (b"@@@@@@@@" + b"a" * 900_000)),
    "email": made.with_target(b"<emailAddress>a@" + b"a." * 400_000 + b"</emailAddress>"),
    "sip": made.with_target(b"<sipUri>sip:" + b"%" * 900_000 + b" </sipUri>"),
    "namespaces": made.changed(
        b"<xId>", b"<xId " + b" ".join(b'xmlns:a%d="u:%d"' % (n, n) for n in range(40_000)) + b">"
    ),
    "attributes": made.changed(b"<xId>", b"<xId " + b" ".join(b'a%d=""' % n for n in range(80_000)) + b">"),
}


@pytest.mark.parametrize("octets", LONG.values(), ids=LONG)
def test_what_takes_long_takes_a_bounded_time(octets):
    """Each takes some tenths of a second at most; without the bounds there are some that take minutes."""
    began = time.process_time()
    with contextlib.suppress(x1.X1Error):
        x1.parse_requests(octets)
    assert time.process_time() - began < 5


def test_nothing_personal_is_in_an_error():
    for old, new in (
        (b"<impu>sip:alice@ims.example</impu>", b"<impu>sip:alice at ims</impu>"),
        (b"<impu>sip:alice@ims.example</impu>", b"<alice/>"),
        (b"SE-2024-000001", b"alice alice"),
        (b"<xId>", b'<xId alice="alice">'),
        (b'"ActivateTaskRequest"', b'"alice"'),
    ):
        bad = made.one(made.changed(old, new))
        assert "alice" not in str(bad.error)
        assert "alice" not in x1.correction(bad, made.AT, "a", "n").error.description
        assert "alice" not in repr(bad)


# Responses


def test_a_bad_response_leaves_the_others_alone():
    found = x1.parse_response(
        made.changed(b"XID already exists</errorDescription>", b"</errorDescription><a/>", made.RESPONSES[0])
    )
    assert [type(each).__name__ for each in found] == [
        "ActivateTaskResponse",
        "Malformed",
        "GetTaskDetailsResponse",
        "ListAllDetailsResponse",
        "PingResponse",
    ]


def test_a_top_level_error_is_validated():
    assert isinstance(x1.parse_response(made.RESPONSES[1]), x1.TopLevelErrorResponse)
    with pytest.raises(x1.X1Error, match="^neIdentifier: a member is missing"):
        x1.parse_response(made.changed(b"<admfIdentifier>admf-1</admfIdentifier>", b"", made.RESPONSES[1]))
    with pytest.raises(x1.X1Error):
        x1.parse_response(made.ACTIVATE)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@example(made.RESPONSES[0])
def test_nothing_but_the_codecs_error_comes_out(octets):
    for parse in (x1.parse_requests, x1.parse_response):
        try:
            parse(octets)
        except WireError as error:
            assert isinstance(error, x1.X1Error)


@given(st.sampled_from(made.REQUESTS + made.RESPONSES), st.data())
def test_nor_out_of_a_damaged_sample(sample, data):
    at = data.draw(st.integers(0, len(sample) - 1))
    size = data.draw(st.integers(0, 40))
    octets = sample[:at] + data.draw(st.binary(max_size=8)) + sample[at + size :]
    for parse in (x1.parse_requests, x1.parse_response):
        try:
            parse(octets)
        except x1.X1Error:
            continue

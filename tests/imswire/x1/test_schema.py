"""The schemas: those published, unmodified, and those that an operator puts in their place."""

from __future__ import annotations

import hashlib
from importlib import resources

import pytest

from imswire import x1
from imswire.x1 import schema
from imswire.x1.document import COMMON, HASHED_ID, X1, read
from imswire.x1.extensions import WARRANT
from tests.imswire.x1 import made

FOLDER = resources.files("imswire.x1").joinpath("schemas")
THIRD_GENERATION = "urn:3GPP:ns:li:3GPPX1Extensions:r19:v2"


def files() -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in FOLDER.iterdir() if each.name.endswith(".xsd")}


def test_the_published_files_are_as_they_were_published():
    sums = dict(reversed(line.split()) for line in FOLDER.joinpath("SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256(octets).hexdigest() for name, octets in files().items() if name != schema.OWN}
    notice = FOLDER.joinpath("NOTICE").read_text()
    assert all(name in notice for name in files())
    assert all(words in notice for words in ("ETSI TS 103 221-1", "ETSI TS 103 280", "3GPP TS 33.128", "1.22.1"))


def test_the_packaged_schemas():
    assert schema.packaged() is schema.packaged()
    assert schema.packaged().namespaces == {X1, COMMON, HASHED_ID, THIRD_GENERATION, WARRANT}


def test_a_damaged_installation_is_seen(monkeypatch):
    def damaged(name: str) -> bytes:
        octets = FOLDER.joinpath(name).read_bytes()
        return octets.replace(b"X2Only", b"X5Only") if name == "TS_103_221_01.xsd" else octets

    monkeypatch.setattr(schema, "_packaged", damaged)
    with pytest.raises(x1.X1Error, match=r"TS_103_221_01\.xsd is not the published file"):
        schema.packaged.__wrapped__()


def test_a_folder_of_an_operator_takes_their_place():
    narrower = files()
    narrower["TS_103_221_01.xsd"] = narrower["TS_103_221_01.xsd"].replace(b'<xs:enumeration value="X2andX3"/>', b"")
    del narrower[schema.OWN]
    own = x1.Schema(narrower)
    (found,) = x1.parse_requests(made.ACTIVATE, schema=own)
    assert isinstance(found, x1.Malformed) and found.error.path == "taskDetails/deliveryType"
    assert WARRANT in own.namespaces


def test_a_member_that_a_newer_schema_brings_is_refused_not_passed_over():
    newer = files()
    newer["TS_103_221_01.xsd"] = newer["TS_103_221_01.xsd"].replace(
        b'<xs:element name="productID"', b'<xs:element name="area" type="xs:string"/><xs:element name="productID"', 1
    )
    octets = made.changed(b"</taskDetails>", b"<area>here</area></taskDetails>")
    (found,) = x1.parse_requests(octets, schema=x1.Schema(newer))
    assert isinstance(found, x1.Malformed)
    assert str(found.error) == "taskDetails: a member that is not known"


def test_names_and_places_of_the_files_do_not_matter():
    renamed = {f"{99 - at}.xsd": octets for at, octets in enumerate(files().values())}
    located = {
        name: octets.replace(
            b'<xs:import namespace="', b'<xs:import schemaLocation="http://192.0.2.1/x.xsd" namespace="'
        )
        for name, octets in renamed.items()
    }
    assert x1.Schema(located).check(read(made.ACTIVATE)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"TS_103_221_01.xsd": None}, "no schema of X1"),
        ({"TS_103_280.xsd": None}, "do not fit together"),
        ({"a.xsd": b"<"}, r"a\.xsd is no XML"),
        ({"a.xsd": b"<a/>"}, r"a\.xsd is no schema"),
        ({"a.xsd": b'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"/>'}, "without a namespace"),
        ({"a.xsd": FOLDER.joinpath("TS_103_280.xsd").read_bytes()}, "two of one"),
        ({"a.xsd": b"<!DOCTYPE a><a/>"}, "document type declaration"),
        ({"a.xsd": bytes(schema.MAX_OCTETS + 1)}, "longer than a schema"),
    ],
)
def test_what_are_no_schemas(changes, reason):
    chosen = {name: octets for name, octets in (files() | changes).items() if octets is not None}
    with pytest.raises(x1.X1Error, match=reason):
        x1.Schema(chosen)


# Faults


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b"29f28e1c-", b"29F28E1C-", "taskDetails/xId: a value that is not of its type"),
        (b"HI2andHI3", b"HI4", "taskDetails/listOfMediationDetails/mediationDetails/deliveryType: a value that"),
        (b"<xId>", b'<xId secret="alice">', "taskDetails/xId: an attribute that does not belong here"),
        (b"<xId>", b"<alice/><xId>", "taskDetails/?: a member is missing, out of place or not known"),
        (b"<xId>", b"alice<xId>", "taskDetails: text between members"),
        (b"<xId>", b'<xId xsi:type="alice">', "taskDetails/xId: a type that is not known here"),
        (b"06.123456Z", b"06.12345Z", "messageTimestamp: a value that"),
        (b"06.123456Z", b"06.123456", "messageTimestamp: a value that"),
    ],
)
def test_a_fault_names_place_and_kind_and_nothing_that_was_said(old, new, error):
    fault = schema.packaged().check(read(made.changed(old, new)))
    assert fault is not None and fault.code == x1.ErrorCode.SCHEMA
    assert str(fault).startswith(error)
    assert "alice" not in str(fault)


def test_a_fault_is_found_whatever_the_prefixes():
    prefixed = b'<p:X1Request xmlns:p="%s" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">' % X1.encode()
    header = b"".join(
        b"<p:%s>%s</p:%s>" % (name, value, name)
        for name, value in (
            (b"admfIdentifier", b"a"),
            (b"neIdentifier", b"n"),
            (b"messageTimestamp", b"2024-01-02T03:04:05.000000Z"),
            (b"version", b"v1.22.1"),
            (b"x1TransactionId", made.TRANSACTION.encode()),
        )
    )
    message = b'<p:x1RequestMessage xsi:type="p:%sRequest">' + header + b"%s</p:x1RequestMessage>"
    octets = (
        prefixed + message % (b"Ping", b"") + message % (b"DeactivateTask", b"<p:xId>x</p:xId>") + b"</p:X1Request>"
    )
    assert str(schema.packaged().check(read(octets))) == "xId: a value that is not of its type"


def test_a_place_that_is_not_there_is_the_last_one_that_is():
    root = read(made.ACTIVATE)
    assert schema._at(root, "/*/*/*[99]").tag == f"{{{X1}}}x1RequestMessage"
    assert schema._at(root, "").tag == f"{{{X1}}}X1Request"

"""The numbers are those of the modules, as asn1tools and pycrate read them."""

from __future__ import annotations

import pytest

from imswire.hi import numbers as n
from tests.imswire.hi import oracles


def enumeration(path: str) -> dict[str, int]:
    """Names and values of an ENUMERATED in pycrate's reading of the modules; "Type.member.member"."""
    first, *rest = path.split(".")
    found = getattr(oracles.crate().LI_PS_PDU, first)
    for name in rest:
        found = found.get_cont()[name] if hasattr(found, "get_cont") else found._cont[name]
    return dict(found._cont)


@pytest.mark.parametrize(
    "kind, path",
    [
        (n.IriType, "IRIType"),
        (n.Direction, "PayloadDirection"),
        (n.Qualifier, "TimeStampQualifier"),
        (n.CheckType, "IntegrityCheck.checkType"),
        (n.DataType, "IntegrityCheck.dataType"),
        (n.HashAlgorithm, "IntegrityCheck.hashAlgorithm"),
        (n.SignatureAlgorithm, "IntegrityCheck.signatureAlgorithm"),
        (n.Priority, "OperatorLeaMessage.messagePriority"),
        (n.EncryptionType, "EncryptionContainer.encryptionType"),
        (n.EncryptedPayloadType, "EncryptionContainer.encryptedPayloadType"),
        (n.FrameType, "IPMMCC.frameType"),
        (n.MmccProtocol, "IPMMCC.mMCCprotocol"),
    ],
)
def test_enumerations(kind, path):
    assert sorted(member.value for member in kind) == sorted(enumeration(path).values())


@pytest.mark.parametrize(
    "kind, name, left_out",
    [
        (n.TriTag, "TRIPayload", set()),
        (n.Option, "Option", set()),
        (n.PayloadTag, "Payload", {3, 5, 6, 7}),
        (n.IriContents, "IRIContents", set(range(1, 21)) - {11, 15, 19}),
        (n.CcContents, "CCContents", set(range(1, 24)) - {12, 20, 23}),
    ],
)
def test_tags_of_choices(kind, name, left_out):
    tags = {each._tag[0] for each in getattr(oracles.crate().LI_PS_PDU, name)._cont.values()}
    assert tags == {member.value for member in kind} - left_out


def test_the_version_is_that_of_the_module():
    assert tuple(oracles.crate().LI_PS_PDU._oid_) == (*n.PS_PDU_OID, n.PS_PDU_VERSION)
    assert n.TimeForm.MICROSECONDS == 0

"""PS-PDUs: vectors, every form, foreign encoders and decoders, and what must be refused."""

from __future__ import annotations

import datetime
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import hi
from imswire.hi import HiError, eps
from tests.imswire.hi import oracles
from tests.imswire.hi.loose import loosen
from tests.imswire.hi.samples import ALL, BUILT, CID, CORE, FULL_HEADER, HEADER, INVITE, KNOWN, RTP, TIME, VECTORS

PDUS = {name: octets for name, (kind, octets) in VECTORS.items() if kind == "PS-PDU"}


@pytest.mark.parametrize("name", PDUS)
def test_vectors_octet_for_octet(name):
    pdu = hi.parse(PDUS[name])
    assert hi.build(pdu) == PDUS[name]
    assert pdu.header.liid == b"LIID1" and pdu.header.cid == CID and pdu.header.version == 43
    assert pdu.header.time == 1_704_164_645_000_000_000


def test_a_vector_from_values():
    header = hi.Header(b"LIID1", CID, 5, 1_704_164_645 * 10**9, "SE", qualifier=1)
    assert hi.build(hi.PsPdu(header, hi.KeepAlive())) == PDUS["KA"]


@pytest.mark.parametrize("name", ALL)
def test_every_form_is_as_it_was(name):
    assert BUILT[name].hex() == KNOWN[name]
    assert hi.parse(BUILT[name]) == ALL[name]


def test_nothing_known_is_left_out():
    assert set(KNOWN) == set(ALL)


@pytest.mark.parametrize("name", CORE)
def test_asn1tools_reads_and_writes_the_same(name):
    value = oracles.asn1().decode("PS-PDU", BUILT[name])
    assert oracles.asn1().encode("PS-PDU", value) == BUILT[name]
    header = value["pSHeader"]
    assert header["li-psDomainId"] == "0.4.0.2.2.5.1.43"
    assert header["lawfulInterceptionIdentifier"] == ALL[name].header.liid
    assert header["sequenceNumber"] == ALL[name].header.sequence
    network = header["communicationIdentifier"]["networkIdentifier"]
    assert network["operatorIdentifier"] == ALL[name].header.cid.operator


@pytest.mark.parametrize("name", CORE)
def test_pycrate_reads_and_writes_the_same(name):
    kind = oracles.crate().LI_PS_PDU.PS_PDU
    value = oracles.crate_value(kind, BUILT[name])
    assert kind.to_der() == BUILT[name]
    assert value["pSHeader"]["li-psDomainId"] == (0, 4, 0, 2, 2, 5, 1, 43)


def outer(pdu: hi.PsPdu) -> object:
    """The PDU without the octets of what it carries, whose coding differs."""
    if not isinstance(pdu.payload, tuple):
        return pdu.header, type(pdu.payload) if isinstance(pdu.payload, hi.Opaque | hi.Hi1) else pdu.payload
    rest = [(each.time, each.qualifier, each.direction, each.time_form) for each in pdu.payload]
    return pdu.header, rest, [getattr(each, "kind", None) for each in pdu.payload]


@pytest.mark.parametrize("name", [name for name in CORE if name != "full-header"])
@pytest.mark.parametrize("form", ["indefinite", "long lengths", "pieces"])
def test_other_ber_of_pycrate_is_read(name, form):
    """Indefinite lengths, lengths longer than needed, strings in pieces: as pycrate writes them."""
    from pycrate_asn1rt.codecs import ASN1CodecBER

    kind = oracles.crate().LI_PS_PDU.PS_PDU
    kind.from_ber(BUILT[name])
    before = ASN1CodecBER.ENC_LUNDEF, ASN1CodecBER.ENC_LLONG, ASN1CodecBER.ENC_OSTR_FRAG
    try:
        ASN1CodecBER.ENC_LUNDEF = form != "long lengths"
        ASN1CodecBER.ENC_LLONG = 4 if form == "long lengths" else 0
        ASN1CodecBER.ENC_OSTR_FRAG = 3 if form == "pieces" else 0
        octets = kind.to_ber()
    finally:
        ASN1CodecBER.ENC_LUNDEF, ASN1CodecBER.ENC_LLONG, ASN1CodecBER.ENC_OSTR_FRAG = before
    assert octets != BUILT[name]
    found = hi.parse(octets)
    assert outer(found) == outer(ALL[name])
    if name.startswith("eps"):
        assert isinstance(found.payload, tuple) and isinstance(ALL[name].payload, tuple)
        assert eps.parse_all(found.payload[0].contents) == eps.parse_all(ALL[name].payload[0].contents)


STRINGS = frozenset({b"LIID1", b"OP1", b"DF2", INVITE, RTP})


@given(st.sampled_from(sorted(set(ALL) - {"full-header"})), st.integers(0, 2**32))
def test_any_ber_is_read_alike(name, seed):
    draw = random.Random(seed)
    assert outer(hi.parse(loosen(BUILT[name], draw.randrange, STRINGS))) == outer(ALL[name])


def test_what_asn1tools_writes_is_read():
    value = {
        "pSHeader": {
            "li-psDomainId": "0.4.0.2.2.5.1.33",
            "lawfulInterceptionIdentifier": b"L",
            "communicationIdentifier": {"networkIdentifier": {"operatorIdentifier": b"O"}},
            "sequenceNumber": 4_294_967_295,
            "timeStamp": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),  # noqa: UP017
        },
        "payload": ("tRIPayload", ("optionResponse", {"acceptedOptions": [], "declinedOptions": []})),
    }
    pdu = hi.parse(oracles.asn1("ber").encode("PS-PDU", value))
    assert pdu.header == hi.Header(
        b"L", hi.CommunicationId(b"O"), 2**32 - 1, 1_704_164_645 * 10**9, version=33, time_form=hi.TimeForm.GENERALIZED
    )
    assert pdu.payload == hi.OptionResponse((), ())


headers = st.builds(
    hi.Header,
    liid=st.binary(min_size=1, max_size=25),
    cid=st.builds(
        hi.CommunicationId,
        operator=st.binary(min_size=1, max_size=16),
        element=st.none() | st.binary(min_size=1, max_size=16),
        cin=st.none() | st.integers(0, 2**32 - 1),
        country=st.none() | st.sampled_from(["SE", "NO"]),
        extension=st.none() | st.just(b"\x81\x01x"),
    ),
    sequence=st.integers(0, 2**32 - 1),
    time=st.none() | st.integers(0, 2**32 * 10**6).map(lambda micro: micro * 1_000),
    country=st.none() | st.sampled_from(["SE", "NO"]),
    point=st.none() | st.just("point"),
    qualifier=st.none() | st.sampled_from(hi.Qualifier),
    extended_point=st.none() | st.binary(min_size=1, max_size=300),
    function=st.none() | st.binary(min_size=1, max_size=300),
    version=st.integers(1, 300),
)


@given(headers, st.sampled_from([pdu.payload for pdu in ALL.values()]))
def test_what_is_built_is_read(header, payload):
    pdu = hi.PsPdu(header, payload)
    found = hi.parse(hi.build(pdu))
    assert found == pdu
    assert hi.build(found) == hi.build(pdu)


@given(st.integers(0, 10**18))
def test_the_form_of_the_time_comes_back(micro):
    header = hi.Header(b"L", hi.CommunicationId(b"O"), 0, micro * 100_000 % (10**18) // 1000 * 1000, time_form=1)
    assert hi.parse(hi.build(hi.PsPdu(header, hi.KeepAlive()))).header == header


def test_with_both_times_the_microseconds_say_it():
    octets = bytes.fromhex(BUILT["generalized-time"].hex())
    both = oracles.asn1().decode("PS-PDU", octets)
    both["pSHeader"]["microSecondTimeStamp"] = {"seconds": 7, "microSeconds": 8}
    header = hi.parse(oracles.asn1().encode("PS-PDU", both)).header
    assert (header.time, header.time_form) == (7_000_008_000, hi.TimeForm.MICROSECONDS)


def test_sequences_of_nothing_stay_as_they_are():
    value = oracles.asn1().decode("PS-PDU", BUILT["eps-keys"])
    value["payload"] = ("cCPayloadSequence", [])
    octets = oracles.asn1().encode("PS-PDU", value)
    pdu = hi.parse(octets)
    assert pdu.payload == hi.Opaque(hi.PayloadTag.CC, b"\xa1\x00") and hi.build(pdu) == octets


def test_transport_information_of_the_future_stays_as_it_is():
    pdu = hi.PsPdu(HEADER, hi.Opaque(hi.PayloadTag.TRI, b"\xa2\x03\x9f\x63\x00"))
    assert hi.parse(hi.build(pdu)) == pdu


def replace(name: str, old: str, new: str) -> bytes:
    octets = BUILT[name].hex()
    assert old in octets
    changed = bytes.fromhex(octets.replace(old, new, 1))
    return changed[:1] + bytes([len(changed) - 2]) + changed[2:] if changed[1] < 0x80 else changed


@pytest.mark.parametrize(
    "octets, path, reason",
    [
        (b"", "PS-PDU", "nothing left"),
        (b"\x31\x00", "PS-PDU", "no SEQUENCE"),
        (b"\x30\x00", "PS-PDU.pSHeader", "missing"),
        (BUILT["tri-test"] + b"\0", "PS-PDU", "behind it"),
        (BUILT["tri-test"][:-1], "PS-PDU", "octets of contents where"),
        (replace("tri-test", "80070400020205012b", "80070400020204012b"), "PS-PDU.pSHeader.li-psDomainId", "is not"),
        (replace("tri-test", "84010", "85010"), "PS-PDU.pSHeader.timeStamp", "no GeneralizedTime"),
        (replace("tri-test", "a2028100", "a2028101"), "PS-PDU.payload.tRIPayload", "contents where"),
        (replace("tri-test", "a204a2028100", "a2048402" + "8100"), "PS-PDU.payload", "primitive where"),
        (replace("tri-test", "a204a2028100", "a204a2003000"), "PS-PDU.payload", "2 TLVs where one is chosen"),
        (replace("tri-test", "a204a2028100", "a2040402" + "8100"), "PS-PDU.payload", "no such alternative"),
    ],
)
def test_what_is_no_pdu(octets, path, reason):
    with pytest.raises(HiError, match=reason) as caught:
        hi.parse(octets)
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize(
    "header, payload, path",
    [
        ({"liid": b""}, hi.KeepAlive(), "PS-PDU.pSHeader.lawfulInterceptionIdentifier"),
        ({"liid": bytes(26)}, hi.KeepAlive(), "PS-PDU.pSHeader.lawfulInterceptionIdentifier"),
        ({"sequence": -1}, hi.KeepAlive(), "PS-PDU.pSHeader.sequenceNumber"),
        ({"sequence": 2**32}, hi.KeepAlive(), "PS-PDU.pSHeader.sequenceNumber"),
        ({"time": -1}, hi.KeepAlive(), "PS-PDU.pSHeader.microSecondTimeStamp.seconds"),
        ({"time": -1, "time_form": 1}, hi.KeepAlive(), "PS-PDU.pSHeader.timeStamp"),
        ({"country": "SWE"}, hi.KeepAlive(), "PS-PDU.pSHeader.authorizationCountryCode"),
        ({"country": "S@"}, hi.KeepAlive(), "PS-PDU.pSHeader.authorizationCountryCode"),
        ({"point": ""}, hi.KeepAlive(), "PS-PDU.pSHeader.interceptionPointID"),
        ({"point": "123456789"}, hi.KeepAlive(), "PS-PDU.pSHeader.interceptionPointID"),
        ({"extended_point": b""}, hi.KeepAlive(), "PS-PDU.pSHeader.extendedInterceptionPointID"),
        ({"function": bytes(65_536)}, hi.KeepAlive(), "PS-PDU.pSHeader.networkFunctionIdentifier"),
        ({"cid": hi.CommunicationId(b"")}, hi.KeepAlive(), "PS-PDU.pSHeader.communicationIdentifier.networkIdentifier"),
        ({"cid": hi.CommunicationId(bytes(17))}, hi.KeepAlive(), "PS-PDU.pSHeader.communicationIdentifier"),
        ({"cid": hi.CommunicationId(b"O", bytes(17))}, hi.KeepAlive(), "PS-PDU.pSHeader.communicationIdentifier"),
        ({"cid": hi.CommunicationId(b"O", cin=2**32)}, hi.KeepAlive(), "PS-PDU.pSHeader.communicationIdentifier"),
        ({"cid": hi.CommunicationId(b"O", extension=b"x")}, hi.KeepAlive(), "PS-PDU.pSHeader.communicationIdentifier"),
        ({}, (), "PS-PDU.payload"),
        ({}, (hi.Iri(5, b"\xa0\x00"),), "PS-PDU.payload.iRIPayloadSequence[0].iRIType"),
        ({}, (hi.Iri(4, b""),), "PS-PDU.payload.iRIPayloadSequence[0].iRIContents"),
        ({}, (hi.Iri(4, b"\xa0\x00\x00"),), "PS-PDU.payload.iRIPayloadSequence[0].iRIContents"),
        ({}, (hi.Iri(4, b"\x30\x00"),), "PS-PDU.payload.iRIPayloadSequence[0].iRIContents"),
        ({}, hi.OperatorLeaMessage(1, b""), "PS-PDU.payload.tRIPayload.operatorLeaMessage.message"),
        ({}, hi.OperatorLeaMessage(1, bytes(256)), "PS-PDU.payload.tRIPayload.operatorLeaMessage.message"),
        (
            {},
            hi.IntegrityCheck((2**32,), 1, 1, b""),
            "PS-PDU.payload.tRIPayload.integrityCheck.included",
        ),
        ({}, hi.Opaque(6, b"\x30\x00"), "PS-PDU.payload"),
    ],
)
def test_bounds_of_the_module(header, payload, path):
    values = {name: getattr(FULL_HEADER, name) for name in FULL_HEADER.__struct_fields__}
    with pytest.raises(HiError) as caught:
        hi.build(hi.PsPdu(hi.Header(**(values | header)), payload))
    assert caught.value.path.startswith(path) and caught.value.offset is None


@given(st.sampled_from(sorted(BUILT)), st.data())
def test_nothing_but_its_own_error(name, data):
    octets = bytearray(BUILT[name])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        pdu = hi.parse(bytes(octets[: data.draw(st.integers(0, len(octets)))] if data.draw(st.booleans()) else octets))
    except HiError:
        return
    assert pdu.header.sequence is not None


def test_times_are_cut_to_microseconds():
    header = hi.Header(b"L", hi.CommunicationId(b"O"), 0, TIME + 999)
    assert hi.parse(hi.build(hi.PsPdu(header, hi.KeepAlive()))).header.time == TIME

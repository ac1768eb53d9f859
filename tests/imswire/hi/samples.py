"""One record of every form, as values: what the tests of all modules build, read, and give to foreign decoders."""

from __future__ import annotations

import json
from pathlib import Path

from imswire import hi
from imswire.hi import common, eps, hi1, ipmm, ts33128, voip

DATA = Path(__file__).parents[2] / "data"
TIME = 1_704_164_645_123_456_000
CID = hi.CommunicationId(b"OP1", b"DF2", 7, "SE")
HEADER = hi.Header(b"LIID1", CID, 300, TIME, "SE", qualifier=hi.Qualifier.TIME_OF_INTERCEPTION)
FULL_HEADER = hi.Header(
    b"LIID-with_25.octets-in_it",
    hi.CommunicationId(b"operator16octets", b"element", 2**32 - 1, "NO", b"\x81\x03abc"),
    2**32 - 1,
    TIME,
    "SE",
    "point1",
    hi.Qualifier.TIME_OF_MEDIATION,
    b"extended point",
    b"function",
)
INVITE = b"INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: 1\r\n\r\n"
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
RTP = bytes.fromhex("8000000100000002000000ff") + bytes(20)
ALICE = eps.PartyInformation(eps.PartyQualifier.EPS_TARGET, sip_uri=b"sip:alice@example.com")
BOB = eps.PartyInformation(
    eps.PartyQualifier.TERMINATING_PARTY,
    tel_uri=b"tel:+4612345",
    imei=bytes(8),
    imsi=bytes(7),
    msisdn=b"\x91\x64",
    e164=b"4612345",
    nai=b"bob@example.com",
    asserted=b"<sip:bob@example.com>",
    xui=b"sip:bob@example.com",
    impi=b"bob@ims.example.com",
    external_id="bob@external",
)
SECOND = TIME - TIME % 1_000_000_000
BASE = {"liid": b"LIID1", "time": SECOND}

EPS = {
    "sip-message": eps.IriParameters(
        **BASE,
        event=eps.ImsEvent.UNFILTERED_SIP_MESSAGE,
        initiator=eps.Initiator.ORIGINATING_TARGET,
        parties=(ALICE,),
        sip_message=INVITE,
        network=common.NetworkId(b"OP1", b"cscf.example.com"),
        ims_voip=(eps.ImsVoip(b"\x01\x02", eps.IriToCc((b"\x03",))),),
    ),
    "start-of-interception": eps.IriParameters(
        **BASE,
        event=eps.ImsEvent.START_OF_INTERCEPTION,
        parties=(ALICE, BOB),
        correlation=eps.Correlation(eps.IriToCc((b"\x01", b"\x02"), b"\x03"), b"\x04"),
        header_offer=b"INVITE",
        header_answer=b"SIP/2.0 200 OK",
        sdp_offer=SDP,
        sdp_answer=SDP,
    ),
    "keys": eps.IriParameters(
        **BASE,
        event=eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE,
        correlation=eps.Correlation(to_iri=b"\x04"),
        keys=(
            eps.CcKeyInfo(b"\x01", bytes(range(16)), bytes(range(14))),
            eps.CcKeyInfo(b"\x02", bytes(range(32))),
        ),
    ),
    "no-keys": eps.IriParameters(
        **BASE,
        event=eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE,
        security_failure=eps.SecurityFailure.GENERIC_FAILURE,
        correlation=eps.Correlation(to_cc=eps.IriToCc((b"\x01",))),
    ),
    "cc-unavailable": eps.IriParameters(
        **BASE, event=eps.ImsEvent.CC_UNAVAILABLE, cc_unavailable_reason="buffer full, 17 records"
    ),
    "everything": eps.IriParameters(
        liid=b"LIID1",
        time=SECOND,
        season=common.Season.WINTER_TIME,
        initiator=eps.Initiator.TERMINATING_TARGET,
        parties=(BOB,),
        national=(b"national", b"more"),
        eps_correlation=b"\x09",
        network=common.NetworkId(b"OP1", b"192.0.2.1", common.ElementForm.IP),
        event=eps.ImsEvent.XCAP_REQUEST,
        ldi_event=eps.LdiEvent.TARGET_ENTERS_IA,
        visited_network="visited.example.com",
        pani=(
            eps.PaniHeader(b"3GPP-NR", b"class", True, eps.PaniLocation(b"utran-cell-id-3gpp=1")),
            eps.PaniHeader(b"IEEE-802.11"),
        ),
        xcap_message=b"GET / HTTP/1.1\r\n\r\n",
        carrier_data=b"carrier",
        other_identities=(ALICE,),
        roaming=eps.Roaming.S8HR,
        national_hi2=common.NationalParameters("SE"),
    ),
}

V4 = ipmm.IpAddress.of(b"\xc0\x00\x02\x01")
V6 = ipmm.IpAddress.of(bytes(15) + b"\x01")
FULL_ADDRESS = ipmm.IpAddress(
    ipmm.IpType.IPV4, "192.0.2.2", ipmm.Assignment.DYNAMIC, prefix=24, mask=b"\xff\xff\xff\x00"
)
IPMM = {
    "sip": ipmm.IpmmIri(ipmm.MessageForm.SIP, ipmm.SipMessage(V4, FULL_ADDRESS, INVITE)),
    "sip-iri-only": ipmm.IpmmIri(ipmm.MessageForm.IRI_ONLY_SIP, ipmm.SipMessage(V6, V6, INVITE)),
    "original": ipmm.IpmmIri(ipmm.MessageForm.ORIGINAL, b"E\x00"),
    "original-iri-only": ipmm.IpmmIri(ipmm.MessageForm.IRI_ONLY_ORIGINAL, b"E\x00"),
    "xcap": ipmm.IpmmIri(ipmm.MessageForm.XCAP, b"GET /"),
}
IPMM_MORE = {  # not in the module of the tests
    "h323": ipmm.IpmmIri(ipmm.MessageForm.H323, b"\x80\x01x", (b"Contact: <tel:+1>",), b"\x80\x01y"),
    "national": ipmm.IpmmIri(ipmm.MessageForm.NATIONAL, common.NationalParameters("SE", (b"\x9f\x63\x01x",))),
}

PLMN = ts33128.Plmn("240", "01")
ACCESS = (ts33128.AccessNetwork("3GPP-E-UTRAN", PLMN), ts33128.AccessNetwork("IEEE-802.11"))
CELLULAR = (ts33128.CellularNetwork("3GPP-NR", ts33128.Plmn("310", "410")),)
ALICE_IMPU = ts33128.Impu.of("sip:alice@example.com")
BOB_IMPU = ts33128.Impu.of("tel:+4612345")
SIP33128 = ts33128.SipMessage(b"\xc0\x00\x02\x01", bytes(16), INVITE)
MODIFICATIONS = (
    ts33128.PredefinedModification.PANI_LOCATION_REMOVAL,
    ts33128.DescribedModification(
        ts33128.Place(ts33128.PlaceKind.SIP_BODY),
        ts33128.Change(ts33128.ChangeKind.REMOVED, (ts33128.Unit.OCTETS, 40)),
    ),
    ts33128.DescribedModification(
        ts33128.Place(ts33128.PlaceKind.OCTET_LOCATION, (10, 20)),
        ts33128.Change(ts33128.ChangeKind.REPLACED_WITH_OCTETS, b"x"),
    ),
    ts33128.DescribedModification(
        ts33128.Place(ts33128.PlaceKind.SIP_HEADER, "Geolocation"),
        ts33128.Change(ts33128.ChangeKind.REPLACED_WITH_CHARACTERS, "removed"),
    ),
)
K = ts33128.IdentifierKind
IDENTIFIERS = tuple(
    ts33128.TargetIdentifier(ts33128.Identifier(kind, value), provenance)
    for kind, value, provenance in (
        (K.IMPU, ALICE_IMPU, ts33128.Provenance.MATCHED_ON),
        (K.IMPU, BOB_IMPU, ts33128.Provenance.LEA_PROVIDED),
        (K.SUPI, (1, "240011234567890"), None),
        (K.IMSI, "240011234567890", None),
        (K.PEI, (4, bytes(8)), None),
        (K.IMEI, "49015420323751", None),
        (K.GPSI, (2, "bob@example.com"), None),
        (K.MSISDN, "4612345", None),
        (K.NAI, "bob@example.com", None),
        (K.IPV4, b"\xc0\x00\x02\x01", None),
        (K.IPV6, bytes(16), None),
        (K.ETHERNET, bytes(6), None),
        (K.IMPI, "bob@ims.example.com", None),
        (K.E164, "4612345", None),
        (K.EMAIL, "bob@example.com", None),
        (K.MCPTT_ID, "sip:mcptt@example.com", None),
        (K.INSTANCE_URN, "urn:gsma:imei:90420156-025763-0", None),
    )
)
TS33128 = {
    "message": ts33128.IriPayload(
        ts33128.ImsMessage(
            message=SIP33128,
            direction=ts33128.SessionDirection.FROM_TARGET,
            roaming=ts33128.Roaming.N9HR,
            access=ACCESS,
            cellular=CELLULAR,
        ),
        IDENTIFIERS,
        (19, 2),
    ),
    "modified": ts33128.IriPayload(
        ts33128.ImsMessage(message=SIP33128, direction=ts33128.SessionDirection.TO_TARGET, modifications=MODIFICATIONS)
    ),
    "start": ts33128.IriPayload(
        ts33128.StartOfInterception(
            originating=(ALICE_IMPU, ts33128.Impu.of("tel:+461")),
            terminating=BOB_IMPU,
            sdp=(SDP, SDP),
            diversion=ALICE_IMPU,
            roaming=ts33128.Roaming.LBO,
            access=ACCESS,
            cellular=CELLULAR,
        )
    ),
    "cc-unavailable": ts33128.IriPayload(ts33128.ImsCcUnavailable("buffer full", SDP)),
}

VOIP_CC = voip.VoipCc(
    liid=b"LIID1",
    correlation=b"\x01\x02",
    time=SECOND,
    sequence=300,
    direction=voip.TpduDirection.TO_TARGET,
    national=common.NationalParameters("SE"),
    ice_type=voip.IceType.AGW,
    description=voip.PayloadDescription(SDP, 8, b"ptime:20"),
    network=common.NetworkId(b"OP1", b"192.0.2.1", common.ElementForm.IP),
    session_info="session",
    payload=RTP,
)
STREAMS = {
    "ipmm": hi.IpmmStream(identifier=b"m=audio 4000 RTP/AVP 8"),
    "ipmm-bare": hi.IpmmStream(None, None, None),
    "voip": hi.VoipStream(b"LIID1", b"\x01\x02", None, voip.IceType.AGW, SDP, 8, b"ptime:20"),
    "voip-bare": hi.VoipStream(None, b"\x01", voip.TpduDirection.UNKNOWN),
    "33128": hi.Ts33128Stream(SDP),
    "33128-bare": hi.Ts33128Stream(),
}
CC = {
    "ipmm": ipmm.build_cc(ipmm.IpmmCc(RTP, hi.FrameType.RTP, b"m=audio 4000 RTP/AVP 8", hi.MmccProtocol.RTP)),
    "ipmm-bare": ipmm.build_cc(ipmm.IpmmCc(RTP)),
    "voip": voip.build(VOIP_CC),
    "voip-bare": voip.build(voip.VoipCc(correlation=b"\x01", sequence=0, direction=4, payload=RTP)),
    "33128": ts33128.build_cc(ts33128.CcPayload(ts33128.ImsCc(RTP, SDP))),
}

TRI = {
    "integrity-hash": hi.IntegrityCheck((0, 127, 128, 2**32 - 1), hi.CheckType.HASH, hi.DataType.IRI, bytes(32)),
    "integrity-signature": hi.IntegrityCheck(
        (0, 1), hi.CheckType.SIGNATURE, hi.DataType.CC, bytes(64), None, hi.SignatureAlgorithm.EDDSA
    ),
    "integrity-bare": hi.IntegrityCheck((), hi.CheckType.HASH, None, b"", None),
    "test": hi.TestPdu(),
    "padding": hi.Padding(bytes(200)),
    "keep-alive": hi.KeepAlive(),
    "keep-alive-response": hi.KeepAliveResponse(),
    "first-segment": hi.FirstSegment(),
    "last-segment": hi.LastSegment(),
    "cin-reset": hi.CinReset(),
    "operator-message": hi.OperatorLeaMessage(hi.Priority.ERROR, b"buffer full"),
    "option-request": hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)),
    "option-response": hi.OptionResponse((hi.Option.PDU_ACKNOWLEDGEMENT,), ()),
    "option-complete": hi.OptionComplete(),
    "ack-request": hi.AckRequest(),
    "ack-response": hi.AckResponse(),
}
HI1_NETWORK = hi1.Hi1Communication(common.NetworkId(b"OP1"), b"\x07")
HI1 = {
    "activated": hi1.Notification(
        kind=hi1.NotificationKind.ACTIVATED,
        liid=b"LIID1",
        time=SECOND,
        communication=HI1_NETWORK,
        target=b"sip:alice@example.com",
    ),
    "deactivated": hi1.Notification(
        kind=hi1.NotificationKind.DEACTIVATED,
        liid=b"LIID1",
        time=SECOND,
        season=common.Season.NOT_PROVIDED,
        national=hi1.NationalHi1("SE"),
    ),
    "modified": hi1.Notification(kind=hi1.NotificationKind.MODIFIED, liid=b"LIID1", time=SECOND, version=None),
    "alarm": hi1.AlarmIndicator(time=SECOND, information=b"link down", communication=HI1_NETWORK, liid=b"LIID1"),
    "national": hi1.NationalHi1("SE", (b"\x9f\x63\x01x",)),
}


def iri(contents: bytes, kind: int = hi.IriType.REPORT) -> hi.PsPdu:
    return hi.PsPdu(HEADER, (hi.Iri(kind, contents),))


def cc(contents: bytes) -> hi.PsPdu:
    return hi.PsPdu(HEADER, (hi.Cc(hi.Direction.TO_TARGET, contents),))


def _tri_header(value: object) -> hi.Header:
    if isinstance(value, hi.CinReset):
        return hi.Header(b"-", hi.CommunicationId(b"OP1", cin=0), 0, TIME, "SE")
    if isinstance(value, hi.TestPdu):
        return hi.Header(b"LIID1", CID, 0, TIME, "SE")
    timed = not isinstance(value, hi.FirstSegment | hi.LastSegment)
    return hi.Header(b"LIID1", CID, 5, TIME if timed else None, "SE")


CORE: dict[str, hi.PsPdu] = {  # what the modules of the tests can read in full
    **{f"eps-{name}": iri(eps.build(each)) for name, each in EPS.items()},
    "eps-nested": iri(eps.build(EPS["keys"], hi.IriType.BEGIN), hi.IriType.BEGIN),
    "eps-sequence": iri(eps.build_all(((4, EPS["keys"]), (4, EPS["no-keys"])))),
    **{f"ipmm-{name}": iri(ipmm.build_iri(each), hi.IriType.CONTINUE) for name, each in IPMM.items()},
    **{f"33128-{name}": iri(ts33128.build_iri(each)) for name, each in TS33128.items()},
    **{f"cc-{name}": cc(each) for name, each in CC.items()},
    **{f"tri-{name}": hi.PsPdu(_tri_header(each), each) for name, each in TRI.items()},
    "full-header": hi.PsPdu(FULL_HEADER, hi.KeepAlive()),
    "generalized-time": hi.PsPdu(
        hi.Header(b"LIID1", CID, 0, TIME, "SE", time_form=hi.TimeForm.GENERALIZED), hi.KeepAlive()
    ),
    "aggregated": hi.PsPdu(
        hi.Header(b"LIID1", CID, 0, None, "SE"),
        (
            hi.Cc(0, CC["ipmm"], TIME, 1),
            hi.Cc(None, CC["ipmm"], TIME + 20_000_000, time_form=hi.TimeForm.GENERALIZED),
        ),
    ),
    "directions": hi.PsPdu(
        HEADER,
        (hi.Iri(hi.IriType.END, eps.build(EPS["keys"]), TIME, 1, hi.Direction.COMBINED, hi.Direction.TO_TARGET),),
    ),
    "encrypted": hi.PsPdu(
        HEADER,
        hi.EncryptionContainer(hi.EncryptionType.AES_256_CBC, bytes(32), hi.EncryptedPayloadType.PART5),
    ),
}
MORE: dict[str, hi.PsPdu] = {
    **{f"ipmm-{name}": iri(ipmm.build_iri(each)) for name, each in IPMM_MORE.items()},
    **{f"hi1-{name}": hi.PsPdu(HEADER, hi.Hi1(hi1.build(each))) for name, each in HI1.items()},
    "ilhi": hi.PsPdu(HEADER, hi.Opaque(hi.PayloadTag.ILHI, b"\xa6\x03\x80\x01x")),
}
ALL = CORE | MORE
BUILT = {name: hi.build(pdu) for name, pdu in ALL.items()}
KNOWN: dict[str, str] = (
    json.loads((DATA / "hi" / "known.json").read_text()) if (DATA / "hi" / "known.json").exists() else {}
)
VECTORS: dict[str, tuple[str, bytes]] = {
    each["name"]: (each["kind"], bytes.fromhex(each["octets"]))
    for each in json.loads((DATA / "hi" / "vectors.json").read_text())["vectors"]
}

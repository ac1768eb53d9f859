"""What the agency gets of whole calls: events, keys and content, and nothing that the order does not cover."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest

from imswire import hi, inet, sip
from imswire.hi import eps, ipmm, ts33128, voip
from imswire.hi.eps import ImsEvent
from midcall.config import Integrity, Network, Profile, ReplayConfig, Warranted
from midcall.kms import Kms, KmsStore
from midcall.lemf import Lemf, Link, Rule, Rules
from midcall.ue import lab
from tests.scenarios.world import BEGIN, World, truth

SECOND = 1_000_000_000
LEMF_DECRYPTS = ReplayConfig(warranted=Warranted(keys="keys-to-lemf"))


def talked(world: World, **options):
    call = world.call(**options)
    call.establish(world.held())
    call.talk(4)
    call.hang_up()
    return call


def payloads(world: World) -> list[bytes]:
    """What was on the wire, in its order."""
    frames = (inet.decode(inet.ETHERNET, frame) for _, frame in world.wire.in_order())
    return [each.payload for each in frames if isinstance(each, inet.Datagram)]


def captured(world: World) -> list[bytes]:
    """The packets that look like RTP, as they were on the wire."""
    return [each for each in payloads(world) if each[:1] == b"\x80"]


def test_mid_call_the_event_comes_first_and_stands_at_the_activation(tmp_path):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path, start=2.0)
    first, *rest = outcome.events
    assert first.event == ImsEvent.START_OF_INTERCEPTION
    assert outcome.pdus("hi2")[0].header.time == BEGIN + 2 * SECOND
    assert first.header_offer.startswith(b"INVITE sip:bob@example.com") and first.header_answer.startswith(
        b"SIP/2.0 200"
    )
    assert b"a=key-mgmt:mikey" in first.sdp_offer and b"a=key-mgmt:mikey" in first.sdp_answer
    assert first.initiator == eps.Initiator.ORIGINATING_TARGET
    assert first.parties == (eps.PartyInformation(eps.PartyQualifier.EPS_TARGET, sip_uri=b"sip:alice@example.com"),)
    assert {each.event for each in rest} == {ImsEvent.UNFILTERED_SIP_MESSAGE}
    assert [sip.parse(each.sip_message).method for each in rest] == ["BYE", "BYE"]
    assert [payload for _, payload in outcome.content] == truth(call, 2.0)
    assert {direction for direction, _ in outcome.content} == {hi.Direction.FROM_TARGET, hi.Direction.TO_TARGET}


def test_from_the_beginning_every_message_is_an_event_as_it_was_seen(tmp_path):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path)
    seen = [each for each in payloads(world) if b"SIP/2.0" in each]
    assert [each.sip_message for each in outcome.events] == seen
    assert [payload for _, payload in outcome.content] == truth(call)


def test_all_records_of_a_call_share_its_number_and_correlation(tmp_path):
    world = World()
    talked(world)
    outcome = world.replay(tmp_path, start=2.0)
    cids = {pdu.header.cid for name in ("hi2", "hi3") for pdu in outcome.pdus(name)}
    assert {cid.cin for cid in cids} == {1} and len(cids) == 1
    (correlation,) = {each.ims_voip for each in outcome.events}
    assert correlation[0].iri.hex() == outcome.dialog()["correlation"] and correlation[0].cc.cc == (correlation[0].iri,)


def test_numbers_of_each_class_start_at_zero_and_have_no_gap(tmp_path):
    world = World()
    talked(world)
    talked(world, call_id="call-2@lab", at=BEGIN + 5 * SECOND)
    outcome = world.replay(tmp_path)
    numbers: dict[tuple, list[int]] = {}
    for name in ("hi2", "hi3"):
        for pdu in outcome.pdus(name):
            kind = type(pdu.payload[0] if isinstance(pdu.payload, tuple) else pdu.payload)
            numbers.setdefault((pdu.header.cid.cin, kind), []).append(pdu.header.sequence)
    assert {cin for cin, _ in numbers} == {1, 2}
    assert all(sorted(each) == list(range(len(each))) for each in numbers.values())
    assert all(b > a for (_, kind), each in numbers.items() if kind is hi.Cc for a, b in pairwise(each))


def test_a_message_outside_calls_is_an_isolated_record(tmp_path):
    world = World()
    alice, bob = world.party("alice"), world.party("bob")
    text = (
        b"MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKm\r\n"
        b"From: <sip:alice@example.com>;tag=m\r\nTo: <sip:bob@example.com>\r\nCall-ID: m@lab\r\nCSeq: 1 MESSAGE\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
    world.wire.udp(BEGIN, alice.sip, bob.sip, text)
    (pdu, _check) = world.replay(tmp_path).pdus("hi2")
    assert pdu.header.cid.cin is None
    assert eps.parse(pdu.payload[0].contents).sip_message == text
    (event,) = world.replay(tmp_path, config=ReplayConfig(warranted=Warranted(scope="iri"))).events
    assert event.event == ImsEvent.SIP_HEADER_ONLY and b"hello" not in event.sip_message


def test_the_agency_that_decrypts_gets_keys_and_srtp_as_captured(tmp_path):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path, start=2.0, config=LEMF_DECRYPTS)
    start, keys, *_ = outcome.events
    assert (start.event, keys.event) == (ImsEvent.START_OF_INTERCEPTION, ImsEvent.DECRYPTION_KEYS_AVAILABLE)
    assert keys.ims_voip == start.ims_voip and keys.sdp_offer is None
    found = call.bundles[0].session_keys()
    assert {info.cs_id: info.key for info in keys.keys} == {
        bytes((number,)): bytes(found[number].master_key) for number in (1, 2)
    }
    handed = [payload for _, payload in outcome.content]
    assert handed == captured(world)[-len(handed) :] and len(handed) == len(truth(call, 2.0))


def test_in_clear_no_key_goes_to_the_agency(tmp_path):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path)
    everything = (outcome.folder / "hi2.ber").read_bytes() + (outcome.folder / "hi3.ber").read_bytes()
    for session in call.bundles[0].session_keys().values():
        assert bytes(session.master_key) not in everything
    assert all(each.keys is None for each in outcome.events)


def test_keys_in_the_description_leave_when_content_is_in_clear_and_stay_when_the_agency_decrypts(tmp_path):
    world = World()
    call = world.call()
    call.establish_sdes(world.draw, "AES_CM_128_HMAC_SHA1_80", "")
    call.talk(2)
    call.hang_up()
    clear = world.replay(tmp_path)
    assert b"inline:" not in (tmp_path / "hi2.ber").read_bytes()
    assert all(sip.parse(each.sip_message).call_id for each in clear.events)
    assert [payload for _, payload in clear.content] == truth(call)
    world.replay(tmp_path, start=0.5)
    assert b"inline:" not in (tmp_path / "hi2.ber").read_bytes()
    outcome = world.replay(tmp_path, config=LEMF_DECRYPTS)
    assert b"inline:" in (tmp_path / "hi2.ber").read_bytes()
    assert [payload for _, payload in outcome.content] == captured(world)


def test_an_order_for_events_only_has_no_content_no_key_and_asks_no_kms(tmp_path):
    class NoKms(Kms):
        def get_keys(self, request):
            raise AssertionError("asked without an order")

    world = World()
    talked(world)
    config = ReplayConfig(warranted=Warranted(scope="iri", keys="keys-to-lemf"))
    outcome = world.replay(tmp_path, start=2.0, config=config, kms=NoKms(KmsStore(lab.KMS_IDENTITY, (), ())))
    assert outcome.pdus("hi3") == [] and outcome.rtp == []
    start, *rest = outcome.events
    assert start.event == ImsEvent.START_OF_INTERCEPTION and start.correlation.to_iri is not None
    assert {each.event for each in rest} == {ImsEvent.SIP_HEADER_ONLY}
    assert outcome.dialog()["intercepted"] and outcome.dialog()["streams"] == []


def test_without_keys_the_agency_is_told_and_gets_srtp_as_captured(tmp_path):
    world = World()
    talked(world)
    stranger = Kms(KmsStore(lab.KMS_IDENTITY, (), ()))
    outcome = world.replay(tmp_path, start=2.0, kms=stranger)
    start, failure, *_ = outcome.events
    assert start.event == ImsEvent.START_OF_INTERCEPTION
    assert failure.event == ImsEvent.DECRYPTION_KEYS_AVAILABLE
    assert failure.security_failure == eps.SecurityFailure.GENERIC_FAILURE and failure.keys is None
    handed = [payload for _, payload in outcome.content]
    assert handed and handed == captured(world)[-len(handed) :]
    assert outcome.rtp == [] and all(s["encrypted"] == s["without_key"] == s["packets"] for s in outcome.streams())
    held = world.replay(tmp_path, start=2.0, kms=stranger, config=ReplayConfig(profile=Profile(on_key_failure="hold")))
    assert held.content == [] and held.events[1].security_failure is not None


def rekeyed(world: World, which) -> list[bytes]:
    """Media of other keys than those announced: as the ticket's, but for the tag; returns the ``which`` of them."""
    changed, number = [], 0
    for place, (at, frame) in enumerate(world.wire.frames):
        datagram = inet.decode(inet.ETHERNET, frame)
        if datagram.payload[:1] != b"\x80":
            continue
        if which(number):
            payload = datagram.payload[:-1] + bytes((datagram.payload[-1] ^ 1,))
            ends = datagram.src, datagram.sport, datagram.dst, datagram.dport
            world.wire.frames[place] = at, inet.udp_frame(*ends, payload)
            changed.append(payload)
        number += 1
    return changed


@pytest.mark.parametrize("config", [ReplayConfig(), LEMF_DECRYPTS], ids=["decrypt", "keys-to-lemf"])
def test_media_that_the_announced_keys_do_not_open_go_over_as_captured(tmp_path, config):
    world = World()
    talked(world)
    sent = rekeyed(world, lambda _: True)
    outcome = world.replay(tmp_path, start=2.0, config=config)
    handed = [payload for _, payload in outcome.content]
    assert len(handed) > 100 and handed == sent[-len(handed) :]
    assert eps.SecurityFailure.GENERIC_FAILURE in {each.security_failure for each in outcome.events}
    assert all(each["encrypted"] == each["packets"] == each["auth_failed"] for each in outcome.streams())
    assert any("none of the session's keys" in error for error in outcome.dialog()["errors"])
    held = ReplayConfig(warranted=config.warranted, profile=Profile(on_key_failure="hold"))
    assert world.replay(tmp_path, start=2.0, config=held).content == []


def test_a_stream_that_leaves_its_keys_goes_over_as_captured_and_a_forger_does_not(tmp_path):
    world = World()
    call = talked(world)
    sent = rekeyed(world, lambda number: number % 8 > 5)
    outcome = world.replay(tmp_path)
    assert not set(sent) & {payload for _, payload in outcome.content}
    assert all(each["auth_failed"] and not each["encrypted"] for each in outcome.streams())
    world = World()
    call = talked(world)
    sent = rekeyed(world, lambda number: number >= 100)
    outcome = world.replay(tmp_path)
    handed = [payload for _, payload in outcome.content]
    assert handed[:100] == truth(call)[:100] and sorted(handed[100:]) == sorted(sent)
    assert eps.SecurityFailure.GENERIC_FAILURE in {each.security_failure for each in outcome.events}


@pytest.mark.parametrize("records", ["report", "phases"])
def test_packets_that_do_not_go_over_are_told_of(tmp_path, records):
    """Two of eight are forged, or hide: they are missing, and that is an event with their number and times."""
    world = World()
    call = talked(world)
    call.hang_up()
    sent = rekeyed(world, lambda number: number % 8 > 5)
    outcome = world.replay(tmp_path, config=ReplayConfig(profile=Profile(records=records)))
    told = [each for each in outcome.events if each.event == ImsEvent.CC_UNAVAILABLE]
    assert len(told) == 2 and told[0].cc_unavailable_reason.startswith("50 packets ")
    assert told[1].cc_unavailable_reason.startswith(f"{len(sent)} packets to the media of the session were not ")
    assert {each.security_failure for each in outcome.events} == {None}


def test_keys_are_told_when_they_were_learnt(tmp_path):
    world = World()
    talked(world)
    outcome = world.replay(tmp_path, start=2.0, config=LEMF_DECRYPTS)
    times = [pdu.header.time for pdu in outcome.pdus("hi2")]
    assert outcome.events[1].keys and times[:2] == [BEGIN + 2 * SECOND] * 2
    assert times == sorted(times)


def test_location_goes_where_the_warrant_says_so(tmp_path):
    world = World()
    alice, bob = world.party("alice"), world.party("bob")
    text = (
        b"MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKm\r\n"
        b"From: <sip:alice@example.com>;tag=m\r\nTo: <sip:bob@example.com>\r\nCall-ID: m@lab\r\nCSeq: 1 MESSAGE\r\n"
        b"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2340300\r\nContent-Length: 0\r\n\r\n"
    )
    world.wire.udp(BEGIN, alice.sip, bob.sip, text)
    (event,) = world.replay(tmp_path).events
    assert event.sip_message == text
    (event,) = world.replay(tmp_path, config=ReplayConfig(warranted=Warranted(location=False))).events
    assert b"2340300" not in event.sip_message and sip.parse(event.sip_message).call_id == "m@lab"
    profile = Profile(iri="ts33128")
    config = ReplayConfig(warranted=Warranted(location=False), profile=profile)
    pdu = world.replay(tmp_path, config=config).pdus("hi2")[0]
    message = ts33128.parse_iri(pdu.payload[0].contents).event
    assert message.modifications == (ts33128.PredefinedModification.PANI_LOCATION_REMOVAL,)


def test_phases(tmp_path):
    world = World()
    talked(world)
    outcome = world.replay(tmp_path, config=ReplayConfig(profile=Profile(records="phases")))
    kinds = [pdu.payload[0].kind for pdu in outcome.pdus("hi2") if isinstance(pdu.payload, tuple)]
    assert kinds[0] == hi.IriType.BEGIN and kinds[-1] == hi.IriType.END
    assert set(kinds[1:-1]) == {hi.IriType.CONTINUE}


@pytest.mark.parametrize("iri", ["ipmm", "ts33128"])
def test_other_forms_of_events(tmp_path, iri):
    world = World()
    talked(world)
    outcome = world.replay(tmp_path, start=2.0, config=ReplayConfig(profile=Profile(iri=iri)))
    contents = [pdu.payload[0].contents for pdu in outcome.pdus("hi2") if isinstance(pdu.payload, tuple)]
    if iri == "ipmm":
        assert eps.parse(contents[0]).event == ImsEvent.START_OF_INTERCEPTION
        messages = [ipmm.parse_iri(each).message.content for each in contents[1:]]
    else:
        start = ts33128.parse_iri(contents[0])
        assert isinstance(start.event, ts33128.StartOfInterception)
        assert start.event.terminating.uri == "sip:bob@example.com" and len(start.event.sdp) == 2
        messages = [ts33128.parse_iri(each).event.message.content for each in contents[1:]]
    assert [sip.parse(each).method for each in messages] == ["BYE", "BYE"]


@pytest.mark.parametrize("cc", ["voip", "ts33128"])
def test_other_forms_of_content(tmp_path, cc):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path, start=2.0, config=ReplayConfig(profile=Profile(cc=cc)))
    contents = [pdu.payload[0].contents for pdu in outcome.pdus("hi3") if isinstance(pdu.payload, tuple)]
    if cc == "voip":
        assert {voip.parse(each).correlation.hex() for each in contents} == {outcome.dialog()["correlation"]}
        payloads = [voip.parse(each).payload for each in contents]
    else:
        payloads = [ts33128.parse_cc(each).pdu.payload for each in contents]
    assert payloads == truth(call, 2.0)


def test_every_record_is_covered_by_a_hash(tmp_path):
    world = World()
    talked(world)
    outcome = world.replay(tmp_path, config=ReplayConfig(integrity=Integrity(hash_pdus=50)))
    for name in ("hi2", "hi3"):
        octets = hi.Splitter().feed((tmp_path / f"{name}.ber").read_bytes())
        data: dict[int, bytes] = {}
        covered: list[int] = []
        for each in octets:
            pdu = hi.parse(each)
            if isinstance(pdu.payload, tuple):
                data[pdu.header.sequence] = each
            elif isinstance(pdu.payload, hi.IntegrityCheck):
                check = pdu.payload
                assert check.value == hashlib.sha256(b"".join(data[n] for n in check.numbers)).digest()
                covered += check.numbers
        assert covered == sorted(data)
    without = world.replay(tmp_path, config=ReplayConfig(integrity=Integrity(enabled=False)))
    assert all(isinstance(pdu.payload, tuple) for name in ("hi2", "hi3") for pdu in without.pdus(name))
    assert outcome.report["dialogs"]


def test_headers_are_those_of_the_configuration(tmp_path):
    world = World()
    talked(world)
    network = Network(operator="op", element=None, country="DE", delivery_country="FR", correlation_key="11" * 16)
    config = ReplayConfig(warranted=Warranted(liid="LI-7"), network=network)
    outcome = world.replay(tmp_path, start=2.0, config=config)
    head = outcome.pdus("hi2")[0].header
    assert (head.liid, head.country) == (b"LI-7", "DE")
    assert head.cid == hi.CommunicationId(b"op", None, 1, "FR")
    other = outcome.dialog()["correlation"]
    assert other != world.replay(tmp_path, start=2.0).dialog()["correlation"]


def test_the_end_of_the_warrant_is_the_end_of_the_records(tmp_path):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path, start=1.0, end=2.0)
    assert [payload for _, payload in outcome.content] == truth(call, 1.0, 2.0)
    assert [each.event for each in outcome.events] == [ImsEvent.START_OF_INTERCEPTION]
    assert all(pdu.header.time <= BEGIN + 2 * SECOND for n in ("hi2", "hi3") for pdu in outcome.pdus(n))


@pytest.mark.parametrize("place", [0, 1, 77, 150])
def test_with_overlapping_checks_a_receiver_names_the_record_that_is_wrong(tmp_path, place):
    world = World()
    talked(world)
    world.replay(tmp_path, config=ReplayConfig(integrity=Integrity(locate=True, hash_pdus=100)))
    octets = hi.Splitter().feed((tmp_path / "hi3.ber").read_bytes())
    data = [number for number, each in enumerate(octets) if isinstance(hi.parse(each).payload, tuple)]
    wrong = bytearray(octets[data[place]])
    wrong[200] ^= 4  # an octet of audio
    lemf = Lemf(Rules())
    link = Link(lemf, "df")
    link.receive((tmp_path / "hi2.ber").read_bytes(), BEGIN + 3_600 * SECOND)
    for number, each in enumerate(octets):
        link.receive(bytes(wrong) if number == data[place] else each, BEGIN + 3_600 * SECOND)
    lemf.finish(BEGIN + 3_600 * SECOND)
    found = lemf.findings.take()
    assert [each.sequence for each in found if each.rule is Rule.LOCATED and each.payload == "CC"] == [place]
    assert {each.rule for each in found} == {Rule.HASH, Rule.LOCATED}

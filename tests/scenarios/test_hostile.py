"""Hostile and broken calls beside a good one: each is told of with its frame, the good one loses nothing."""

from __future__ import annotations

import pytest

from imswire import mikey
from midcall.kms import Kms, KmsStore, Subscriber, TicketProtectionKey
from midcall.ue import lab
from midcall.ue.call import SECOND, Call
from tests.scenarios.world import BEGIN, TPK_ID, World, truth

TARGET = "sip:alice@example.com"


def good(world: World) -> Call:
    call = world.call(call_id="good@lab", at=BEGIN)
    call.establish(world.held("DEFGHJNO"))
    return call


def beside(world: World, tmp_path, spoil, **options):
    """A good call of the target, and one whose messages or media ``spoil`` changes."""
    best = good(world)
    bad = world.call(call_id="bad@lab", at=BEGIN + SECOND // 10)
    spoil(bad)
    best.talk(2)
    best.hang_up()
    outcome = world.replay(tmp_path, TARGET, **options)
    assert set(truth(best)) <= set(outcome.rtp)
    assert outcome.dialog("good@lab")["errors"] == []
    return bad, outcome


def invite(call: Call, offer: str, answer: str) -> None:
    number = call.request("INVITE", call.caller, offer, initial=True)
    call.response("200 OK", "INVITE", number, call.callee, answer)
    call.request("ACK", call.caller, number=number)


def tampered(text: str | None, place: int = -30) -> str:
    """Base64 with one octet of the message changed."""
    from base64 import b64decode, b64encode

    octets = bytearray(b64decode(text or ""))
    octets[place] ^= 1
    return b64encode(octets).decode()


def errors(outcome, call_id: str = "bad@lab") -> str:
    (dialog,) = outcome.dialogs(call_id)
    assert dialog["intercepted"] and dialog["errors"], "the dialog reports nothing"
    assert any(error.startswith("frame ") for error in dialog["errors"])
    return " | ".join(dialog["errors"])


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (-1, "TRANSFER_INIT: its MAC is wrong"),
        (45, "TRANSFER_INIT: its MAC is wrong"),
        (-60, "TICKET: its MAC is wrong"),
    ],
)
def test_wrong_mac_in_the_offer(tmp_path, place, reason):
    world = World()

    def spoil(call):
        offer = tampered(call.offer(world.held("DEFGHJNO"))[0], place)
        invite(call, call.sdp(call.caller, [offer]), call.sdp(call.callee, call.accept()))
        call.use_keys()
        call.talk(1)

    bad, outcome = beside(world, tmp_path, spoil)
    assert reason in errors(outcome)
    assert not set(truth(bad)) & set(outcome.rtp)


def test_wrong_mac_in_the_answer(tmp_path):
    world = World()

    def spoil(call):
        offer = call.sdp(call.caller, call.offer(world.held("DEFGHJNO")))
        invite(call, offer, call.sdp(call.callee, [tampered(call.accept()[0], -1)]))
        call.use_keys()
        call.talk(1)

    bad, outcome = beside(world, tmp_path, spoil)
    assert "TRANSFER_RESP: its MAC is wrong" in errors(outcome)
    assert not set(truth(bad)) & set(outcome.rtp)
    assert all(s["decrypted"] == 0 and s["without_key"] == 50 for s in outcome.streams("bad@lab"))


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ("AQ4F", "MIKEY: HDR at offset 0"),
        ("!!!", "key-mgmt: the data is not base64"),
        ("AQ4FgAAAAAECAgEA", "MIKEY: HDR at offset 0"),
    ],
)
def test_broken_mikey(tmp_path, offer, reason):
    def spoil(call):
        invite(call, call.sdp(call.caller, [offer]), call.sdp(call.callee, [offer]))

    _, outcome = beside(World(), tmp_path, spoil)
    assert reason in errors(outcome)


@pytest.mark.parametrize("body", ["v=0\r\nm=audio\r\n", "rubbish", "v=0\r\nc=IN IP4\r\nm=audio 1 RTP/SAVP 0\r\n"])
def test_broken_sdp(tmp_path, body):
    _, outcome = beside(World(), tmp_path, lambda call: invite(call, body, body))
    assert "SDP: line " in errors(outcome)


def test_broken_sip_is_told_to_its_dialog(tmp_path):
    def spoil(call):
        invite(call, call.sdp(call.caller, []), call.sdp(call.callee, []))
        octets = b"BYE sip:x SIP/2.0\r\nCall-ID: bad@lab\r\nCSeq: four BYE\r\nContent-Length: 0\r\n\r\n"
        call.wire.udp(call.now, call.caller.sip, call.callee.sip, octets)
        call.wire.udp(call.now, call.caller.sip, call.callee.sip, b"INVITE sip:nobody SIP/2.0\r\n\r\n")

    _, outcome = beside(World(), tmp_path, spoil)
    assert "SIP: " in errors(outcome)
    (unknown,) = outcome.report["errors"]
    assert unknown == {"frame": 8, "reason": "SIP: From: missing"}


def test_unknown_tpk(tmp_path):
    world = World()
    call = good(world)
    call.talk(1)
    other = Kms(KmsStore(lab.KMS_IDENTITY, (TicketProtectionKey(b"other", bytes(16)),)))
    outcome = world.replay(tmp_path, kms=other)
    assert "unknown ticket protection key 'tpk-1'" in errors(outcome, "good@lab")
    assert outcome.rtp == []
    assert all(s["without_key"] == 50 for s in outcome.streams("good@lab"))


def test_wrong_tpk(tmp_path):
    world = World()
    call = good(world)
    call.talk(1)
    other = Kms(KmsStore(lab.KMS_IDENTITY, (TicketProtectionKey(TPK_ID, bytes(16)),)))
    outcome = world.replay(tmp_path, kms=other)
    assert "TICKET: its MAC is wrong" in errors(outcome, "good@lab")


def test_ticket_that_had_expired(tmp_path):
    """Judged by the time of the TRANSFER_INIT, not by the clock of who replays."""
    world = World()
    held = world.held("DEFGHJNO")

    def spoil(call):
        call.now = BEGIN + 3 * 24 * 3600 * SECOND
        offer = call.sdp(call.caller, call.offer(held))
        late, call.now = call.now, BEGIN  # the callee's clock and the KMS's are behind, so they accept
        answer = call.accept()
        call.now = late
        invite(call, offer, call.sdp(call.callee, answer))

    bad = world.call(call_id="bad@lab")
    spoil(bad)
    outcome = world.replay(tmp_path)
    assert "the ticket has expired at the time of its TRANSFER_INIT" in errors(outcome)


def test_ticket_of_somebody_else(tmp_path):
    """The matched identity must be one of ticket and messages: a spoofed From opens nobody's call."""
    world = World(names=("alice", "bob", "carol", "dave"))
    held = world.held("DEFGHJNO", owner="carol", peer="dave")
    carol, dave = world.party("carol"), world.party("dave")
    call = world.call(carol, dave, asserted=False)
    user = carol.user
    offer = call.offer(held)
    answer = call.accept()
    user.uri, real = "sip:alice@example.com", user.uri
    invite(call, call.sdp(carol, offer), call.sdp(dave, answer))
    user.uri = real
    call.use_keys()
    call.talk(1)
    outcome = world.replay(tmp_path)
    assert "not of the targeted user" in errors(outcome, "call-1@lab")
    assert outcome.rtp == []


def test_identities_of_one_subscriber(tmp_path):
    """A warrant for the TEL identity opens tickets that name the SIP identity of the same user."""
    world = World()
    subscribers = (Subscriber(("sip:alice@example.com", "tel:+4930123")),)
    kms = Kms(KmsStore(lab.KMS_IDENTITY, (TicketProtectionKey(TPK_ID, world.tpk),), subscribers))
    call = world.call()
    held = world.held()
    offer = call.sdp(call.caller, call.offer(held))
    send = call._send

    def with_tel(sender, receiver, octets):
        send(
            sender,
            receiver,
            octets.replace(
                b"P-Asserted-Identity: <sip:alice",
                b"P-Asserted-Identity: <tel:+49-30-123>\r\nP-Asserted-Identity: <sip:alice",
            ),
        )

    call._send = with_tel
    invite(call, offer, call.sdp(call.callee, call.accept()))
    call.use_keys()
    call.talk(1)
    outcome = world.replay(tmp_path, "tel:+4930123", kms=kms)
    assert outcome.rtp == truth(call)


def test_display_name_and_subject_are_no_identities(tmp_path):
    world = World(names=("carol", "dave"))
    call = world.call(world.party("carol"), world.party("dave"))
    send = call._send
    call._send = lambda a, b, octets: send(
        a, b, octets.replace(b"From: <", b'Subject: sip:alice@example.com\r\nFrom: "sip:alice@example.com" <')
    )
    call.establish(world.held(owner="carol", peer="dave"))
    call.talk(1)
    outcome = world.replay(tmp_path, TARGET)
    assert outcome.rtp == [] and not outcome.dialog()["intercepted"]


def test_secure_media_without_ticket(tmp_path):
    def spoil(call):
        invite(call, call.sdp(call.caller, []), call.sdp(call.callee, []))
        call.talk(1)

    _, outcome = beside(World(), tmp_path, spoil)
    assert "without a MIKEY-TICKET exchange" in errors(outcome)


def test_flood_of_forged_ssrcs_is_bounded(tmp_path):
    world = World()

    def spoil(call):
        call.establish(world.held("DEFGHJNO"))
        for ssrc in range(300):
            packet = b"\x80\x00\x00\x01" + bytes(4) + ssrc.to_bytes(4, "big") + bytes(170)
            call.wire.udp(call.now, call.callee.rtp(), call.caller.rtp(), packet)
            call.now += 100_000
        call.talk(1)

    bad, outcome = beside(world, tmp_path, spoil)
    assert set(truth(bad)) <= set(outcome.rtp)
    assert len(outcome.streams("bad@lab")) <= 70


def test_two_calls_on_one_destination(tmp_path):
    """Both callees share an address and port (an SBC): the tag tells whose a packet is."""
    world = World()
    held = world.held("DEFGHJNO")
    first = world.call(callee=world.party("bob", address="10.9.9.9"), call_id="first@lab")
    second = world.call(callee=world.party("bob", address="10.9.9.9"), call_id="second@lab", at=BEGIN + SECOND)
    for call in (first, second):
        call.establish(held)
    first.now = second.now
    for _ in range(50):
        for call in (first, second):
            call.say(call.caller)
            call.now += 20_000_000
    outcome = world.replay(tmp_path)
    assert sorted(outcome.rtp) == sorted(truth(first) + truth(second))
    for call in (first, second):
        (stream,) = outcome.streams(call.call_id)
        assert stream["decrypted"] == stream["packets"] == 50


def test_port_reused_right_after_the_call(tmp_path):
    world = World(names=("alice", "bob", "carol", "dave"))
    held = world.held(owner="carol", peer="dave")
    first = world.call()
    first.establish(world.held())
    first.talk(1)
    first.hang_up()
    stranger = world.call(
        world.party("carol", address=first.caller.address),
        world.party("dave", address=first.callee.address),
        "stranger@lab",
        at=first.now + 1_000_000,
    )
    stranger.establish(held, ringing=1)
    stranger.talk(2)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(first)
    assert outcome.dialog()["errors"] == []
    assert {s["ssrc"] for s in outcome.streams()} == {0x5500_0010, 0x5500_0020}


def test_answered_by_an_error_message(tmp_path):
    from base64 import b64encode

    from imswire.mikey import exchange
    from imswire.mikey import values as v

    world = World()

    def spoil(call):
        offer = call.offer(world.held("DEFGHJNO"))
        error = exchange.error_message(call.bundles[0].init, mikey.ErrorNo.INVALID_TICKET, v.Timestamp.ntp_utc(BEGIN))
        invite(call, call.sdp(call.caller, offer), call.sdp(call.callee, [b64encode(error).decode()]))

    _, outcome = beside(world, tmp_path, spoil)
    assert "data type 6 where TRANSFER_RESP is expected" in errors(outcome)


def test_a_session_that_names_a_sip_port_as_its_media_hides_nothing(tmp_path):
    world = World()
    trap = world.call(call_id="trap@lab")
    victim = trap.callee
    trap.caller.rtp_port = 5060
    invite(trap, trap.sdp(trap.caller, []), trap.sdp(victim, []))
    later = world.call(caller=world.party("alice", address=trap.caller.address), callee=world.party("bob"), at=trap.now)
    later.establish(world.held())
    later.talk(1)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(later)


def test_a_feigned_bye_does_not_end_the_interception(tmp_path):
    """BYE and 200 are seen, but the two go on under the same keys; so does the content, until it is silent."""
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(1)
    call.hang_up()
    call.talk(3)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)


def test_a_bye_that_never_reached_the_peer_ends_nothing(tmp_path):
    world = World()
    call = world.call()
    call.establish(world.held())
    number = call.request("BYE", call.caller)
    call.response("483 Too Many Hops", "BYE", number, call.callee)
    call.now += 40 * SECOND
    call.talk(1)
    assert world.replay(tmp_path).rtp == truth(call)


def test_the_keys_in_use_are_found_among_a_whole_map_of_others(tmp_path):
    """255 crypto sessions, the real ones first and with wrong SSRCs; forged packets beside them."""
    from base64 import b64encode

    from midcall.ue.ticket import session, srtp_key

    world = World()
    call = world.call()
    held = world.held("DEFGHJNO")
    blocks = tuple(session(n, 0xF000 + n, b"\x01") for n in range(1, 256))
    offered = call.caller.user.offer(held, call.callee.uri, call.now, blocks, call.params)
    answered = call.callee.user.accept(world.ask, offered.init, call.now, blocks)
    offered.response = answered.response
    texts = [b64encode(octets).decode() for octets in (offered.init, answered.response)]
    invite(call, call.sdp(call.caller, [texts[0]]), call.sdp(call.callee, [texts[1]]))
    keys = offered.session_keys()
    call.caller.senders[0].key(*srtp_key(keys[1]))
    call.callee.senders[0].key(*srtp_key(keys[2]))
    call.talk(1)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)


@pytest.mark.parametrize("begin", [b"\r\n", b"\r\n\r\n", b"\n"])
def test_sip_behind_line_ends_is_seen(tmp_path, begin):
    world = World()
    call = world.call()
    send = world.wire.udp
    world.wire.udp = lambda at, a, b, octets: send(at, a, b, begin + octets if b"SIP/2.0" in octets else octets)
    call.establish(world.held())
    call.talk(1)
    assert world.replay(tmp_path).rtp == truth(call)


def test_errors_of_one_dialog_are_bounded(tmp_path):
    world = World()
    call = good(world)
    for _ in range(300):
        octets = b"INFO sip:x SIP/2.0\r\nCall-ID: good@lab\r\nCSeq: x INFO\r\nContent-Length: 0\r\n\r\n"
        world.wire.udp(call.now, call.caller.sip, call.callee.sip, octets)
        call.now += 1_000
    call.talk(1)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)
    found = outcome.dialog("good@lab")["errors"]
    assert len(found) == 101 and found[-1] == "and 200 more"

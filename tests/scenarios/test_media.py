"""What networks do to calls: transports, forks, disorder, hold, new streams, moved media, window edges."""

from __future__ import annotations

import wave

import pytest

from imswire import srtp
from midcall.config import ReplayConfig, Warranted
from midcall.ue.call import MILLI, SECOND, Call
from midcall.ue.party import FRAME_NS
from midcall.ue.ticket import srtp_key
from tests.scenarios.world import BEGIN, World, truth


def established(world: World, **options) -> Call:
    call = world.call(**options)
    call.establish(world.held())
    return call


def test_ipv6_and_tcp(tmp_path):
    world = World()
    call = established(
        world,
        caller=world.party("alice", address="2001:db8::1"),
        callee=world.party("bob", address="2001:db8::2"),
        transport="TCP",
    )
    call.talk(4)
    call.hang_up()
    outcome = world.replay(tmp_path, start=2.0)
    assert outcome.rtp == truth(call, 2.0)
    assert outcome.dialog()["errors"] == []
    assert {s["dst"] for s in outcome.streams()} == {"[2001:db8::1]:40000", "[2001:db8::2]:40000"}


def test_activation_before_the_call_is_not_mid_call(tmp_path):
    world = World()
    call = established(world)
    call.talk(1)
    call.hang_up()
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)
    assert outcome.dialog()["intercepted"] and not outcome.dialog()["mid_call"]


def test_early_media_of_two_forks(tmp_path):
    """Both callees send before one answers; each fork has keys of its own (flag I)."""
    world = World(names=("alice", "bob", "carol"))
    alice = world.party("alice")
    bob, carol = world.party("bob"), world.party("carol")
    held = world.users["alice"].request_ticket(
        world.ask, BEGIN, (world.users["bob"].uri, world.users["carol"].uri), "DEFGHINO"
    )
    first = world.call(alice, bob)
    second = Call(world.wire, world.ask, alice, carol, first.call_id, BEGIN)
    number = first.request("INVITE", alice, first.sdp(alice, first.offer(held)), initial=True)
    second.bundles = [type(b)(b.suite, b.init, b._resolved) for b in first.bundles]
    for fork, party in ((first, bob), (second, carol)):
        fork.now = max(first.now, second.now)
        # Media may overtake the answer that makes its keys known.
        answer = fork.sdp(party, fork.accept(party))
        party.senders[0].key(*srtp_key(fork.answers[0].session_keys()[2]))
        for _ in range(5):
            fork.say(party)
            fork.now += FRAME_NS
        fork.response("183 Session Progress", "INVITE", number, party, answer)
        for _ in range(20):
            fork.say(party)
            fork.now += FRAME_NS
    first.now = second.now
    first.response("200 OK", "INVITE", number, bob, first.sdp(bob, [None]))
    first.request("ACK", alice, number=number)
    outcome = world.replay(tmp_path)
    assert sorted(outcome.rtp) == sorted(truth(first) + truth(second))
    dialogs = outcome.dialogs()
    assert {d["callee_tag"] for d in dialogs} == {bob.tag, carol.tag}
    for dialog in dialogs:
        (stream,) = dialog["streams"]
        assert stream["decrypted"] == stream["packets"] == 25
        assert dialog["errors"] == []


def test_loss_and_reordering(tmp_path):
    world = World()
    call = established(world)
    call.talk(4)
    frames = world.wire.frames
    media = [i for i, (time, frame) in enumerate(frames) if len(frame) > 150 and b"SIP/2.0" not in frame]
    lost = set(media[50:400:7])
    for i in media[51:400:9]:
        frames[i], frames[i + 2] = (frames[i][0], frames[i + 2][1]), (frames[i + 2][0], frames[i][1])
    world.wire.frames = [frame for i, frame in enumerate(frames) if i not in lost]
    outcome = world.replay(tmp_path)
    assert len(outcome.rtp) == len(media) - len(lost)
    assert set(outcome.rtp) <= set(truth(call))
    assert outcome.dialog()["errors"] == []


def test_duplicates_come_out_once_and_are_counted_apart(tmp_path):
    world = World()
    call = established(world)
    call.talk(2)
    doubled = [timed for timed in world.wire.frames for _ in range(2)]
    world.wire.frames = doubled
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)
    for stream in outcome.streams():
        assert stream["packets"] == 200
        assert (stream["decrypted"], stream["replayed"], stream["auth_failed"]) == (100, 100, 0)
    assert outcome.dialog()["errors"] == []


def forged(packet: bytes, seq: int) -> bytes:
    return packet[:2] + seq.to_bytes(2, "big") + packet[4:-1] + bytes([packet[-1] ^ 1])


def test_forged_packets_are_counted_and_move_nothing(tmp_path):
    """Forged copies and forged far-ahead sequence numbers, in the middle of a good stream."""
    world = World()
    call = established(world)
    for step in range(100):
        call.say(call.caller)
        call.say(call.callee)
        if step % 10 == 5:
            last = world.wire.frames[-1][1][42:]
            for seq in (40_000, int.from_bytes(last[2:4], "big"), 10):
                world.wire.udp(call.now, call.callee.rtp(), call.caller.rtp(), forged(last, seq))
        call.now += FRAME_NS
    outcome = world.replay(tmp_path, start=0.6)
    assert outcome.rtp == truth(call, 0.6)
    streams = {s["sender"]: s for s in outcome.streams()}
    assert streams["callee"]["auth_failed"] > 20 and streams["callee"]["roc"] == 0
    assert streams["callee"]["packets"] == streams["callee"]["decrypted"] + streams["callee"]["auth_failed"]
    assert streams["caller"]["auth_failed"] == 0
    (error,) = outcome.dialog()["errors"]
    assert error.startswith("frame ") and "failed authentication" in error


def test_hold_and_resume(tmp_path):
    """re-INVITEs without key-mgmt leave the keys as they are."""
    world = World()
    call = established(world)
    call.talk(2)
    call.reinvite(call.sdp(call.caller, [], direction="sendonly"), call.sdp(call.callee, [], direction="recvonly"))
    call.talk(1, only=call.caller)
    call.reinvite(call.sdp(call.caller, []), call.sdp(call.callee, []))
    call.talk(2)
    call.hang_up()
    outcome = world.replay(tmp_path, start=1.0)
    assert outcome.rtp == truth(call, 1.0)
    assert outcome.dialog()["errors"] == []


def test_hold_with_a_null_address(tmp_path):
    world = World()
    call = established(world)
    call.talk(1)
    call.reinvite(call.sdp(call.caller, [], address="0.0.0.0"), call.sdp(call.callee, []))
    call.talk(1, only=call.caller)
    call.reinvite(call.sdp(call.caller, []), call.sdp(call.callee, []))
    call.talk(1)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)


def test_a_new_ssrc_starts_at_zero_under_the_same_key(tmp_path):
    world = World()
    call = established(world)
    call.talk(2)
    sender = call.caller.senders[0]
    sender.ssrc, sender.seq = 0xDEADBEEF, 7
    sender.key(*srtp_key(call.bundles[0].session_keys()[1]))
    call.talk(2)
    outcome = world.replay(tmp_path, start=1.0)
    assert outcome.rtp == truth(call, 1.0)
    assert len(outcome.streams()) == 3
    assert outcome.dialog()["errors"] == []


def test_media_moved_by_reinvite_keep_their_counter(tmp_path):
    world = World()
    call = world.call()
    call.roc = 2
    call.establish(world.held())
    call.now += 3 * 65_536 * 5_000_000
    joined = (call.now - BEGIN) / SECOND
    call.talk(2)
    call.callee.rtp_port = 41_000
    call.reinvite(call.sdp(call.callee, []), call.sdp(call.caller, []), call.callee)
    call.talk(2)
    call.hang_up()
    outcome = world.replay(tmp_path, start=joined)
    assert outcome.rtp == truth(call, joined)
    moved = [s for s in outcome.streams() if s["dst"].endswith(":41000")]
    assert [s["roc"] for s in moved] == [2]


@pytest.mark.parametrize("shift", [-MILLI, 0, MILLI])
def test_window_edges(tmp_path, shift):
    """From the start on, before the end: a packet at the start counts, one at the end does not."""
    world = World()
    call = established(world)
    call.talk(4)
    call.hang_up()
    times = [at - BEGIN for at, _, _ in call.sent]
    start, end = times[50] + shift, times[250] + shift
    outcome = world.replay(tmp_path, start=start / SECOND, end=end / SECOND)
    assert outcome.rtp == [clear for at, _, clear in call.sent if start <= at - BEGIN < end]


def test_nothing_after_deactivation_and_nothing_of_a_call_that_begins_then(tmp_path):
    world = World()
    held = world.held("DEFGHJNO")
    first = world.call(call_id="first@lab")
    first.establish(held)
    first.talk(4)
    later = world.call(call_id="later@lab", at=BEGIN + 3 * SECOND)
    later.establish(held)
    later.talk(1)
    outcome = world.replay(tmp_path, start=1.0, end=2.0)
    assert outcome.rtp == truth(first, 1.0, 2.0)
    assert not outcome.dialog("later@lab")["intercepted"]


def test_five_calls_of_which_one_is_the_targets(tmp_path):
    names = tuple(f"{side}{i}" for i in range(5) for side in ("alice", "bob"))
    world = World(names=names)
    calls = []
    for i in range(5):
        held = world.held(owner=f"alice{i}", peer=f"bob{i}")
        parties = world.party(f"alice{i}"), world.party(f"bob{i}")
        call = world.call(*parties, call_id=f"call-{i}@lab", at=BEGIN + i * MILLI)
        call.establish(held)
        call.talk(2)
        call.hang_up()
        calls.append(call)
    outcome = world.replay(tmp_path, "sip:bob3@example.com", start=1.0)
    assert outcome.rtp == truth(calls[3], 1.0)
    assert [d["call_id"] for d in outcome.report["dialogs"] if d["intercepted"]] == ["call-3@lab"]
    assert len(outcome.report["dialogs"]) == 5


def test_offerless_invite_reverses_the_roles(tmp_path):
    """The callee offers in its 200 and is the MIKEY initiator; the ACK answers."""
    world = World()
    call = world.call()
    held = world.held(owner="bob", peer="alice")
    number = call.request("INVITE", call.caller, initial=True)
    call.response("180 Ringing", "INVITE", number, call.callee)
    call.response("200 OK", "INVITE", number, call.callee, call.sdp(call.callee, call.offer(held, call.callee)))
    call.request("ACK", call.caller, call.sdp(call.caller, call.accept(call.caller)), number=number)
    call.use_keys(call.callee)
    call.talk(3)
    call.hang_up()
    outcome = world.replay(tmp_path, start=1.0)
    assert outcome.rtp == truth(call, 1.0)
    assert outcome.dialog()["errors"] == []


def test_answer_in_reliable_183_and_prack(tmp_path):
    world = World()
    call = world.call()
    number = call.request("INVITE", call.caller, call.sdp(call.caller, call.offer(world.held())), initial=True)
    call.response("183 Session Progress", "INVITE", number, call.callee, call.sdp(call.callee, call.accept()))
    prack = call.request("PRACK", call.caller)
    call.response("200 OK", "PRACK", prack, call.callee)
    call.use_keys()
    call.talk(1)
    call.response("200 OK", "INVITE", number, call.callee)
    call.request("ACK", call.caller, number=number)
    call.talk(2)
    outcome = world.replay(tmp_path, start=0.5)
    assert outcome.rtp == truth(call, 0.5)


@pytest.mark.parametrize("keys", ["decrypt", "keys-to-lemf"])
def test_plain_rtp_is_content_as_it_is(tmp_path, keys):
    world = World()
    call = world.call()
    offer, answer = (p.sdp([], proto="RTP/AVP") for p in (call.caller, call.callee))
    number = call.request("INVITE", call.caller, offer, initial=True)
    call.response("200 OK", "INVITE", number, call.callee, answer)
    call.request("ACK", call.caller, number=number)
    call.talk(2)
    call.hang_up()
    outcome = world.replay(tmp_path, start=1.0, config=ReplayConfig(warranted=Warranted(keys=keys)))
    assert outcome.rtp == truth(call, 1.0) and len(outcome.audio) == 3
    assert all(s["clear"] == s["packets"] > 0 for s in outcome.streams())
    assert outcome.dialog()["errors"] == []


def test_rtcp_is_opened_and_kept_out_of_media_pcap(tmp_path):
    world = World()
    call = established(world)
    call.talk(1)
    policy, master = srtp_key(call.bundles[0].session_keys()[1])
    report = bytes.fromhex("80c80006") + call.caller.senders[0].ssrc.to_bytes(4, "big") + bytes(20)
    packet = srtp.Protector(policy, master).protect_rtcp(report)
    address, port = call.callee.rtp()
    world.wire.udp(call.now, (call.caller.packed, 40_001), (address, port + 1), packet)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)
    assert outcome.dialog()["rtcp_packets"] == 1


def test_fragmented_sip_and_vlan(tmp_path):
    from imswire import inet

    world = World()
    world.wire = type(world.wire)(vlans=(100,))
    call = established(world)
    call.talk(1)
    pieces = []
    for time, frame in world.wire.frames:
        if len(frame) > 700:
            pieces += [(time, each) for each in inet.fragment_frame(1, frame, 576, 77 + len(pieces))]
        else:
            pieces.append((time, frame))
    world.wire.frames = pieces
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)


def test_wav_files_hold_both_tunes(tmp_path):
    world = World()
    call = established(world)
    call.talk(4)
    outcome = world.replay(tmp_path, start=2.0)
    names = [path.name for path in outcome.audio]
    assert names == ["dialog-001-caller.wav", "dialog-001-callee.wav", "dialog-001-mix.wav"]
    with wave.open(str(outcome.audio[2])) as mix:
        assert (mix.getnchannels(), mix.getframerate(), mix.getsampwidth()) == (2, 8000, 2)
        frames = mix.readframes(mix.getnframes())
        expected = len(truth(call, 2.0)) / 2 * 160
        assert abs(mix.getnframes() - expected) <= 200
    for channel, path in enumerate(outcome.audio[:2]):
        with wave.open(str(path)) as mono:
            samples = mono.readframes(mono.getnframes())
            assert any(samples)
            joined = b"".join(frames[i : i + 2] for i in range(2 * channel, len(frames), 4))
            assert joined[: len(samples)] == samples

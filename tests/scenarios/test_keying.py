"""Each way of keying a call, intercepted from its middle on: the content is what was spoken, and all of it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from imswire.mikey import KeyType
from imswire.mikey.exchange import SUITE_256
from midcall.ue import ticket as t
from tests.scenarios.world import BEGIN, TPK_ID, World, truth


def assert_complete(outcome, call, start=2.0, policy="AES_CM_128_HMAC_SHA1_80"):
    """Everything from ``start`` on, nothing from before, no error, both directions."""
    assert outcome.rtp == truth(call, start)
    dialog = outcome.dialog(call.call_id)
    assert dialog["intercepted"] and dialog["mid_call"] and dialog["errors"] == []
    assert {s["sender"] for s in dialog["streams"]} == {"caller", "callee"}
    for stream in dialog["streams"]:
        assert stream["packets"] == stream["decrypted"] > 0
        assert stream["auth_failed"] == 0
        assert stream["policy"] == policy


def run(world: World, tmp_path: Path, flags: str = "DEFGHNO", **changes):
    call = world.call()
    for name, value in changes.items():
        setattr(call, name, value)
    call.establish(world.held(flags, **({"salt_octets": 12} if changes.get("params", {}).get(4) == 12 else {})))
    call.talk(4)
    call.hang_up()
    return call, world.replay(tmp_path, start=2.0)


def test_without_forking(tmp_path):
    call, outcome = run(World(), tmp_path)
    assert_complete(outcome, call)


def test_with_forking_and_randrr(tmp_path):
    call, outcome = run(World(), tmp_path, "DEFGHINO")
    assert_complete(outcome, call)


def test_responder_keys_bound_by_randrr_alone(tmp_path):
    call, outcome = run(World(), tmp_path, "DEFGNO")
    assert_complete(outcome, call)


def test_no_transfer_resp_at_all(tmp_path):
    """F=0: the keys follow from TRANSFER_INIT, whose map must then be whole."""
    world = World()
    call = world.call()
    held = world.held("DEHNO")
    number = call.request("INVITE", call.caller, _whole_offer(call, held), initial=True)
    call.response("200 OK", "INVITE", number, call.callee, call.sdp(call.callee, []))
    call.request("ACK", call.caller, number=number)
    keys = call.bundles[0].session_keys()
    call.caller.senders[0].key(*t.srtp_key(keys[1]))
    call.callee.senders[0].key(*t.srtp_key(keys[2]))
    call.talk(4)
    call.hang_up()
    assert_complete(world.replay(tmp_path, start=2.0), call)


def _whole_offer(call, held):
    sessions = (
        t.session(1, call.caller.senders[0].ssrc, b"\x01"),
        t.session(2, call.callee.senders[0].ssrc, b"\x01"),
    )
    user = call.caller.user
    call.bundles = [user.offer(held, call.callee.uri, call.now, sessions, call.params)]
    return call.sdp(call.caller, [b64encode(call.bundles[0].init).decode()])


def test_256_bit_suite(tmp_path):
    call, outcome = run(World(SUITE_256), tmp_path, params=t.AES_CM_256_80)
    assert_complete(outcome, call, policy="AES_256_CM_HMAC_SHA1_80")


@pytest.mark.parametrize(
    ("params", "suite", "policy"),
    [
        (t.AES_CM_192_80, SUITE_256, "AES_192_CM_HMAC_SHA1_80"),
        (t.AES_F8_128_80, t.SUITE_128, "F8_128_HMAC_SHA1_80"),
        (t.NULL_80, t.SUITE_128, "NULL_HMAC_SHA1_80"),
        (t.NULL_80 | {1: 0, 4: 0}, t.SUITE_128, "NULL_HMAC_SHA1_80"),
        (t.AES_CM_128_80 | {7: 0}, t.SUITE_128, "NULL_HMAC_SHA1_80"),
        (t.AES_GCM_128 | {2: 0, 3: 0, 11: 0}, t.SUITE_128, "AEAD_AES_128_GCM"),
    ],
)
def test_profiles_of_other_ciphers(tmp_path, params, suite, policy):
    call, outcome = run(World(suite), tmp_path, "DEFGHINO", params=params)
    assert_complete(outcome, call, policy=policy)


@pytest.mark.parametrize(("params", "suite"), [(t.AES_GCM_128, t.SUITE_128), (t.AES_GCM_256, SUITE_256)])
def test_gcm(tmp_path, params, suite):
    call, outcome = run(World(suite), tmp_path, params=params)
    assert_complete(outcome, call, policy=f"AEAD_AES_{params[1] * 8}_GCM")


def test_32_bit_tags(tmp_path):
    call, outcome = run(World(), tmp_path, params=t.AES_CM_128_32)
    assert_complete(outcome, call, policy="AES_CM_128_HMAC_SHA1_32")


@pytest.mark.parametrize("params", [t.AES_CM_128_80, t.AES_CM_128_32])
def test_rollover_counter_above_zero_at_activation(tmp_path, params):
    """A call of hours: the counter is found by the tag (a short tag needs a second packet)."""
    world = World()
    call = world.call()
    call.params, call.roc = params, 3
    held = world.held()
    call.establish(held)
    call.now += 4 * 65_536 * 5_000_000
    joined = (call.now - BEGIN) / 1e9
    call.talk(2)
    outcome = world.replay(tmp_path, start=joined)
    # With short tags the first packet of a stream comes out together with its second.
    assert sorted(outcome.rtp) == sorted(truth(call, joined))
    assert [s["roc"] for s in outcome.streams()] == [3, 3]
    assert outcome.dialog()["errors"] == []


def test_rollover_while_listening(tmp_path):
    world = World()
    caller = world.party("alice", seq=65_500)
    call = world.call(caller)
    call.establish(world.held())
    call.talk(4)
    outcome = world.replay(tmp_path, start=2.0)
    assert outcome.rtp == truth(call, 2.0)
    assert {s["sender"]: s["roc"] for s in outcome.streams()} == {"caller": 1, "callee": 0}


def test_ticket_reuse(tmp_path):
    """One ticket (J=1), two calls, each a bundle of its own."""
    world = World()
    held = world.held("DEFGHJNO")
    calls = []
    for number in (1, 2):
        call = world.call(
            world.party("alice"),
            world.party("bob"),
            f"call-{number}@lab",
            at=BEGIN + (number - 1) * 10_000_000,
        )
        call.establish(held)
        call.talk(3)
        call.hang_up()
        calls.append(call)
    outcome = world.replay(tmp_path, start=2.0)
    assert sorted(outcome.rtp) == sorted(truth(calls[0], 2.0) + truth(calls[1], 2.0))
    assert all(dialog["errors"] == [] for dialog in outcome.report["dialogs"])


@pytest.mark.parametrize("flags", ["DEFGHLMNO", "DEFGHILMNO"])
def test_rekey_by_reinvite_with_mki(tmp_path, flags):
    world = World()
    call = world.call()
    call.mki = True
    call.establish(world.held(flags))
    call.talk(3)
    call.rekey(world.draw(16), world.draw(14), b"\x02")
    call.talk(3)
    call.hang_up()
    assert_complete(world.replay(tmp_path, start=2.0), call)


def test_joining_after_the_rekey(tmp_path):
    world = World()
    call = world.call()
    call.establish(world.held("DEFGHLMNO"))
    call.talk(1)
    call.rekey(world.draw(16), world.draw(14), b"\x02")
    call.talk(3)
    call.hang_up()
    assert_complete(world.replay(tmp_path, start=3.0), call, start=3.0)


@pytest.mark.parametrize("flags", ["DEFGHLNO", "DEFGHILNO"])
@pytest.mark.parametrize("kind", [KeyType.TEK_SALT, KeyType.TGK_SALT])
def test_keys_of_the_initiator(tmp_path, flags, kind):
    world = World()
    keys = tuple(t.spi_key(kind, world.draw(16), spi, world.draw(14)) for spi in (b"\x21", b"\x22"))
    call = world.call()
    held = world.held(flags)
    number = call.request("INVITE", call.caller, call.sdp(call.caller, call.offer(held, keys=keys)), initial=True)
    call.response("200 OK", "INVITE", number, call.callee, call.sdp(call.callee, call.accept()))
    call.request("ACK", call.caller, number=number)
    call.use_keys()
    call.talk(4)
    assert_complete(world.replay(tmp_path, start=2.0), call)


@pytest.mark.parametrize("flags", ["DEFGHMNO", "DEFGHIMNO"])
def test_keys_of_the_responder(tmp_path, flags):
    world = World()
    keys = tuple(t.spi_key(KeyType.TEK_SALT, world.draw(16), spi, world.draw(14)) for spi in (b"\x31", b"\x32"))
    call = world.call()
    held = world.held(flags)
    number = call.request("INVITE", call.caller, call.sdp(call.caller, call.offer(held)), initial=True)
    call.response("200 OK", "INVITE", number, call.callee, call.sdp(call.callee, call.accept(keys=keys)))
    call.request("ACK", call.caller, number=number)
    for bundle, cs_id, party in ((call.bundles[0], 1, call.caller), (call.answers[0], 2, call.callee)):
        party.senders[0].key(*t.srtp_key(bundle.session_keys()[cs_id]))
    call.talk(4)
    assert_complete(world.replay(tmp_path, start=2.0), call)


@pytest.mark.parametrize("flags", ["EFGHLNO", "EFGHILNO"])
def test_mode_3(tmp_path, flags):
    """The Initiator makes the ticket, the KMS resolves it."""
    world = World()
    alice = world.users["alice"]
    held = alice.make_ticket(TPK_ID, world.tpk, BEGIN, (world.users["bob"].uri,), flags)
    call = world.call()
    call.establish(held)
    call.talk(4)
    assert_complete(world.replay(tmp_path, start=2.0), call)


@pytest.mark.parametrize("session_level", [True, False])
def test_audio_and_video_keyed_at_either_level(tmp_path, session_level):
    world = World()
    call = world.call(world.party("alice", video=True), world.party("bob", video=True), session_level=session_level)
    call.establish(world.held())
    call.talk(4)
    outcome = world.replay(tmp_path, start=2.0)
    assert outcome.rtp == truth(call, 2.0)
    streams = outcome.streams()
    assert sorted((s["media"], s["sender"]) for s in streams) == [
        ("audio", "callee"),
        ("audio", "caller"),
        ("video", "callee"),
        ("video", "caller"),
    ]
    assert outcome.dialog()["errors"] == []


@pytest.mark.parametrize("mki", [False, True])
def test_rekey_by_a_new_bundle(tmp_path, mki):
    """A re-INVITE with a whole new Transfer: another CSB, and the same SPI for another key."""
    world = World()
    call = world.call()
    call.mki = mki
    call.establish(world.held())
    call.talk(3)
    call.offer(world.held())
    offers = [b64encode(bundle.init).decode() for bundle in call.bundles]
    call.reinvite(call.sdp(call.caller, offers), call.sdp(call.callee, call.accept()))
    call.use_keys()
    call.talk(3)
    call.hang_up()
    assert_complete(world.replay(tmp_path, start=2.0), call)


def test_packets_under_the_new_key_that_overtake_the_answer(tmp_path):
    """Rekeying: the callee already uses the new key when its 200 is still under way."""
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(1)
    call.offer(world.held())
    number = call.request("INVITE", call.caller, call.sdp(call.caller, [b64encode(call.bundles[0].init).decode()]))
    answer = call.sdp(call.callee, call.accept())
    call.callee.senders[0].rekey(*t.srtp_key(call.answers[0].session_keys()[2]))
    call.talk(0.2, only=call.callee)
    call.response("200 OK", "INVITE", number, call.callee, answer)
    call.request("ACK", call.caller, number=number)
    call.talk(0.2, only=call.callee)
    outcome = world.replay(tmp_path)
    assert sorted(outcome.rtp) == sorted(truth(call))
    assert outcome.dialog()["errors"] == []

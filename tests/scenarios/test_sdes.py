"""Calls keyed by security descriptions (RFC 4568): they replay like those keyed by tickets."""

from __future__ import annotations

import json

import pytest

from imswire.srtp import sdes
from midcall.ue.call import Call
from tests.scenarios.world import World, truth

CM = "AES_CM_128_HMAC_SHA1_80"


def talked(world: World, suite: str = CM, params: str = "", **options) -> Call:
    call = world.call(**{name: value for name, value in options.items() if name not in ("mki", "roc")})
    call.roc = options.get("roc", 0)
    call.establish_sdes(world.draw, suite, params, mki=options.get("mki", b""))
    call.talk(2)
    return call


def assert_complete(outcome, call: Call, start: float = 0.0) -> None:
    assert outcome.rtp == truth(call, start) and outcome.rtp
    assert outcome.dialog()["errors"] == []
    assert all(s["auth_failed"] == 0 and s["decrypted"] == s["packets"] for s in outcome.streams())


@pytest.mark.parametrize("suite", sorted(sdes.SUITES))
def test_every_suite_mid_call(suite, tmp_path):
    world = World()
    call = talked(world, suite)
    call.hang_up()
    outcome = world.replay(tmp_path, start=1.5)
    assert_complete(outcome, call, 1.5)
    assert {s["policy"] for s in outcome.streams()} == {sdes.SUITES[suite].name}
    assert outcome.dialog()["mid_call"]


def test_keys_without_a_secure_profile_mid_call(tmp_path):
    """RFC 8643: what most softphones do when encryption is to be used where the other side has it too."""
    world = World()
    call = world.call()
    call.establish_sdes(world.draw, CM, proto="RTP/AVP")
    call.talk(2)
    call.hang_up()
    outcome = world.replay(tmp_path, start=1.5)
    assert_complete(outcome, call, 1.5)
    assert outcome.dialog()["mid_call"]


@pytest.mark.parametrize("params", ["KDR=1", "KDR=6", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP"])
def test_session_parameters(params, tmp_path):
    world = World()
    call = talked(world, params=params)
    assert_complete(world.replay(tmp_path), call)


def test_no_authentication_from_the_beginning(tmp_path):
    world = World()
    call = talked(world, params="UNAUTHENTICATED_SRTP")
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call)


def test_video_mki_and_a_late_counter(tmp_path):
    world = World()
    options = {"caller": world.party("alice", video=True), "callee": world.party("bob", video=True)}
    call = talked(world, mki=b"\x01\x02\x03\x04", roc=1, **options)
    assert_complete(world.replay(tmp_path, start=1.0), call, 1.0)


def test_new_keys_in_the_middle(tmp_path):
    world = World()
    call = talked(world)
    call.rekey_sdes(world.draw, "AEAD_AES_128_GCM")
    call.talk(1)
    call.rekey_sdes(world.draw, "AES_CM_128_HMAC_SHA1_32")
    call.talk(1)
    assert_complete(world.replay(tmp_path, start=1.0), call, 1.0)


def test_the_keys_show_nowhere(tmp_path):
    world = World()
    call = talked(world)
    outcome = world.replay(tmp_path)
    assert "inline" not in json.dumps(outcome.report)
    assert call.caller.senders[0].protector is not None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (("AES_CM_128_HMAC_SHA1_80", "ARIA_CTR_128_HMAC_SHA1_80"), "m-line 1: a=crypto: crypto suite 'ARIA"),
        (("a=crypto", "a=crypt0"), "without a MIKEY-TICKET exchange and without a=crypto"),
    ],
)
def test_what_cannot_be_opened_is_said(tmp_path, spoil, reason):
    world = World()
    call = world.call()
    send = call._send
    call._send = lambda a, b, octets: send(a, b, octets.replace(spoil[0].encode(), spoil[1].encode()))
    call.establish_sdes(world.draw, CM)
    call.talk(1)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == []
    assert reason in " ".join(outcome.dialog()["errors"])

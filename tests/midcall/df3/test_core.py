"""Content mediation by itself: holding within bounds, windows, and what is counted how."""

from __future__ import annotations

import pytest

from imswire import inet, srtp
from imswire.sdp import Codec, Endpoint
from midcall.df3 import ContentMediation, Df3Limits
from midcall.df3.rollover import candidates, highest
from midcall.events import CryptoContext, DialogId, Instant, MediaFlow, MediaPacket, MediaPlan, SessionKey, Side

SECOND = 1_000_000_000
DIALOG = DialogId("c", "a", "b")
CALLEE, CALLER = Endpoint("10.0.0.2", 4000), Endpoint("10.0.0.1", 4000)
MASTER = bytes(16), bytes(14)
SSRC = 0xAABBCCDD


def flow(secure: bool = True, sender: Side = Side.CALLER, to: Endpoint = CALLEE) -> MediaFlow:
    return MediaFlow(
        0, "audio", sender, (to,), (Endpoint(to.address, to.port + 1),), CALLER, {0: Codec("PCMU", 8000)}, secure
    )


def context(policy: srtp.Policy = srtp.AES_CM_128_HMAC_SHA1_80, ssrc: int | None = SSRC, **key) -> CryptoContext:
    master = srtp.MasterKey(bytes(policy.key_length), bytes(policy.salt_length))
    fields = {"rollover": None, "sequence": None} | key
    return CryptoContext(
        0, 1, 0, Side.CALLER, SessionKey(1, 0, ssrc, policy=policy, master=master, proved=True, **fields)
    )


def plan(*contexts: CryptoContext, awaiting: bool = False, flows=None, start=None, end=None) -> MediaPlan:
    flows = flows or (flow(),)
    return MediaPlan(
        "x", 1, bytes(8), DIALOG, Instant(0, 0), start, end, Instant(0, 0), Side.CALLER, flows, contexts, awaiting
    )


def clear(seq: int, ssrc: int = SSRC) -> bytes:
    return b"\x80\0" + seq.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + bytes(160)


def packets(*payloads: bytes, at: int = SECOND, to: Endpoint = CALLEE, source: str = "10.0.0.1", port: int = 4000):
    made = []
    for number, payload in enumerate(payloads):
        frame = inet.udp_frame(inet.pack(source), port, inet.pack(to.address), to.port, payload)
        datagram = inet.decode(1, frame)
        place = inet.endpoint_key(datagram.dst, datagram.dport)
        made.append(MediaPacket(at + number, place, datagram, number + 1))
    return made


def protected(count: int, roc: int = 0, policy: srtp.Policy = srtp.AES_CM_128_HMAC_SHA1_80) -> list[bytes]:
    sender = srtp.Protector(policy, srtp.MasterKey(bytes(policy.key_length), bytes(policy.salt_length)), roc)
    return [sender.protect(clear(seq)) for seq in range(1, count + 1)]


def ended(df3: ContentMediation):
    df3.finish()
    (finished,) = df3.take_finished()
    return finished


def counted(df3: ContentMediation):
    return [stream for stream in ended(df3).streams if not stream.control]


def test_how_a_dialog_stands_can_be_looked_at():
    df3 = ContentMediation()
    assert df3.look("x", DIALOG) is None
    df3.plan(plan(awaiting=True), Instant(0, 0))
    df3.packets(packets(*protected(3)))
    assert (df3.look("x", DIALOG).places, df3.look("x", DIALOG).held) == (2, 3)
    df3.plan(plan(context()), Instant(0, 0))
    df3.packets(packets(b"no RTP"))
    found = df3.look("x", DIALOG)
    assert [each.decrypted for each in found.streams] == [3]
    assert found.held == 0 and found.dropped == {"not_rtp": 1}
    assert df3.look("y", DIALOG) is None, "each task sees its own"
    df3.close("x", DIALOG, Instant(0, 0), linger=False)
    assert df3.look("x", DIALOG) is None


def test_nothing_is_tapped_without_a_plan():
    df3 = ContentMediation()
    assert df3.packets(packets(*protected(3))) == [] and not df3.tapped(packets(b"x")[0].place)


def test_held_until_the_keys_come_then_in_order():
    df3 = ContentMediation()
    assert df3.plan(plan(awaiting=True), Instant(0, 0)) == []
    assert df3.packets(packets(*protected(5))) == []
    found = df3.plan(plan(context()), Instant(0, 0))
    assert [content.payload for content in found] == [clear(seq) for seq in range(1, 6)]


def test_what_was_held_at_several_places_comes_in_the_order_of_its_times():
    df3 = ContentMediation()
    both = (flow(), flow(sender=Side.CALLEE, to=CALLER))
    df3.plan(plan(awaiting=True, flows=both), Instant(0, 0))
    there, back = packets(*protected(3)), packets(*protected(3), to=CALLER, source="10.0.0.2")
    timed = [
        each._replace(time=SECOND + 2 * number + way)
        for way, some in enumerate((there, back))
        for number, each in enumerate(some)
    ]
    df3.packets(sorted(timed))
    assert df3.held_since() == SECOND
    found = df3.plan(plan(context(), flows=both), Instant(0, 0))
    assert [content.time - SECOND for content in found] == [0, 1, 2, 3, 4, 5]
    assert df3.held_since() is None


def test_held_within_bounds_and_counted_when_no_key_comes():
    df3 = ContentMediation(Df3Limits(held_packets=3))
    df3.plan(plan(awaiting=True), Instant(0, 0))
    df3.packets(packets(*protected(10)))
    df3.close("x", DIALOG, Instant(0, 0), linger=False)
    finished = ended(df3)
    (stream,) = finished.streams
    assert (stream.packets, stream.unopened, stream.decrypted) == (3, 3, 0)
    assert finished.dropped == {"too_many_held": 7}
    small = ContentMediation(Df3Limits(held_octets_in_all=500))
    small.plan(plan(awaiting=True), Instant(0, 0))
    small.packets(packets(*protected(10)))
    assert len(small.plan(plan(context()), Instant(0, 0))) == 2


def test_window_of_the_warrant():
    df3 = ContentMediation()
    df3.plan(plan(context(), start=SECOND + 2, end=SECOND + 5), Instant(0, 0))
    assert [c.time - SECOND for c in df3.packets(packets(*protected(10)))] == [2, 3, 4]


def test_a_counter_from_the_map_and_one_that_has_gone_on():
    for told, true in ((7, 7), (7, 8), (0, 1)):
        df3 = ContentMediation()
        df3.plan(plan(context(rollover=told, sequence=1)), Instant(0, 0))
        assert len(df3.packets(packets(*protected(3, true)))) == 3
        assert counted(df3)[0].roc == true


def test_no_authentication():
    """With the counter of the map it can be read; joining late without one it cannot be proved."""
    policy = srtp.Policy.from_sp({10: b"\0"})
    df3 = ContentMediation()
    df3.plan(plan(context(policy)), Instant(0, 0))
    assert [c.payload for c in df3.packets(packets(*protected(2, 0, policy)))] == [clear(1), clear(2)]


def test_clear_media_only_from_the_source_of_the_session():
    df3 = ContentMediation()
    df3.plan(plan(flows=(flow(secure=False),)), Instant(0, 0))
    assert len(df3.packets(packets(clear(1), clear(2)))) == 2
    assert df3.packets(packets(clear(3, 0x99), source="10.6.6.6")) == []
    finished = ended(df3)
    (stream,) = finished.streams
    assert stream.clear == 2 and stream.source == "10.0.0.1:4000"
    assert finished.dropped == {"foreign": 1}


def test_clear_media_behind_a_translator_latches_on_the_first_source():
    df3 = ContentMediation()
    df3.plan(plan(flows=(flow(secure=False),)), Instant(0, 0))
    assert len(df3.packets(packets(clear(1), source="192.0.2.9", port=777))) == 1
    assert df3.packets(packets(clear(2, 5), source="192.0.2.10")) == []


def test_what_is_no_rtp_is_dropped():
    df3 = ContentMediation()
    df3.plan(plan(context()), Instant(0, 0))
    assert df3.packets(packets(b"", b"\x00\x01stun....", b"\x80\0\0\0\0\0\0\0\0", b"\x16dtls......")) == []
    finished = ended(df3)
    assert finished.streams == [] and finished.dropped == {"not_rtp": 4}


def test_control_packets():
    df3 = ContentMediation()
    df3.plan(plan(context()), Instant(0, 0))
    report = bytes.fromhex("80c80006") + SSRC.to_bytes(4, "big") + bytes(20)
    wire = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(*MASTER)).protect_rtcp(report)
    beside = Endpoint(CALLEE.address, CALLEE.port + 1)
    (before,) = df3.packets(packets(wire, to=beside))
    assert before.payload == report and before.stream.control
    df3.packets(packets(*protected(1)))
    second = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(*MASTER))
    second.protect_rtcp(report)
    assert len(df3.packets(packets(second.protect_rtcp(report), to=beside))) == 1
    assert df3.packets(packets(wire[:-1] + b"\0", to=beside)) == []
    assert ended(df3).dropped == {"rtcp_failed": 1}


def test_lingering_ends_when_it_is_silent():
    df3 = ContentMediation()
    df3.plan(plan(context()), Instant(0, 0))
    df3.packets(packets(*protected(2)))
    df3.close("x", DIALOG, Instant(SECOND * 2, 0), linger=True)
    due = df3.next_deadline()
    assert due == SECOND * 3 and df3.tapped(packets(b"")[0].place)
    df3.deadline(due)
    df3.deadline(due + 10 * SECOND)
    assert not df3.tapped(packets(b"")[0].place) and df3.next_deadline() is None
    assert df3.close("x", DIALOG, Instant(0, 0), linger=True) == []


def test_keys_are_wiped_when_the_dialog_is_over():
    df3 = ContentMediation()
    secret = context()
    df3.plan(plan(secret), Instant(0, 0))
    df3.close("x", DIALOG, Instant(0, 0), linger=False)
    assert secret.key.master.key == b""


def test_a_short_tag_that_proves_a_searched_counter_only_once():
    policy = srtp.AES_CM_128_HMAC_SHA1_32
    df3 = ContentMediation()
    df3.plan(plan(context(policy)), Instant(0, 0))
    first, second = protected(2, 1, policy)
    assert df3.packets(packets(first)) == []
    forged = second[:-1] + bytes([second[-1] ^ 1])
    assert df3.packets(packets(forged)) == []
    assert len(df3.packets(packets(first, second))) == 2
    third = protected(1, 2, policy)[0][:8] + bytes(4) + bytes(170)
    assert df3.packets(packets(third)) == []
    known, unknown = counted(df3)
    assert known.decrypted == 2 and known.auth_failed == 2
    assert unknown.auth_failed == 1


def test_a_short_tag_that_nothing_confirms_is_counted_as_unopened():
    policy = srtp.AES_CM_128_HMAC_SHA1_32
    df3 = ContentMediation()
    df3.plan(plan(context(policy)), Instant(0, 0))
    assert df3.packets(packets(*protected(1, 1, policy))) == []
    (stream,) = counted(df3)
    assert (stream.packets, stream.decrypted, stream.unopened) == (1, 0, 1)


def test_ssrcs_beyond_the_bound_are_counted():
    df3 = ContentMediation(Df3Limits(streams_of_a_destination=2))
    df3.plan(plan(context()), Instant(0, 0))
    df3.packets(packets(*(clear(1, ssrc) + bytes(10) for ssrc in (1, 2, 3, 4))))
    finished = ended(df3)
    assert len(finished.streams) == 2 and finished.dropped == {"too_many_ssrcs": 2}


@pytest.mark.parametrize(("age", "kind", "expected"), [(0, "audio", 1), (3600, "audio", 12), (3600, "video", 111)])
def test_highest_counter(age, kind, expected):
    assert highest(age * SECOND, kind, Df3Limits()) == expected


def test_candidates_come_once():
    assert list(candidates([3, 3, -1], 4)) == [3, 0, 1, 2, 4]

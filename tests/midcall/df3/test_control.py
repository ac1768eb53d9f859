"""RTCP and SRTCP: whose they are is decided as it is for the media, and what waits for keys waits with them."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import srtp
from imswire.sdp import Endpoint
from midcall.df3 import ContentMediation, Df3Limits
from midcall.df3.dialog import KEY_COST, LIKELIEST
from midcall.events import DialogId, Instant
from tests.midcall.df3.test_core import (
    CALLEE,
    CALLER,
    DIALOG,
    MASTER,
    SECOND,
    SSRC,
    clear,
    context,
    flow,
    packets,
    plan,
    protected,
)

NOW = Instant(5 * SECOND, 0)
OTHER = DialogId("other@lab", "o1", "o2")
FORK = DialogId(DIALOG.call_id, DIALOG.caller_tag, "b2")
RTCP = Endpoint(CALLEE.address, CALLEE.port + 1)
OWN_PORT, BEHIND_NAT = {"port": CALLER.port + 1}, {"source": "192.0.2.9", "port": 778}
MEDIA_BEHIND_NAT = {"source": "192.0.2.9", "port": 777}
THIRD = {"source": "99.9.9.9", "port": 6000}


def report(number: int = 0, ssrc: int = SSRC) -> bytes:
    return b"\x80\xc9\0\x07" + ssrc.to_bytes(4, "big") + number.to_bytes(4, "big") + bytes(20)


def secured(*reports: bytes) -> list[bytes]:
    sender = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(*MASTER))
    return [sender.protect_rtcp(each) for each in reports]


def tapped(secure: bool = False, keys: bool = True, limits: Df3Limits | None = None, **changes) -> ContentMediation:
    df3 = ContentMediation(limits)
    contexts = (context(),) if secure and keys else ()
    df3.plan(structs.replace(plan(*contexts, flows=(flow(secure),)), **changes), NOW)
    return df3


def handed(df3: ContentMediation, *payloads: bytes, to: Endpoint = RTCP, **source) -> list[bytes]:
    content = df3.packets(packets(*payloads, to=to, **source))
    assert all(each.stream.control == srtp.is_rtcp(each.datagram.payload) for each in content)
    return [each.payload for each in content]


def media(df3: ContentMediation, *payloads: bytes, **source) -> list[bytes]:
    return handed(df3, *payloads, to=CALLEE, **source)


def ends(df3: ContentMediation) -> list[bytes]:
    return [each.payload for each in df3.close("x", DIALOG, NOW, linger=False)]


def dropped(df3: ContentMediation) -> dict[str, int]:
    found = df3.look("x", DIALOG)
    assert found is not None
    return found.dropped


# In clear, by source


@pytest.mark.parametrize("to", [RTCP, CALLEE], ids=["own port", "rtcp-mux"])
def test_only_from_the_address_of_the_session(to):
    df3 = tapped()
    assert len(media(df3, clear(1))) == 1
    assert handed(df3, report(), to=to, **THIRD) == []
    assert handed(df3, report(1), to=to, **OWN_PORT) == [report(1)]
    assert dropped(df3) == {"foreign": 1}
    assert ends(df3) == []
    assert [each.reason.split(" ")[0] for each in df3.take_failures() if each.missing] == ["1"]


def test_from_the_address_that_media_come_from_when_the_session_names_another():
    df3 = tapped()
    assert len(media(df3, clear(1), **MEDIA_BEHIND_NAT)) == 1
    assert handed(df3, report(), **THIRD) == []
    assert handed(df3, report(1), **BEHIND_NAT) == [report(1)]


def test_where_no_media_were_seen_the_first_counts_until_they_are():
    df3 = tapped()
    assert handed(df3, report(1), **THIRD) == [report(1)]
    assert handed(df3, report(2), **BEHIND_NAT) == []
    media(df3, clear(1), **MEDIA_BEHIND_NAT)
    assert handed(df3, report(3), **BEHIND_NAT) == [report(3)]
    assert handed(df3, report(4), **THIRD) == [report(2)], "it waited for this to be known"
    media(df3, clear(2))
    assert handed(df3, report(5), **BEHIND_NAT) == [], "the named source was seen"
    assert handed(df3, report(6), **OWN_PORT) == [report(6)]


def test_many_forged_ones_do_not_become_believed_by_their_share():
    df3 = tapped()
    media(df3, clear(1), **MEDIA_BEHIND_NAT)
    assert handed(df3, *(report(number, 9) for number in range(100)), **THIRD) == [] and ends(df3) == []


def test_what_is_under_way_at_the_end_counts_when_its_stream_did():
    df3 = tapped()
    assert handed(df3, report(1), **OWN_PORT) == [report(1)]
    df3.close("x", DIALOG, Instant(SECOND, 0), linger=True)
    assert handed(df3, report(2), **OWN_PORT) == [report(2)]
    assert handed(df3, report(3)) == [], "the same SSRC from another port"
    assert handed(df3, report(4, 9), **OWN_PORT) == []
    assert dropped(df3) == {"foreign": 1}


# Several calls at one place


def two(first, second, other: DialogId = OTHER) -> ContentMediation:
    """Task a on one call, b on another, with these flows; that of b has its own keys."""
    df3 = ContentMediation()
    df3.plan(structs.replace(plan(flows=(first,)), xid="a"), NOW)
    contexts = (context(),) if second.secure else ()
    df3.plan(structs.replace(plan(*contexts, flows=(second,)), xid="b", dialog=other, cin=2), NOW)
    return df3


def of(df3: ContentMediation, payload: bytes, to: Endpoint = RTCP, **source) -> list[str]:
    return sorted(each.stream.xid for each in df3.packets(packets(payload, to=to, **source)))


ELSEWHERE = Endpoint("10.0.0.9", 4000)
THEIRS = structs.replace(flow(secure=False), expected_source=ELSEWHERE, control_source=Endpoint("10.0.0.9", 4011))


def test_each_agency_gets_that_of_its_own_call():
    df3 = two(structs.replace(flow(secure=False), control_source=Endpoint("10.0.0.1", 4001)), THEIRS)
    assert of(df3, report(), source="10.0.0.1", port=4001) == ["a"]
    assert of(df3, report(), source="10.0.0.9", port=4011) == ["b"]
    assert of(df3, report(), source="10.0.0.9", port=4000) == ["b"], "multiplexed"
    assert of(df3, report(), source="10.0.0.9", port=4012) == [], "the address alone tells nothing"
    assert of(df3, report(), **THIRD) == []


def test_that_of_an_encrypted_call_is_no_content_of_one_in_clear():
    df3 = two(flow(secure=False), structs.replace(flow(), expected_source=ELSEWHERE))
    (wire,) = secured(report())
    assert of(df3, wire, source="10.0.0.9") == ["b"]
    assert of(df3, wire[:-1] + b"\0", source="10.0.0.9") == []


@pytest.mark.parametrize(("payload", "to"), [(report(), RTCP), (clear(1), CALLEE)], ids=["RTCP", "RTP"])
def test_calls_of_two_tasks_that_name_one_source_cannot_be_told_apart(payload, to):
    df3 = two(flow(secure=False), flow(secure=False))
    assert of(df3, payload, to=to) == []
    forks = two(flow(secure=False), flow(secure=False), other=FORK)
    assert of(forks, payload, to=to) == ["a", "b"], "one call"


# Keys


def test_what_comes_before_the_keys_waits_with_the_media():
    df3 = tapped(secure=True, keys=False, awaiting=True)
    wire = secured(report(1), report(2))
    for number, rtp in enumerate(protected(2)):
        at = SECOND + 10 * number
        assert df3.packets(packets(rtp, at=at) + packets(wire[number], to=RTCP, at=at + 5, **OWN_PORT)) == []
    assert df3.look("x", DIALOG).held == 4
    content = df3.plan(plan(context()), NOW)
    assert [each.payload for each in content] == [clear(1), report(1), clear(2), report(2)]
    assert dropped(df3) == {}


def test_what_waits_is_bounded():
    df3 = tapped(secure=True, keys=False, awaiting=True, limits=Df3Limits(held_packets=2))
    handed(df3, *secured(report(1), report(2), report(3)))
    assert dropped(df3) == {"too_many_held": 1}
    assert [each.payload for each in df3.plan(plan(context()), NOW)] == [report(1), report(2)]


@pytest.mark.parametrize("keys", [True, False])
def test_what_no_key_opens_goes_over_as_captured_when_that_is_wanted(keys):
    df3 = tapped(secure=True, keys=keys, encrypted=True)
    wire = [each[:-1] + bytes([each[-1] ^ 1]) for each in secured(report(1), report(2))]
    assert handed(df3, *wire, **OWN_PORT) == wire
    assert handed(df3, wire[0], **THIRD) == []
    assert df3.take_failures() == [], "nothing is said of the media"
    assert ends(df3) == []
    (finished,) = df3.take_finished()
    assert [(each.control, each.packets, each.encrypted) for each in finished.streams] == [(True, 3, 2)]


def test_where_it_is_not_wanted_it_is_counted_and_told():
    df3 = tapped(secure=True, keys=False)
    assert handed(df3, *secured(report())) == [] and dropped(df3) == {"rtcp_failed": 1}


@pytest.mark.parametrize("keys", [True, False])
def test_in_clear_beside_encrypted_media_it_is_named_so_and_nothing_is_missing(keys):
    """As of telephones that encrypt their media alone: no key could open it, and no tag says whose it is."""
    df3 = tapped(secure=True, keys=keys)
    heard = media(df3, *protected(2))
    assert handed(df3, report(1), **OWN_PORT) == [] and handed(df3, report(2), to=CALLEE) == []
    assert dropped(df3) == {"rtcp_in_clear": 2}
    assert all(each.auth_failed == 0 and not each.control for each in df3.look("x", DIALOG).streams)
    assert handed(df3, *secured(report(3)), **OWN_PORT) == ([report(3)] if keys else [])
    ends(df3)
    missing = [each.reason for each in df3.take_failures() if each.missing]
    assert missing == [] if keys else (heard == [] and len(missing) == 1)


def test_in_clear_before_the_keys_come_and_while_the_dialog_ends():
    df3 = tapped(secure=True, keys=False, awaiting=True)
    assert handed(df3, report(1)) == [] and df3.look("x", DIALOG).held == 1
    assert df3.plan(plan(context()), NOW) == [] and dropped(df3) == {"rtcp_in_clear": 1}
    assert handed(df3, *secured(report(2))) == [report(2)]
    df3.close("x", DIALOG, Instant(SECOND, 0), linger=True)
    assert handed(df3, report(3)) == [] and dropped(df3) == {"rtcp_in_clear": 2}


def test_in_clear_it_goes_over_as_captured_where_that_is_wanted():
    df3 = tapped(secure=True, encrypted=True)
    assert handed(df3, report(1), **OWN_PORT) == [report(1)]
    (stream,) = df3.look("x", DIALOG).streams
    assert (stream.auth_failed, stream.unopened, stream.encrypted, stream.decrypted) == (0, 1, 1, 0)


def test_in_clear_from_elsewhere_it_does_not_wait_to_be_missed():
    """Also where SRTP goes over as captured, and where SRTCP of its sender was opened."""
    df3 = tapped(secure=True, encrypted=True)
    assert len(media(df3, *protected(2))) == 2
    assert handed(df3, *secured(report(1)), **OWN_PORT) == [report(1)]
    assert handed(df3, *(report(number) for number in range(2, 62)), **THIRD) == []
    assert handed(df3, report(62), **OWN_PORT) == [report(62)] and ends(df3) == []
    (finished,) = df3.take_finished()
    assert finished.dropped == {"rtcp_in_clear": 60} and df3.take_failures() == []


@pytest.mark.parametrize("count", [10, 60])
def test_as_captured_from_where_the_media_turn_out_to_come_from(count):
    """Before it is known it waits: media from an address that the session does not name are believed late."""
    df3 = tapped(secure=True, keys=False, encrypted=True)
    (wire,) = secured(report())
    found = handed(df3, wire, **BEHIND_NAT) + media(df3, *protected(count), **MEDIA_BEHIND_NAT)
    found += handed(df3, wire[:8] + b"forged" + wire[14:], **THIRD)
    assert sorted(found + ends(df3)) == sorted([wire, *protected(count)])


def test_that_a_key_opened_its_media_speaks_for_it():
    df3 = tapped(secure=True, encrypted=True)
    assert len(media(df3, *protected(1), **MEDIA_BEHIND_NAT)) == 1
    spoilt = secured(report())[0][:-1] + b"\0"
    assert handed(df3, spoilt, **BEHIND_NAT) == [spoilt] and handed(df3, spoilt, **THIRD) == []


def test_forged_ones_keep_out_only_each_other():
    df3 = tapped(secure=True, encrypted=True, limits=Df3Limits(streams_of_a_destination=4))
    first, second = secured(report(1), report(2))
    assert handed(df3, first, **OWN_PORT) == [report(1)]
    assert len(handed(df3, *(report(0, ssrc) + bytes(14) for ssrc in range(100)), **OWN_PORT)) == 100
    assert handed(df3, second, **OWN_PORT) == [report(2)]
    kept = [each for each in df3.look("x", DIALOG).streams if each.proved]
    assert [each.decrypted for each in kept] == [2]


def test_a_forged_one_does_not_cost_every_key(monkeypatch):
    df3 = ContentMediation(Df3Limits(search_budget=8 * KEY_COST, search_refill=0))
    df3.plan(plan(*(structs.replace(context(), order=order) for order in range(100))), NOW)
    tried = []
    open_stream = srtp.open_stream
    monkeypatch.setattr(srtp, "open_stream", lambda *given, **more: tried.append(1) or open_stream(*given, **more))
    forged = [report(number) + bytes(14) for number in range(3)]
    assert handed(df3, *forged) == []
    assert len(tried) == 8 + 2 * LIKELIEST


# Repeated


def replays(df3: ContentMediation) -> list[int]:
    return [stream.replayed for stream in df3.look("x", DIALOG).streams if stream.control]


@pytest.mark.parametrize("media_first", [False, True])
def test_srtcp_that_was_here_before_is_refused_and_counted(media_first):
    df3 = tapped(secure=True)
    wire = secured(report(1), report(2), report(3))
    if media_first:
        assert len(media(df3, *protected(2))) == 2
    assert handed(df3, wire[0], wire[1], wire[0], wire[1]) == [report(1), report(2)]
    media(df3, *protected(3)[2:])
    assert handed(df3, wire[0], wire[2], wire[1]) == [report(3)]
    assert replays(df3) == [4]
    (stream,) = [each for each in df3.look("x", DIALOG).streams if each.control]
    assert (stream.packets, stream.decrypted, dropped(df3)) == (7, 3, {})


def test_srtcp_of_a_former_key_is_refused_too_when_it_comes_again():
    df3 = tapped(secure=True)
    first, second = secured(report(1), report(2))
    assert handed(df3, first) == [report(1)]
    other = srtp.MasterKey(b"k" * 16, b"s" * 14)
    newer = structs.replace(context(), order=2, key=structs.replace(context().key, master=other))
    df3.plan(plan(newer), NOW)
    third = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, other).protect_rtcp(report(3))
    assert handed(df3, third, first, second, third) == [report(3), report(2)]
    assert replays(df3) == [2]


def test_senders_of_srtcp_are_told_apart():
    df3 = tapped(secure=True)
    sender = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(*MASTER))
    wire = [sender.protect_rtcp(report(0, ssrc)) for ssrc in range(1, 5)]
    assert len(handed(df3, *wire)) == 4
    assert handed(df3, *wire) == [] and replays(df3) == [1, 1, 1, 1]

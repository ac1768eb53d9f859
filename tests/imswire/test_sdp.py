"""Session descriptions: media with what holds for them, key management by RFC 4567, pairs by position."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sdp

SESSION = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
AUDIO = b"m=audio 4000 RTP/SAVP 0 8 96 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
VIDEO = b"m=video 4002/2 RTP/AVP 97\r\nc=IN IP6 2001:db8::1/127\r\na=rtpmap:97 H264/90000\r\na=sendonly\r\n"
KEY = b"a=key-mgmt:mikey " + b64encode(b"session") + b"\r\n"
OWN = b"a=key-mgmt: mikey " + b64encode(b"media") + b"\r\n"


def test_what_a_description_says():
    description = sdp.parse(SESSION + b"a=recvonly\r\n" + AUDIO + VIDEO)
    audio, video = description.media
    assert description.origin == "- 1 1 IN IP4 10.0.0.1" and description.connection == "10.0.0.1"
    assert (audio.kind, audio.port, audio.proto, audio.formats) == ("audio", 4000, "RTP/SAVP", ("0", "8", "96", "101"))
    assert audio.codecs[0] == sdp.Codec("PCMU", 8000) and audio.codecs[96] == sdp.Codec("opus", 48000, 2)
    assert audio.codecs[101].name == "telephone-event"
    assert (audio.direction, video.direction) == ("recvonly", "sendonly")
    assert audio.endpoint == sdp.Endpoint("10.0.0.1", 4000) and audio.rtcp == sdp.Endpoint("10.0.0.1", 4001)
    assert (video.address, video.port_count, video.secure, audio.secure) == ("2001:db8::1", 2, False, True)


@pytest.mark.parametrize(
    ("lines", "secure"),
    [
        (b"", False),
        (b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key\r\n", True),
        (OWN, True),
        (b"a=crypto:x\r\n", False),
    ],
)
def test_keys_of_its_own_make_an_open_profile_secure(lines: bytes, secure: bool):
    """RFC 8643; keys of the session level are for the lines that have a secure profile."""
    (audio,) = sdp.parse(SESSION + KEY + AUDIO.replace(b"SAVP", b"AVP") + lines).media
    assert audio.secure is secure


def test_line_feeds_unknown_lines_and_rubbish_in_attributes():
    text = (SESSION + b"x=unknown\r\n\r\n" + AUDIO).replace(b"\r\n", b"\n")
    text += b"a=rtpmap:x\na=rtpmap:1000 A/8000\na=rtpmap:98 B/0\na=rtpmap:99\na=rtcp:x\na=candidate:1 1\na=crypto:x\n"
    (audio,) = sdp.parse(text).media
    assert set(audio.codecs) == {0, 8, 96, 101}
    assert audio.candidates == () and audio.crypto == ()


def test_media_level_key_management_overrides_the_session_level():
    description = sdp.parse(SESSION + KEY + AUDIO + AUDIO + OWN + VIDEO)
    first, second, plain = description.media
    assert first.key_mgmt == (sdp.KeyMgmt("mikey", b"session", "session"),)
    assert second.key_mgmt == (sdp.KeyMgmt("mikey", b"media", "media"),)
    assert plain.key_mgmt == ()


@pytest.mark.parametrize("text", [b"mikey", b"mikey !!", b"mikey \xff"])
def test_broken_key_management_costs_only_itself(text):
    (audio,) = sdp.parse(SESSION + AUDIO + b"a=key-mgmt:" + text + b"\r\n").media
    (attribute,) = audio.key_mgmt
    assert attribute.error and attribute.data == b"" and audio.port == 4000


def test_hold_and_refusal():
    held = sdp.parse(SESSION.replace(b"10.0.0.1\r\nt", b"0.0.0.0\r\nt") + AUDIO).media[0]
    assert held.endpoint is None and not held.rejected
    refused = sdp.parse(SESSION + AUDIO.replace(b"4000", b"0")).media[0]
    assert refused.endpoint is None and refused.rejected and refused.rtcp is None
    bundled = sdp.parse(SESSION + AUDIO.replace(b"4000", b"0") + b"a=bundle-only\r\n").media[0]
    assert not bundled.rejected


def test_rtcp():
    def rtcp(*lines: bytes, audio: bytes = AUDIO):
        media = sdp.parse(SESSION + audio + b"".join(line + b"\r\n" for line in lines)).media[0]
        return media.rtcp, media.rtcp_mux

    assert rtcp(b"a=rtcp:5000") == (sdp.Endpoint("10.0.0.1", 5000), False)
    assert rtcp(b"a=rtcp:5000 IN IP4 10.0.0.9") == (sdp.Endpoint("10.0.0.9", 5000), False)
    assert rtcp(b"a=rtcp:0") == (sdp.Endpoint("10.0.0.1", 4001), False)
    assert rtcp(b"a=rtcp-mux") == (sdp.Endpoint("10.0.0.1", 4001), True)
    assert rtcp(b"a=rtcp-mux", b"a=rtcp-mux-only") == (sdp.Endpoint("10.0.0.1", 4000), True)
    assert rtcp(audio=AUDIO.replace(b"4000", b"65535"))[0] is None


def test_candidates_and_crypto():
    (audio,) = sdp.parse(
        SESSION
        + AUDIO
        + b"a=mid:a1\r\na=candidate:1 1 UDP 2130706431 10.1.1.1 8998 typ host\r\n"
        + b"a=candidate:2 2 UDP 1 10.1.1.1 8999 typ host\r\na=candidate:3 1 TCP 1 10.1.1.1 9 typ host\r\n"
        + b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4;inline:x KDR=1\r\n"
    ).media
    assert audio.mid == "a1" and audio.candidates == (sdp.Endpoint("10.1.1.1", 8998),)
    (crypto,) = audio.crypto
    assert (crypto.tag, crypto.suite, crypto.session_params) == (1, "AES_CM_128_HMAC_SHA1_80", ("KDR=1",))
    assert len(crypto.key_params) == 2 and "c2VjcmV0" not in repr(crypto)


def test_pairs_by_position():
    offer = sdp.parse(SESSION + AUDIO + VIDEO + VIDEO)
    answer = sdp.parse(SESSION + AUDIO + VIDEO.replace(b"4002", b"0"))
    first, second, third = sdp.pair(offer, answer)
    assert first.live and not second.live and not third.live and third.answer is None


@pytest.mark.parametrize(
    ("octets", "line"),
    [
        (b"", 1),
        (b"v=1\r\n", 1),
        (b"v=0\r\nrubbish\r\n", 2),
        (b"v=0\r\nm=audio 1 RTP/AVP\r\n", 2),
        (b"v=0\r\nm=audio x RTP/AVP 0\r\n", 2),
        (b"v=0\r\nm=audio 99999 RTP/AVP 0\r\n", 2),
        (b"v=0\r\nm=audio 1/x RTP/AVP 0\r\n", 2),
        (b"v=0\r\nc=IN IP4\r\n", 2),
        (b"v=0\r\nc=IN\r\n", 2),
        (b"v=0\r\nm=audio 0\r\n", 2),
        (b"v=0\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 100, 66),
        (b"v=0\r\n" + b"a=x\r\n" * 3000, 2000),
        (b"v=0\r\n" + b"a=" + b"x" * 70_000, 1),
    ],
)
def test_errors_name_the_line(octets, line):
    with pytest.raises(sdp.SdpError) as caught:
        sdp.parse(octets)
    assert caught.value.line == line and str(caught.value).startswith(f"line {line}: ")


@given(st.lists(st.sampled_from([SESSION, AUDIO, VIDEO, KEY, OWN, b"a=x\r\n", b"\xff\r\n"]), max_size=6), st.data())
def test_mutations_raise_nothing_else(parts, data):
    octets = bytearray(SESSION + b"".join(parts))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(octets) - 1))
        octets[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        for line in sdp.parse(bytes(octets)).media:
            assert line.index >= 0 and (line.rejected or line.port >= 0)
    except sdp.SdpError as error:
        assert error.reason


def test_addresses_of_other_networks_are_none_to_send_to():
    """RFC 7195 7.1: a call over the telephone network beside one over IP."""
    circuit = b"m=audio 9 PSTN -\r\nc=PSTN E164 +441134960123\r\n"
    first, second = sdp.parse(SESSION + AUDIO + circuit).media
    assert (first.address, second.address, second.endpoint, second.rtcp) == ("10.0.0.1", None, None, None)
    assert sdp.parse(b"v=0\r\nc=XX IP4 x\r\n").connection is None


def test_a_refused_line_may_have_lost_its_formats():
    first, second = sdp.parse(SESSION + b"m=video 0 RTP/AVP\r\n" + AUDIO).media
    assert first.rejected and first.formats == () and second.port == 4000


def test_zeros_before_a_port_and_base64_without_padding():
    description = SESSION + b"m=audio 0004000 RTP/SAVP 0\r\na=key-mgmt:mikey bWVkaQ\r\na=key-mgmt:mikey bWVka\r\n"
    (audio,) = sdp.parse(description).media
    assert audio.port == 4000 and [(each.data, bool(each.error)) for each in audio.key_mgmt] == [
        (b"medi", False),
        (b"", True),
    ]

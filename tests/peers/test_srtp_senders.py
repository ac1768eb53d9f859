"""ffmpeg and GStreamer send SRTP over loopback; every packet is opened, and the audio is what was sent."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import srtp

pytestmark = pytest.mark.peer
KEY = bytes(range(30))
MASTER = srtp.MasterKey(KEY[:16], KEY[16:])
Peer = Callable[[str], Path]


def received(command: Callable[[int], list[str]], packets: int) -> list[bytes]:
    """RTP that a program sends to a port of ours; at most ``packets``, at most 20 s."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        ours.bind(("127.0.0.1", 0))
        ours.settimeout(1)
        program = subprocess.Popen(command(ours.getsockname()[1]), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        found: list[bytes] = []
        until = time.monotonic() + 20
        try:
            while len(found) < packets and time.monotonic() < until:
                try:
                    packet = ours.recv(65_535)
                except TimeoutError:
                    if program.poll() is not None:
                        break
                    continue
                if not srtp.is_rtcp(packet):
                    found.append(packet)
        finally:
            program.kill()
            program.communicate()
    return found


def opened(packets: list[bytes], policy: srtp.Policy) -> list[bytes]:
    ssrc = srtp.rtp_header(packets[0]).ssrc
    fast = srtp.open_stream(policy, MASTER, ssrc)
    reference = srtp.open_stream(policy, MASTER, ssrc, engine="reference")
    clear = [fast.unprotect(packet) for packet in packets]
    assert clear == [reference.unprotect(packet) for packet in packets]
    assert all(isinstance(packet, bytes) for packet in clear)
    return clear


@pytest.mark.parametrize(
    ("suite", "policy"),
    [
        ("AES_CM_128_HMAC_SHA1_80", srtp.AES_CM_128_HMAC_SHA1_80),
        ("AES_CM_128_HMAC_SHA1_32", srtp.AES_CM_128_HMAC_SHA1_32),
    ],
)
def test_ffmpeg(peer: Peer, tmp_path, suite, policy):
    ulaw = bytes(range(256)) * 64
    (tmp_path / "audio.ul").write_bytes(ulaw)

    def command(port: int) -> list[str]:
        return [
            str(peer("ffmpeg")), "-nostdin", "-re", "-f", "mulaw", "-ar", "8000", "-ac", "1",
            "-i", str(tmp_path / "audio.ul"), "-c:a", "copy", "-f", "rtp", "-payload_type", "0",
            "-srtp_out_suite", suite, "-srtp_out_params", base64.b64encode(KEY).decode(),
            f"srtp://127.0.0.1:{port}",
        ]  # fmt: skip

    clear = opened(received(command, 12), policy)
    sent = b"".join(srtp.rtp_payload(packet, srtp.rtp_header(packet)) for packet in clear)
    assert len(clear) >= 5 and sent == ulaw[: len(sent)]


@pytest.mark.parametrize(
    ("auth", "policy"),
    [("hmac-sha1-80", srtp.AES_CM_128_HMAC_SHA1_80), ("hmac-sha1-32", srtp.AES_CM_128_HMAC_SHA1_32)],
)
def test_gstreamer(peer: Peer, auth, policy):
    def command(port: int) -> list[str]:
        return [
            str(peer("gst-launch-1.0")), "audiotestsrc", "wave=silence", "num-buffers=60", "is-live=true",
            "!", "audio/x-raw,rate=8000,channels=1", "!", "mulawenc", "!", "rtppcmupay", "!",
            "srtpenc", f"key={KEY.hex()}", "rtp-cipher=aes-128-icm", f"rtp-auth={auth}",
            "rtcp-cipher=aes-128-icm", "rtcp-auth=hmac-sha1-80", "!",
            "udpsink", "host=127.0.0.1", f"port={port}",
        ]  # fmt: skip

    clear = opened(received(command, 40), policy)
    assert len(clear) >= 20
    # Silence is 0xff in u-law.
    assert all(set(srtp.rtp_payload(packet, srtp.rtp_header(packet))) == {0xFF} for packet in clear)

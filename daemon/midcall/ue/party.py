"""One end of a simulated call: addresses, media lines, and the RTP that it sends."""

from __future__ import annotations

from collections.abc import Iterator

from imswire import g711, inet, srtp
from midcall.ue import tunes
from midcall.ue.ticket import TicketUser

PCMU, PCMA, H264 = 0, 8, 96
FRAME_NS = 20_000_000


class Sender:
    """RTP of one SSRC: clear packets of a tune (or of video octets), protected when there is a key."""

    def __init__(self, ssrc: int, payload_type: int, tune: tuple[float, ...], seq: int = 1_000) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.seq = seq
        self.timestamp = 160 * seq
        self.protector: srtp.Protector | None = None
        self._samples: Iterator[bytes] = tunes.frames(tune)
        self._first = True

    def key(self, policy: srtp.Policy, master: srtp.MasterKey, *, roc: int = 0, mki: bool = False) -> None:
        """Protect what follows."""
        self.protector = srtp.Protector(policy, master, roc, mki=mki)

    def rekey(self, policy: srtp.Policy, master: srtp.MasterKey, *, mki: bool = False) -> None:
        """Another key; the rollover counter goes on."""
        roc = 0 if self.protector is None else self.protector.roc
        self.key(policy, master, roc=roc, mki=mki)

    def packet(self) -> tuple[bytes, bytes]:
        """The next packet: in clear, and as it is sent."""
        marker = 0x80 if self._first else 0
        self._first = False
        clear = b"".join(
            (
                bytes((0x80, marker | self.payload_type)),
                self.seq.to_bytes(2, "big"),
                (self.timestamp & 0xFFFFFFFF).to_bytes(4, "big"),
                self.ssrc.to_bytes(4, "big"),
                self._payload(),
            )
        )
        self.seq = (self.seq + 1) & 0xFFFF
        self.timestamp += 160 if self.payload_type != H264 else 1_800
        return clear, clear if self.protector is None else self.protector.protect(clear)

    def _payload(self) -> bytes:
        if self.payload_type == H264:
            return self.seq.to_bytes(2, "big") * 500
        samples = next(self._samples)
        return g711.encode_alaw(samples) if self.payload_type == PCMA else g711.encode_ulaw(samples)


class Party:
    """A user agent with its ticket user and its media lines (audio first, then video)."""

    def __init__(
        self,
        user: TicketUser,
        address: str,
        *,
        tag: str,
        sip_port: int = 5060,
        rtp_port: int = 40_000,
        tune: tuple[float, ...] = tunes.RISING,
        ssrc: int = 0x1000,
        codec: int = PCMU,
        video: bool = False,
        seq: int = 1_000,
    ) -> None:
        self.user = user
        self.address = address
        self.packed = inet.pack(address)
        self.tag = tag
        self.sip = (self.packed, sip_port)
        self.rtp_port = rtp_port
        self.video = video
        self.codec = codec
        self.tune = tune
        self.senders = [Sender(ssrc, codec, tune, seq)]
        if video:
            self.senders.append(Sender(ssrc + 1, H264, tune, seq))

    @property
    def uri(self) -> str:
        return self.user.uri

    def rtp(self, line: int = 0) -> tuple[bytes, int]:
        """Where the RTP of an m-line goes."""
        return self.packed, self.rtp_port + 2 * line

    def sdp(
        self,
        key_mgmt: list[str | None],
        *,
        session_level: bool = True,
        version: int = 1,
        crypto: list[list[str]] | None = None,
        **options: str,
    ) -> str:
        """A session description; ``key_mgmt`` are base64 messages, one a level that has its own.

        ``crypto`` are the values of a=crypto of each line.

        ``options``: direction (of all lines), proto (of all lines), address (instead of its own).
        """
        kind = "IP6" if ":" in self.address else "IP4"
        address = options.get("address", self.address)
        proto = options.get("proto", "RTP/SAVP")
        lines = [
            "v=0",
            f"o=- {self.rtp_port} {version} IN {kind} {self.address}",
            "s=-",
            f"c=IN {kind} {address}",
            "t=0 0",
        ]
        if session_level and key_mgmt and key_mgmt[0]:
            lines.append(f"a=key-mgmt:mikey {key_mgmt[0]}")
        name = "PCMA" if self.codec == PCMA else "PCMU"
        media = [(f"m=audio {self.rtp_port} {proto} {self.codec}", f"a=rtpmap:{self.codec} {name}/8000")]
        if self.video:
            media.append((f"m=video {self.rtp_port + 2} {proto} {H264}", f"a=rtpmap:{H264} H264/90000"))
        for place, (line, mapping) in enumerate(media):
            lines += [line, mapping]
            if "direction" in options:
                lines.append(f"a={options['direction']}")
            if not session_level and place < len(key_mgmt) and key_mgmt[place]:
                lines.append(f"a=key-mgmt:mikey {key_mgmt[place]}")
            if crypto is not None:
                lines += [f"a=crypto:{value}" for value in crypto[place]]
        return "\r\n".join(lines) + "\r\n"

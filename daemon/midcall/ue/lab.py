"""A lab: users, a KMS that knows them, and captures of their calls, the same from one seed in every run."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from imswire import pcap
from imswire.mikey.exchange import SUITE_128, Suite
from midcall.ue import tunes
from midcall.ue.party import Party
from midcall.ue.ticket import TicketUser
from midcall.ue.wire import Wire

# 2025-01-01T00:00:00Z in ns.
BEGIN = 1_735_689_600_000_000_000
KMS_IDENTITY = "kms.example.com"
DOMAIN = "example.com"

Draw = Callable[[int], bytes]


def seeded(seed: str) -> Draw:
    """Octets that look random and are the same in every run: for labs only, never for keys that guard anything."""
    count = 0

    def draw(octets: int) -> bytes:
        nonlocal count
        out = b""
        while len(out) < octets:
            out += sha256(f"{seed}/{count}".encode()).digest()
            count += 1
        return out[:octets]

    return draw


def user(
    name: str, draw: Draw, suite: Suite = SUITE_128, *, domain: str = DOMAIN, kms: str = KMS_IDENTITY
) -> TicketUser:
    """sip:NAME@DOMAIN with a key of its own."""
    psk_id = f"psk-{name}".encode()
    return TicketUser(f"sip:{name}@{domain}", psk_id, draw(suite.octets), kms, draw, suite)


def party(user_: TicketUser, number: int, **options: object) -> Party:
    """A user agent on 10.0.0.NUMBER with an SSRC and tag of its own."""
    options.setdefault("tag", f"tag{number}")
    options.setdefault("ssrc", 0x5500_0000 + number * 16)
    options.setdefault("tune", tunes.RISING if number % 2 else tunes.FALLING)
    return Party(user_, str(options.pop("address", f"10.0.0.{number}")), **options)  # type: ignore[arg-type]


def write_capture(wire: Wire, link_type: int = 1) -> bytes:
    """The frames as a pcap file."""
    return pcap.file_header(link_type) + b"".join(pcap.record(time, frame) for time, frame in wire.in_order())

"""Faults on demand, for tests of deliverers: nothing here is for a receiver that is to receive."""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import StrEnum

from msgspec import Struct

SLOW_OCTETS = 1 << 14
SLOW_PAUSE = 0.25
RESET_AFTER = 1 << 12
GARBAGE = b"\x30\x84\xff\xff\xff\xffthis is no PS-PDU"


class Kind(StrEnum):
    """What goes wrong."""

    SLOW_READ = "slow-read"  # 64 kB a second
    RESET_INSIDE_PDU = "reset-inside-pdu"  # RST after 4 kB, the last PS-PDU incomplete
    ACCEPT_THEN_CLOSE = "accept-then-close"  # after the handshake
    NO_KEEPALIVE_ANSWER = "no-keepalive-answer"
    NO_ACKNOWLEDGEMENT = "no-acknowledgement"  # accepted as an option, never given
    DECLINE_OPTIONS = "decline-options"
    REFUSE_TLS = "refuse-tls"  # closed before the handshake
    GARBAGE = "garbage"  # no PS-PDU comes back


class Misbehaviour(Struct):
    """A kind, and how many connections it is for (0: all)."""

    kind: Kind
    connections: int = 0

    @classmethod
    def parse(cls, text: str) -> Misbehaviour:
        """KIND or KIND:N. ValueError."""
        kind, _, count = text.partition(":")
        number = int(count) if count else 0
        if not 0 <= number <= 1_000_000:
            raise ValueError(f"{count} connections")
        return cls(Kind(kind), number)

    def applies(self, connection: int) -> Kind | None:
        """To the connection of that number, the first is 1."""
        return self.kind if not self.connections or connection <= self.connections else None


def reset(transport: asyncio.BaseTransport) -> None:
    """RST instead of FIN: what is under way is lost."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()

"""A media node of a laboratory that copies a target's packets to the DF by X3: where the DF may not tap itself."""

from __future__ import annotations

import asyncio
import secrets
import threading

from imswire import inet, x2x3
from imswire.x2x3 import Attribute, AttributeType, Direction, PayloadFormat, Pdu, PduType, X3Template
from midcall.base.x2_link import TlsPeer, X2Client
from midcall.cli.lab_calls import Place

NODE = b"media-1"
CORRELATION_OCTETS = 8
STOP_SECONDS = 5.0


class X3Node:
    """The node's end of X3, in a thread of its own; a context manager. ``copy`` is called from any thread."""

    def __init__(self, peer: TlsPeer, xid: str) -> None:
        attributes = (Attribute(AttributeType.NFID, NODE), Attribute(AttributeType.IPID, NODE))
        self._template = X3Template(
            Pdu(
                PduType.X3,
                PayloadFormat.IPV4,
                Direction.UNKNOWN,
                x2x3.xid_octets(xid),
                secrets.token_bytes(CORRELATION_OCTETS),
                attributes,
            )
        )
        self._peer = peer
        self._sequence = 0
        self._begun = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)

    def __enter__(self) -> X3Node:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._client.stop, STOP_SECONDS)
        self._thread.join()

    def copy(self, at: int, source: Place, destination: Place, payload: bytes) -> None:
        """A datagram as it went, at wall ns."""
        (src, sport), (dst, dport) = source, destination
        packet = inet.ip_packet(src, dst, inet.UDP, inet.udp(src, sport, dst, dport, payload))
        pdu = self._template.pdu(self._sequence, at, packet)
        self._sequence += 1
        self._loop.call_soon_threadsafe(self._client.put, [pdu])

    async def _run(self) -> None:
        self._client, self._loop = X2Client(self._peer), asyncio.get_running_loop()
        self._begun.set()
        await self._client.run()

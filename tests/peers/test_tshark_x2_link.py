"""The stream that a POI's client puts on the wire, keepalives and all, in the eyes of tshark's dissector 5gli."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import x2x3
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import UnixPeer, X2Client, X2LinkSettings
from tests.midcall.base.test_x2 import EVENTS
from tests.midcall.base.x2_link.world import US
from tests.peers.test_tshark_x2x3 import dissect

pytestmark = pytest.mark.peer


async def recorded(path: Path, pdus: list[bytes]) -> tuple[bytes, bytes]:
    """What a client sends and what it is answered, octet for octet, with a keepalive behind each few PDUs."""
    there, back = bytearray(), bytearray()

    async def serve(receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        splitter = x2x3.Splitter()
        while data := await receive.read(1 << 16):
            there.extend(data)
            for pdu in map(x2x3.parse, splitter.feed(data)):
                if x2x3.is_keepalive(pdu):
                    answer = x2x3.build(x2x3.acknowledgement(pdu))
                    back.extend(answer)
                    send.write(answer)
        send.close()

    server = await asyncio.start_unix_server(serve, path)
    settings = X2LinkSettings(proof_pdus=2, row_octets=1)
    client = X2Client(UnixPeer(path, US), settings=settings)
    running = asyncio.create_task(client.run())
    for pdu in pdus:
        client.put([pdu])
    client.stop(30)
    await running
    server.close()
    await server.wait_closed()
    return bytes(there), bytes(back)


def test_a_stream_of_the_client(peer: Callable[[str], Path], tmp_path):
    tshark = peer("tshark")
    encoder = Encoder(Node("cscf-1", "sip-1"))
    sent = [encoder.pdu(event) for event in EVENTS]
    there, back = asyncio.run(recorded(tmp_path / "x2", sent))
    pdus = x2x3.Splitter().feed(there)
    answers = x2x3.Splitter().feed(back)
    assert [octets for octets in pdus if octets[3] != x2x3.PduType.KEEPALIVE] == sent
    kinds = [str(octets[3]) for octets in (*pdus, *answers)]
    assert {"1", "3", "4"} <= set(kinds)
    columns = dissect(tshark, tmp_path, [*pdus, *answers], "li5g.type", "_ws.malformed", "_ws.expert.message")
    assert columns == [kinds, [], []]

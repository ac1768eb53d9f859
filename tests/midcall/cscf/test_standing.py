"""What stands before the proxy unread, by which it knows that it cannot keep up (RFC 8289 3.1)."""

from __future__ import annotations

import asyncio

from tests.midcall.cscf import live
from tests.midcall.cscf.stage import request
from tests.midcall.cscf.test_service import Site

MANY = 2_000


def test_more_comes_by_a_connection_than_is_read(tmp_path):
    """It is late by what waits in the kernel, until all of that is read."""
    seen: list[int] = []

    async def look(streams) -> None:
        while True:
            seen.append(streams.waited())
            await asyncio.sleep(0)

    async def go() -> None:
        async with live.proxy(Site(tmp_path)) as proxy, live.stream(proxy.port) as stream:
            streams = proxy.service.worker.streams
            looking = asyncio.create_task(look(streams))
            stream.writer.write(request("ACK", "sip:x@far.example").encode() * MANY)  # nobody answers those
            stream.writer.write(request("MESSAGE", "sip:nobody@home.example", call_id="last").encode())
            await stream.until(b"SIP/2.0 404")
            looking.cancel()
            assert max(seen) > 0 and streams.waited() == 0

    live.run(go())

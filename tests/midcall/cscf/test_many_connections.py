"""Ten thousand connections to one worker, each with half a message: good calls beside them, and what it costs."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from tests.midcall.cscf import live
from tests.midcall.cscf.stage import request
from tests.midcall.cscf.test_service import SECONDS
from tests.peers.test_proxy import running as program
from tests.peers.test_proxy import site_of, wait_for

pytestmark = pytest.mark.proof

CONNECTIONS = 10_000
EACH_HOST = 1_000
SPARE = 200
KILOBYTES_EACH = 24


def resident(process: int) -> int:
    """Kilobytes of memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_ten_thousand_connections(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(CONNECTIONS, hard - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def go() -> None:
        loop = asyncio.get_running_loop()
        transport, sink = await loop.create_datagram_endpoint(live.Sink, ("127.0.0.1", 0))
        command, port = site_of(tmp_path, f"sip:127.0.0.1:{sink.port}", "127.0.0.1")
        log = tmp_path / "cscf.log"
        with program(command, log) as process:
            await loop.run_in_executor(None, wait_for, lambda: '"ready"' in log.read_text(), "the proxy is ready")
            before = resident(process.pid)
            half = request("MESSAGE", "sip:bob@ims.example", body="x" * 100).encode()[:-50]
            streams: list[live.Stream] = []
            async with live.caller() as good:
                await good.good_request(port, "sip:x@ims.example")
                for number in range(wanted):
                    own = f"127.9.{number // EACH_HOST}.1"
                    made = live.Stream(*await asyncio.open_connection("127.0.0.1", port, local_addr=(own, 0)))
                    made.writer.write(half)
                    streams.append(made)
                    if number % 500 == 0:
                        await good.good_request(port, "sip:x@ims.example")
                # One more of a host that has its share, and one more than there is room for.
                async with live.stream(port, own="127.9.0.1") as one:
                    await one.until_closed()
                if wanted == CONNECTIONS:
                    async with live.stream(port, own="127.9.200.1") as one:
                        await one.until_closed()
                for _ in range(100):
                    await good.good_request(port, "sip:x@ims.example")
                grown = (resident(process.pid) - before) / wanted
                assert grown < KILOBYTES_EACH, grown
                # Each may still end its message, until it has waited for too long.
                streams[0].writer.write(b"x" * 50)
                async with asyncio.timeout(SECONDS):
                    while not any(each.method == "MESSAGE" for each in sink.got):
                        await asyncio.sleep(0.01)
                for each in streams:
                    each.writer.transport.abort()
                await good.good_request(port, "sip:x@ims.example")
        transport.close()

    try:
        live.run(go())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

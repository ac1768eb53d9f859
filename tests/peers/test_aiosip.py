"""aiosip as a foreign user agent: it registers at the proxy, calls, and is called."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path

import pytest

from tests.peers import foreign_aiosip
from tests.peers.test_proxy import free_port, proxy

pytestmark = [pytest.mark.peer, pytest.mark.proof]

SECONDS = 20
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


@pytest.fixture(autouse=True)
def installed() -> None:
    if importlib.util.find_spec("aiosip") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("aiosip is not installed: extra peers")


def test_two_agents_call_each_other(tmp_path: Path) -> None:
    async def go(port: int) -> None:
        async with asyncio.timeout(SECONDS):
            names = ("alice", "bob")
            alice, bob = (
                foreign_aiosip.Agent(name, "ims.example", ("127.0.0.1", free_port()), ("127.0.0.1", port))
                for name in names
            )
            assert await alice.register() == 200
            assert await bob.register() == 200
            assert await alice.call(bob.uri, SDP) == (200, 200)
            assert [each.method for each in bob.heard] == ["INVITE", "ACK", "BYE"]
            invite = bob.heard[0]
            # What it gets of the body has lost its line ends on its own way in: the octets between are those sent.
            assert invite.payload == SDP.replace("\r\n", "") and len(invite.headers["Via"]) == 2
            assert await bob.call(alice.uri, SDP) == (200, 200)
            assert [each.method for each in alice.heard] == ["INVITE", "ACK", "BYE"]
            for each in (alice, bob):
                each.close()

    with proxy(tmp_path, "sip:127.0.0.1:9", "127.0.0.1") as port:
        asyncio.run(go(port))

"""A call is forwarded in the same octets whether nobody is intercepted, somebody else is, or its caller is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from msgspec import structs

from midcall.config.cscf_tables import CscfCopies
from midcall.events import Instant, SipSeen, Task
from midcall.poi import PointOfInterception
from midcall.poi.shell.copies import CopyDoor
from tests.midcall.cscf.stage import SDP, request, response
from tests.midcall.cscf.test_service import SECONDS, Agent, Site, agent, running, via

KEYS = bytes(32)
_BRANCH = re.compile(rb"(127\.0\.0\.1:%d;branch=z9hG4bK)[0-9a-f]+(\.[0-9a-f.]+)")


class Poi:
    """A point of interception behind the copies; ``events`` is how many X2 events it made."""

    def __init__(self, folder: Path, *targets: str) -> None:
        self.core = PointOfInterception(KEYS, KEYS)
        self.events = self.messages = 0
        for number, target in enumerate(targets):
            self.core.arm(Task(f"00000000-0000-4000-8000-{number:012}", (target,), 0), Instant(1, 1))
        self.door = CopyDoor(folder / "poi", (), self._take, durable=False)

    def _take(self, seen: SipSeen) -> None:
        self.messages += 1
        self.events += len(self.core.sip_seen(seen))


async def one_call(alice: Agent, bob: Agent, port: int) -> list[bytes]:
    """INVITE with offer to BYE, a MESSAGE and an OPTIONS: all that either of them got, in order."""
    invite = request("INVITE", "sip:bob@far.example", "X-Odd:   a ,b", "subject: x", via=via(alice), body=SDP)
    got = []
    alice.say(invite, port)
    got.append(await bob.hears("INVITE"))
    got.append(await alice.hears(100))
    contact = f"Contact: <sip:bob@127.0.0.1:{bob.port}>"
    bob.say(response(got[0], 183, contact), port)
    got.append(await alice.hears(183))
    bob.say(response(got[0], 200, contact, "i-am:odd;\t", body=SDP), port)
    got.append(ok := await alice.hears(200))
    route, uri = f"Route: {ok.first('Record-Route')}", f"sip:bob@127.0.0.1:{bob.port}"
    alice.say(request("ACK", uri, route, branch="z9hG4bK2", via=via(alice), to_tag="b"), port)
    got.append(await bob.hears("ACK"))
    for number, method in enumerate(("MESSAGE", "OPTIONS", "BYE"), 2):
        text = request(
            method, uri, route, branch=f"z9hG4bK3{number}", via=via(alice), to_tag="b", cseq=number, body="x"
        )
        alice.say(text, port)
        got.append(asked := await bob.hears(method))
        bob.say(response(asked, 200), port)
        got.append(await alice.hears(200))
    return [each.octets for each in got]


@pytest.mark.parametrize("targets", [(), ("sip:mallory@home.example",), ("sip:alice@home.example",)])
def test_the_octets_of_a_call(tmp_path, targets):
    """Off, on for another, on for her: but for the random part of our own branch nothing differs."""
    site = Site(tmp_path)

    async def go() -> None:
        async with agent() as alice, agent() as bob:
            config = site.config(to=bob.port)
            branch = re.compile(_BRANCH.pattern % site.port)
            async with running(config):
                alone = await one_call(alice, bob, site.port)
            poi = Poi(tmp_path, *targets)
            copied = structs.replace(config, copies=CscfCopies(to=(str(tmp_path / "poi"),)))
            async with running(copied):
                seen = await one_call(alice, bob, site.port)
                async with asyncio.timeout(SECONDS):
                    while poi.messages < 10:  # each that the proxy got
                        await asyncio.sleep(0.001)
            poi.door.close()
            assert [branch.sub(rb"\1*\2", each) for each in seen] == [branch.sub(rb"\1*\2", each) for each in alone]
            assert (poi.events > 0) is (targets == ("sip:alice@home.example",))

    asyncio.run(go())

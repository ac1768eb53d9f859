"""RFC 4475 and RFC 5118 against the proxy as it runs: every message as a datagram and on a connection."""

from __future__ import annotations

import asyncio
import re

import pytest

from imswire.sip.verdict import judge
from midcall.config.cscf_tables import CscfLimits
from tests.imswire.sip.torture import TORTURE, VERDICTS, named
from tests.midcall.cscf import live
from tests.midcall.cscf.test_service import Site

GOOD = 1
"""Requests of ours beside the message."""
SHORT_WAIT = CscfLimits(message_seconds=0.05)
_VIA_PORT = re.compile(rb"(?i)\n(?:via|v)[ \t]*:[^;\r\n]*:[ \t]*([0-9]{4,5})[ \t]*[;\r\n]")


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def answer_port(octets: bytes) -> int:
    """Where the answer to a datagram goes: the port that its topmost Via names (RFC 3261 18.2.2)."""
    found = _VIA_PORT.search(octets)
    default = 5_061 if b"SIP/2.0/TLS fold" in octets else 5_060
    return int(found[1]) if found else default


class NoNames:
    """In place of a name service: every name is asked for, and none is known."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, host: str) -> None:
        self.asked.append(host)

    def close(self) -> None:
        pass


def without_names(found: live.Live) -> NoNames:
    """Messages with foreign names in Route would ask the name service of the machine."""
    names = NoNames()
    found.service.worker.resolver = names  # type: ignore[assignment]
    return names


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_as_a_datagram(site, name):
    octets, expected = (TORTURE / name).read_bytes(), VERDICTS[name]["datagram"]

    async def go() -> None:
        host = live.own_host()
        async with live.proxy(site) as proxy, live.caller() as good, live.caller(host, answer_port(octets)) as caller:
            names = without_names(proxy)
            caller.send(octets, proxy.port)
            await good.good_request(proxy.port)
            on = [each for each in proxy.sink.got if not each.call_id.startswith("good-")]
            if expected == "drop" or octets.startswith(b"SIP/"):
                assert (caller.got, on, names.asked) == ([], [], [])
                assert sum(proxy.counts[name] for name in ("foreign responses", "bad responses", "unreadable")) == 1
            elif expected == "forward":
                assert proxy.counts["forwarded"] - GOOD + len(names.asked) == 1 and set(caller.heard()) <= {100}
                assert all(named(judge(each.octets)) == "forward" for each in on)
            else:
                assert (caller.heard(), on, names.asked) == ([int(expected)], [], [])

    live.run(go())


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_on_a_connection(site, name):
    octets, expected = (TORTURE / name).read_bytes(), VERDICTS[name]["stream"]

    async def go() -> None:
        async with live.proxy(site, SHORT_WAIT) as proxy, live.caller() as good, live.stream(proxy.port) as stream:
            names = without_names(proxy)
            assert proxy.service.worker.streams is not None
            stream.writer.write(octets)
            verdict, closes = expected.partition(",")[0], expected.endswith("close")
            if verdict.isdigit():
                await stream.until(b"SIP/2.0 " + verdict.encode())
            if closes:
                await stream.until_closed()
                assert proxy.service.worker.streams.counts["broken streams"] == 1
            await good.good_request(proxy.port)
            on = [each for each in proxy.sink.got if not each.call_id.startswith("good-")]
            if expected == "wait":
                assert proxy.connections == 1 and on == [] and stream.messages == []
                await asyncio.sleep(2 * SHORT_WAIT.message_seconds)
                proxy.service.worker.streams.sweep()
                await stream.until_closed()
                assert proxy.service.worker.streams.counts["idle connections"] == 1
            elif verdict == "forward" and not octets.startswith(b"SIP/"):
                assert proxy.counts["forwarded"] - GOOD + len(names.asked) == 1 + ("more" in expected)
                assert set(stream.statuses()) <= {100} and all(named(judge(each.octets)) == "forward" for each in on)
            else:
                assert on == [] and names.asked == []
            if not closes and expected != "wait":
                assert proxy.connections == 1
                await stream.lives()

    live.run(go())

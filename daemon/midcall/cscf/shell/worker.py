"""One worker of the proxy: its core between sockets, resolver, mates and the points of interception."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from midcall.cscf.health import Health
from midcall.cscf.overload import own
from midcall.cscf.proxy import Proxy
from midcall.cscf.shell.copies import Copies
from midcall.cscf.shell.mates import Mates
from midcall.cscf.shell.names import Resolver
from midcall.cscf.shell.streams import Streams
from midcall.cscf.shell.udp import UdpDoor
from midcall.cscf.values import Alias, Found, Hop, Out, Outs, Resolve

TURN_SECONDS = 0.02
"""How exactly timers are kept."""

mono = time.monotonic_ns


class Worker:
    """Joins the parts; they are put in before it runs. A call never waits for anything that is not the call."""

    def __init__(self, proxy: Proxy, observe: Callable[[int], None], health: Health) -> None:
        self.proxy = proxy
        self._health = health
        self.udp: dict[int, UdpDoor] = {}
        self.streams: Streams | None = None
        self.mates: Mates | None = None
        self.copies: Copies | None = None
        self.resolver = Resolver(self._resolved)
        self._observe = observe
        self._turned = self._used = 0

    # In

    def message(self, octets: bytes, listener: int, hop: Hop) -> None:
        """A message that may be another worker's."""
        if self.mates is None or not self.mates.pass_on(octets, listener, hop):
            self.serve(octets, listener, hop)

    def serve(self, octets: bytes, listener: int, hop: Hop) -> None:
        """A message that is ours."""
        now = mono()
        proxy = self.proxy
        try:
            outs = proxy.message(octets, listener, hop, now)
        except Exception as error:  # noqa: BLE001 - told: it costs this message, and not the connection of many
            proxy.heeded, outs = False, []
            self._tell(error)
        asserted, heeded = proxy.asserted, proxy.heeded
        self._all(outs)
        if self.copies is not None:
            self.copies.put(octets, listener, hop, outs, now, asserted, heeded=heeded)

    def failed(self, branch: str) -> None:
        """Something could not be sent; told later, so that nothing is in the middle of something else."""
        asyncio.get_running_loop().call_soon(self._failed, branch)

    def _failed(self, branch: str) -> None:
        self._all(self.proxy.failed(branch, mono()))

    def _resolved(self, asked: Resolve, found: Found) -> None:
        self._all(self.proxy.resolved(asked, found, mono()))

    def _tell(self, error: Exception) -> None:
        """An error of our own, at which somebody's message aimed or not."""
        self.proxy.counts["faults"] += 1
        asyncio.get_running_loop().call_exception_handler({"message": "cscf: a fault", "exception": error})

    # Out

    def _all(self, outs: Outs) -> None:
        for out in outs:
            if isinstance(out, Resolve):
                self.resolver.ask(out)
            elif isinstance(out, Alias):
                if self.streams is not None:
                    self.streams.alias(out)
            elif out.hop.transport == "udp":
                if not self.udp[out.listener].send(out.octets, out.hop[1:3]) and out.branch:
                    self.failed(out.branch)
            else:
                self._by_stream(out)

    def _by_stream(self, out: Out) -> None:
        if self.mates is None or not out.hop.connection or not self.mates.send(out.octets, out.listener, out.hop):
            self.stream(out.octets, out.listener, out.hop, out.branch, out.name)

    def stream(self, octets: bytes, listener: int, hop: Hop, branch: str = "", name: str = "") -> None:
        """Send over a connection of our own."""
        if self.streams is not None:
            self.streams.send(listener, hop, octets, branch, name)
        elif branch:
            self.failed(branch)

    # Time

    async def keep_time(self) -> None:
        """Timers, until it is cancelled; how late they come is how late everything is."""
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        wanted, turns = loop.time() + TURN_SECONDS, 0
        handle: asyncio.TimerHandle

        def turn() -> None:
            nonlocal wanted, turns, handle
            late = loop.time() - wanted
            try:
                self._turn(max(0, int(late * 1e9)), turns)
            except Exception as error:  # noqa: BLE001 - whoever waits for us is told
                broken.set_exception(error)
                return
            turns += 1
            wanted = loop.time() + TURN_SECONDS
            handle = loop.call_at(wanted, turn)

        handle = loop.call_at(wanted, turn)
        try:
            await broken
        finally:
            handle.cancel()

    def _turn(self, late: int, turns: int) -> None:
        """What is due; ``late`` in ns."""
        now, used = mono(), time.thread_time_ns()
        late = own(late, used - self._used, now - self._turned)
        self._turned, self._used = now, used
        for door in self.udp.values():
            late = max(late, door.waited())
        if self.streams is not None:
            late = max(late, self.streams.waited())
        self._observe(late)
        due = self.proxy.next_deadline()
        if due is not None and due <= now:
            self._all(self.proxy.deadline(now))
            for error in self.proxy.take_faults():
                self._tell(error)
        if turns % 10 == 0:
            for uri in self._health.due(now):
                self._all(self.proxy.probe(uri, now, partial(self._health.told, uri)))
        if turns % 100 == 0 and self.streams is not None:
            self.streams.sweep()

    async def close(self) -> None:
        for door in self.udp.values():
            door.close()
        if self.streams is not None:
            await self.streams.close()
        if self.mates is not None:
            self.mates.close()
        if self.copies is not None:
            self.copies.close()
        self.resolver.close()

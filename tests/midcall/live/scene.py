"""Real calls on loopback, step by step: who takes part, and what was said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from midcall.cli.lab_calls import NETWORK, HepAgent, Loopback
from midcall.ue import lab
from midcall.ue.call import Call
from midcall.ue.party import Party
from midcall.ue.ticket import AskKms, Bundle, Held, TicketUser


class Packet(NamedTuple):
    """When it was sent (wall ns), by whom, in clear, and as it was on the wire."""

    at: int
    sender: Party
    clear: bytes
    sent: bytes

    @property
    def ssrc(self) -> bytes:
        return self.clear[8:12]


class Line(Call):
    """A call in real time; ``said`` is shared by the calls of one scene."""

    def __init__(self, scene: Scene, caller: Party, callee: Party, call_id: str, *, session_level: bool = True) -> None:
        super().__init__(scene.wire, scene.ask, caller, callee, call_id, time.time_ns(), session_level=session_level)
        self._scene = scene

    def say(self, party: Party) -> None:
        super().say(party)
        count = len(party.senders)
        clear = [each for _, _, each in self.sent[-count:]]
        sent = [datagram for _, datagram in self._scene.wire.datagrams[-count:]]
        for at, *packet in zip(self._scene.wire.media[-count:], clear, sent, strict=True):
            self._scene.said.append(Packet(at, party, *packet))

    def talk(self, seconds: float, *, only: Party | None = None) -> None:
        self.now = time.time_ns()
        super().talk(seconds, only=only)

    def connect(self, flags: str = "DEFGHNO") -> None:
        self.establish(self.ticket(flags), ringing=0)

    def ticket(self, flags: str = "DEFGHNO", *responders: str, owner: Party | None = None) -> Held:
        """For the callee, unless others may resolve it."""
        user = (owner or self.caller).user
        return user.request_ticket(self.ask, time.time_ns(), responders or (self.callee.uri,), flags)

    def invite(self, flags: str = "DEFGHNO") -> int:
        offer = self.sdp(self.caller, self.offer(self.ticket(flags)))
        return self.request("INVITE", self.caller, offer, initial=True)

    def answer(self, status: str, number: int, method: str = "INVITE", body: str | None = None) -> None:
        """With keys of its own, unless it has a body or none already."""
        self.response(status, method, number, self.callee, self.accepted() if body is None else body)

    def accepted(self) -> str:
        answer = self.sdp(self.callee, self.accept())
        self.use_keys()
        return answer

    def in_clear(self) -> None:
        """INVITE to ACK with descriptions in which no media are encrypted."""
        self.described({"proto": "RTP/AVP"})

    def described(self, options: dict[str, str]) -> None:
        """INVITE to ACK with descriptions that have no key."""
        number = self.request("INVITE", self.caller, self.sdp(self.caller, [], **options), initial=True)
        self.response("200 OK", "INVITE", number, self.callee, self.sdp(self.callee, [], **options))
        self.request("ACK", self.caller, number=number)

    def talking(self) -> None:
        self.talk(0.02)

    def caller_talks(self) -> None:
        self.talk(0.02, only=self.caller)


class SceneWire(Loopback):
    """Remembers SIP and media apart."""

    def __init__(self, agent: HepAgent) -> None:
        super().__init__(agent, threading.Event())
        self.sip: list[bytes] = []
        self.datagrams: list[tuple[tuple[bytes, int], bytes]] = []

    def open_lines(self, address: str, lines: int) -> int:
        """The first of so many even ports, one behind the other."""
        while True:
            first = self.open(address, even=True)
            try:
                for line in range(1, lines):
                    self.bind(address, first + 2 * line)
            except OSError:
                continue
            return first

    def udp(self, time: int, source: tuple[bytes, int], destination: tuple[bytes, int], payload: bytes) -> None:
        before = len(self.media)
        super().udp(time, source, destination, payload)
        if len(self.media) == before:
            self.sip.append(payload)
        else:
            self.datagrams.append((destination, payload))


class Scene:
    """Alice, Bob and Carol with addresses and numbers that nobody else has, and what they say.

    ``settle`` waits until the agency has every event so far.
    """

    def __init__(self, number: int, users: list[TicketUser], ask: AskKms, agent: HepAgent) -> None:
        self.number = number
        self.alice, self.bob, self.carol = users
        self.ask = ask
        self.wire = SceneWire(agent)
        self.said: list[Packet] = []
        self.lines: list[Line] = []
        self.settle: Callable[[], None] = lambda: None
        self._parties = 0

    def party(self, user: TicketUser, **options: object) -> Party:
        self._parties += 1
        number = 4 * self.number + self._parties
        address = str(options.setdefault("address", str(NETWORK + number)))
        lines = 2 if options.get("video") else 1
        ports = {"sip_port": self.wire.open(address), "rtp_port": self.wire.open_lines(address, lines)}
        return lab.party(user, number, **ports, **options)

    def line(self, caller: Party | None = None, callee: Party | None = None, **options: bool) -> Line:
        """Alice calls Bob."""
        call_id = f"point-{self.number}-{len(self.lines)}@example.com"
        return self._line(
            Line(self, caller or self.party(self.alice), callee or self.party(self.bob), call_id, **options)
        )

    def fork(self, first: Line, user: TicketUser) -> Line:
        """Another user to whom the same INVITE has gone."""
        other = Line(self, first.caller, self.party(user), first.call_id)
        other.bundles = [Bundle(each.suite, each.init, each._resolved) for each in first.bundles]
        return self._line(other)

    def _line(self, line: Line) -> Line:
        self.lines.append(line)
        return line

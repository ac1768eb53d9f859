"""Calls of a laboratory, live on loopback: real datagrams in real time, SIP through the proxy or copied by HEP."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from imswire import hep, inet, sip
from imswire.mikey.exchange import SUITE_128
from midcall.kms import keyfile
from midcall.ue import lab
from midcall.ue.call import SECOND, Call
from midcall.ue.party import Party
from midcall.ue.proxied import ProxiedCall
from midcall.ue.shell.kms import is_resolve
from midcall.ue.ticket import AskKms, TicketUser
from midcall.ue.wire import Wire

TPK_ID = "tpk-lab"
RECEIVE_SECONDS = 5.0
FRAME_SECONDS = 0.02
MAX_DATAGRAM = 65_535
# UEs have addresses of their own behind 127.0.0.1: the kernel takes all of 127.0.0.0/8 for loopback.
NETWORK = IPv4Address("127.0.1.0")

Tell = Callable[[str], None]
Place = tuple[bytes, int]
Copy = Callable[[int, Place, Place, bytes], None]
"""Told of a datagram: when it went (wall ns), from where, to where, and what it held."""


def untold(_: str) -> None:
    """To whom nothing is told."""


class Stopped(Exception):
    """The calls are to end."""


class Users:
    """Subscribers of one KMS, two for each call, with keys that are drawn anew."""

    def __init__(self, calls: int) -> None:
        self.draw = secrets.token_bytes
        self._tpk = self.draw(SUITE_128.octets)
        self.pairs: list[tuple[TicketUser, TicketUser]] = [
            (lab.user(f"alice{number}", self.draw), lab.user(f"bob{number}", self.draw)) for number in range(calls)
        ]

    def key_file(self) -> str:
        """KEYS.toml of their KMS."""
        users = [
            {"identity": each.uri, "psk_id": each.psk_id.decode(), "psk": each.psk}
            for pair in self.pairs
            for each in pair
        ]
        return keyfile.example(lab.KMS_IDENTITY, {TPK_ID: self._tpk}, users)


class HepAgent:
    """Sends copies of SIP messages, as a capture agent beside a proxy does. From any thread."""

    def __init__(self, port: int, key: bytes) -> None:
        self._to = ("127.0.0.1", port)
        self._key = key
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def copy(self, at: int, source: Place, destination: Place, payload: bytes) -> None:
        """One message that went from an address and port to another, at wall ns."""
        ends = (source[0], destination[0], source[1], destination[1])
        self._socket.sendto(hep.build(hep.Hep(*ends, payload, at, key=self._key)), self._to)

    def close(self) -> None:
        self._socket.close()


class Loopback(Wire):
    """The sockets of one call. Each datagram goes when its time has come, and is received at the other end.

    SIP goes to ``proxy`` when there is one, else it is copied to ``agent``; media to ``media_copy`` when there is one.
    ``frames`` has them with the times at which they went, ``media`` those of packets that are not SIP; ``pause`` is the
    longest time between two of these on one way, in ns.
    """

    def __init__(self, agent: HepAgent | None, stop: threading.Event, proxy: Place | None = None) -> None:
        super().__init__()
        self._proxy = proxy
        self.media: list[int] = []
        self.pause = 0
        self.media_copy: Copy | None = None
        self._agent = agent
        self._stop = stop
        self._sockets: dict[Place, socket.socket] = {}
        self._last: dict[Place, int] = {}

    def open(self, address: str, *, even: bool = False) -> int:
        """A port at an address, which receives from now on; RTP has an even one. OSError."""
        passed: list[Place] = []
        try:
            while True:
                place = self.bind(address)
                if not even or place[1] % 2 == 0:
                    return place[1]
                passed.append(place)
        finally:
            for each in passed:
                self._sockets.pop(each).close()

    def bind(self, address: str, port: int = 0) -> Place:
        """The port, or any (0), which receives from now on. OSError."""
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.bind((address, port))
        except OSError:
            bound.close()
            raise
        bound.settimeout(RECEIVE_SECONDS)
        place = inet.pack(address), int(bound.getsockname()[1])
        self._sockets[place] = bound
        return place

    def udp(self, time: int, source: Place, destination: Place, payload: bytes) -> None:
        self.until(time)
        sender, receiver = self._sockets[source], self._sockets[destination]
        at = _now()
        sender.sendto(payload, receiver.getsockname())
        super().udp(at, source, destination, payload)
        if sip.looks_like_sip(payload):
            if self._agent is not None:
                self._agent.copy(at, source, destination, payload)
        else:
            self.media.append(at)
            self.pause = max(self.pause, at - self._last.get(destination, at))
            self._last[destination] = at
            if self.media_copy is not None:
                self.media_copy(at, source, destination, payload)
        if receiver.recv(MAX_DATAGRAM) != payload:
            raise ConnectionError("loopback has brought something else than was sent")

    def through(self, time: int, source: Place, destination: Place, payload: bytes) -> bytes:
        """Send SIP to the proxy; what of it arrives at a place, behind all that the proxy says of its own. Stopped."""
        assert self._proxy is not None
        self.until(time)
        wanted = None if source == destination else _name(payload)
        self._sockets[source].sendto(payload, (inet.text(self._proxy[0]), self._proxy[1]))
        super().udp(_now(), source, self._proxy, payload)
        while True:
            octets = self._sockets[destination].recv(MAX_DATAGRAM)
            super().udp(_now(), self._proxy, destination, octets)
            if _name(octets) == wanted or (wanted is None and octets[8:9] > b"1"):
                return octets

    def until(self, time: int) -> None:
        """Wait for a time, wall ns. Stopped."""
        left = (time - _now()) / SECOND
        if self._stop.is_set() or (left > 0 and self._stop.wait(left)):
            raise Stopped

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()


class LiveCall:
    """One call between two users, by steps, or as a whole in a thread of its own.

    ``failed`` is what ended it before its time; ``tell`` is told what happens between the users, and at the KMS. With
    ``proxy`` both register there, and SIP goes through it; without one it is copied to ``agent``. ``call_id``: another
    one than that of its number.
    """

    def __init__(
        self,
        number: int,
        pair: tuple[TicketUser, TicketUser],
        ask: AskKms,
        agent: HepAgent | None,
        stop: threading.Event,
        tell: Tell = untold,
        *,
        proxy: Place | None = None,
        call_id: str = "",
    ) -> None:
        self.wire = Loopback(agent, stop, proxy)
        self.failed: Exception | None = None
        self._ask = ask
        self._tell = tell
        self._talks, self._over, self._ended = threading.Event(), threading.Event(), threading.Event()
        alice, bob = (self._party(user, 2 * number + place) for place, user in enumerate(pair, 1))
        call_id = call_id or f"demo-{number + 1}@example.com"
        self.call = (
            Call(self.wire, self._asked, alice, bob, call_id, _now())
            if proxy is None
            else ProxiedCall(self.wire, self.wire, self._asked, alice, bob, call_id, _now())
        )

    def _party(self, user: TicketUser, number: int) -> Party:
        address = str(NETWORK + number)
        ports = {"sip_port": self.wire.open(address), "rtp_port": self.wire.open(address, even=True)}
        return lab.party(user, number, address=address, **ports)

    # Step by step

    def connect(self) -> None:
        """A ticket for the caller, INVITE to ACK; both ends have keys then."""
        call, alice, bob = self.call, self.call.caller, self.call.callee
        call.now = _now()
        copied = "copied to the POI by HEP"
        if isinstance(call, ProxiedCall):
            copied = "through the proxy, which gives the POI a copy"
            for party in (alice, bob):
                call.register(party)
            self._tell(f"{alice.uri} and {bob.uri} register at the proxy")
        held = alice.user.request_ticket(self._asked, call.now, (bob.uri,))
        self._tell(f"{alice.uri} calls {bob.uri}: INVITE with the ticket (TRANSFER_INIT), {copied}")
        call.now = _now()
        call.establish(held)
        self._tell("200 OK (TRANSFER_RESP), ACK: both derive the keys of the call, and talk in SRTP")

    def talk(self, seconds: float) -> None:
        """Both talk, from now on. Stopped."""
        self.call.now = _now()
        self.call.talk(seconds)

    def hang_up(self) -> None:
        self.call.hang_up()
        self._tell(f"{self.call.caller.uri} hangs up: BYE, 200 OK")

    def leave(self) -> None:
        """Both are registered no more, as far as they were."""
        if isinstance(self.call, ProxiedCall):
            self.call.now = _now()
            for party in (self.call.caller, self.call.callee):
                self.call.register(party, 0)
            self._tell(f"{self.call.caller.uri} and {self.call.callee.uri} leave the proxy")

    def media(self) -> list[tuple[int, bytes]]:
        """Every packet of media so far: when it was sent, wall ns, and its RTP in clear."""
        return [(at, clear) for at, (_, _, clear) in zip(self.wire.media, self.call.sent, strict=False)]

    # As a whole

    def begin(self, delay: float) -> None:
        """Connect after ``delay`` seconds, and talk until ``end``."""
        self._thread = threading.Thread(target=self._run, args=(delay,), daemon=True)
        self._thread.start()

    def until_talk(self) -> None:
        """Wait until both talk, or it has failed."""
        self._talks.wait()

    def until_failed(self, seconds: float) -> None:
        """Let them talk for a while, or until it has failed."""
        # Not by the thread: a join that a signal breaks off takes it for ended (CPython bpo-45274).
        self._ended.wait(seconds)

    def end(self) -> None:
        """Let it hang up."""
        self._over.set()

    def join(self) -> None:
        """Wait until it is over."""
        self._thread.join()

    def close(self) -> None:
        self.wire.close()

    def _run(self, delay: float) -> None:
        try:
            self.wire.until(_now() + round(delay * SECOND))
            self.connect()
            self._talks.set()
            self.call.now = _now()
            while not self._over.is_set():
                self.call.talk(FRAME_SECONDS)
            self.hang_up()
        except Stopped:
            pass
        except Exception as why:
            self.failed = why
        finally:
            self._talks.set()
            self._ended.set()

    def _asked(self, octets: bytes) -> bytes:
        begun = time.monotonic()
        answer = self._ask(octets)
        what = "Ticket Resolve" if is_resolve(octets) else "Ticket Request"
        self._tell(f"{what} to the KMS over HTTPS: answered in {(time.monotonic() - begun) * 1_000:.1f} ms")
        return answer


def _now() -> int:
    return time.time_ns()


def _name(octets: bytes) -> tuple[str, str]:
    """What a message is: its method or status, and CSeq."""
    message = sip.parse(octets)
    return str(message.status or message.method), str(message.cseq)

"""What the benchmarks share: a lab call of any length, best-of-n timing, one way of printing."""

from __future__ import annotations

import time
from collections.abc import Callable

from midcall.kms import Kms, KmsStore, Subscriber, TicketProtectionKey
from midcall.ue import lab
from midcall.ue.call import Call
from midcall.ue.wire import Wire

TARGET = "sip:alice@example.com"


def lab_call(seconds: float) -> tuple[bytes, Kms]:
    """A capture of one call (100 packets a second), and the KMS that opens it."""
    draw = lab.seeded("bench")
    alice, bob = lab.user("alice", draw), lab.user("bob", draw)
    subscribers = tuple(Subscriber((u.uri,), u.psk_id, u.psk) for u in (alice, bob))
    kms = Kms(KmsStore(lab.KMS_IDENTITY, (TicketProtectionKey(b"tpk", draw(16)),), subscribers))

    def ask(octets: bytes) -> bytes:
        return kms.answer(octets, lab.BEGIN, draw)

    wire = Wire()
    call = Call(wire, ask, lab.party(alice, 1), lab.party(bob, 2), "bench@lab", lab.BEGIN)
    call.establish(alice.request_ticket(ask, lab.BEGIN, (bob.uri,)))
    call.talk(seconds)
    call.hang_up()
    return lab.write_capture(wire), kms


def rate(count: int, run: Callable[[], object], seconds: float) -> float:
    """The best rate of ``count`` things a run that repeats for about ``seconds``."""
    best, until = 0.0, time.perf_counter() + seconds
    while True:
        begun = time.perf_counter()
        run()
        now = time.perf_counter()
        best = max(best, count / (now - begun))
        if now >= until:
            return best


def show(name: str, figure: float, unit: str, peer: float, peer_name: str) -> None:
    print(f"{name:44} {figure:12,.0f} {unit:8} {figure / peer:6.2f} of {peer_name} ({peer:,.0f} {unit})")

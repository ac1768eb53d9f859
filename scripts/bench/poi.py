"""SIP through the point of interception: parse, identities, dialog tracking, with and without tasks armed.

Floor: 60 000 messages a second on a fast core, 40 000 as copies by HEP. Beside it: splitting the same messages into
lines. A live POI looks for targets in more headers than a replay does.
"""

from __future__ import annotations

import argparse
from time import time_ns

from imswire import hep, inet
from midcall.events import Instant, SipSeen, Task
from midcall.poi import MATCHING_ALL, MATCHING_REPLAY, PointOfInterception
from midcall.poi.shell.hep import HepAgent, HepReceiver
from midcall.ue import lab
from scripts.bench.common import lab_call, rate, show

CALLS = 1_000
AGENT = HepAgent("203.0.113.1", b"capture-key")


def messages() -> list[SipSeen]:
    """The seven messages of a call, a thousand times, each time another Call-ID and other users."""
    import io

    from imswire import pcap
    from midcall.base.capture import FrameSorter

    capture, _ = lab_call(0)
    sorter, sip = FrameSorter(1), []
    for batch in pcap.Reader(io.BytesIO(capture).read).batches():
        for number, (time, frame, _) in enumerate(batch):
            sip += [found for found in sorter.sort(time, frame, number) if isinstance(found, SipSeen)]
    out = []
    for call in range(CALLS):
        name = b"c%06d" % call
        for place, seen in enumerate(sip):
            octets = seen.octets.replace(b"bench@lab", name + b"@lab").replace(b"sip:alice@", b"sip:" + name + b"@")
            at = Instant.of_capture(lab.BEGIN + call * 1_000_000 + place * 1_000)
            out.append(SipSeen(octets, seen.source, seen.destination, at))
    return out


def armed(targets: int, matching: frozenset[str] = MATCHING_REPLAY) -> PointOfInterception:
    poi = PointOfInterception(bytes(32), bytes(32), matching)
    for number in range(targets):
        poi.arm(Task(f"x{number}", (f"sip:target{number}@example.com",)), Instant(0, 0))
    return poi


def track(seen: list[SipSeen], poi: PointOfInterception) -> None:
    for message in seen:
        poi.sip_seen(message)
    assert len(poi) == 0, "every call has ended"


def copies(seen: list[SipSeen]) -> list[bytes]:
    """The messages as an agent sends them."""
    a, b = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
    now = time_ns()
    return [hep.build(hep.Hep(a, b, 5_060, 5_062, each.octets, now, agent=2_026, key=AGENT.key)) for each in seen]


def receive(datagrams: list[bytes], poi: PointOfInterception) -> None:
    def take(seen: SipSeen) -> None:
        poi.sip_seen(seen)

    receiver = HepReceiver((AGENT,), take)
    for octets in datagrams:
        receiver.datagram(octets, AGENT.address)
    assert receiver.counts["taken"] == len(datagrams) and len(poi) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each figure is measured")
    arguments = parser.parse_args()
    seen = messages()
    lines = rate(len(seen), lambda: [m.octets.split(b"\r\n") for m in seen], arguments.seconds / 2)
    datagrams = copies(seen)
    for name, targets, matching in (
        ("no target", 0, MATCHING_REPLAY),
        ("10 000 targets", 10_000, MATCHING_REPLAY),
        ("10 000 targets, live", 10_000, MATCHING_ALL),
    ):
        poi = armed(targets, matching)
        figure = rate(len(seen), lambda p=poi: track(seen, p), arguments.seconds)  # type: ignore[misc]
        show(f"messages tracked, {name}", figure, "msg/s", lines, "splitting lines")
        figure = rate(len(seen), lambda p=poi: receive(datagrams, p), arguments.seconds)  # type: ignore[misc]
        show(f"copies by HEP tracked, {name}", figure, "msg/s", lines, "splitting lines")


if __name__ == "__main__":
    main()

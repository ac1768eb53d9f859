"""X1 at an element: ActivateTask read, judged under its warrant, kept on the disk and answered, beside the codec alone.

No aim is set: an ADMF orders some tasks a second at most. What the disk costs shows beside the core, what the two
signatures cost beside a task without.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from imswire import x1
from midcall.base.seal import SealKey
from midcall.base.warrant import TrustList, Warrant, envelope, read_trust, value
from midcall.base.x1_element import Element, Memory, Peer, Settings
from midcall.base.x1_element.shell.store import X1Store
from midcall.events import Instant
from scripts.bench.common import rate, show
from scripts.bench.warrant import NAMES, key

COUNT = 200
DAY = 86_400 * 10**9
PEER = Peer(frozenset(("admf",)))
DID = "0d000000-0000-4000-8000-000000000001"


def moment(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 10**9))


def trust(now: int) -> TrustList:
    text = "max_days = 90\n"
    for name in NAMES:
        public = envelope.encoded(key(name).public_key().public_bytes_raw())
        text += f'[[approver]]\nperson = "{name}"\npublic_key = "{public}"\n'
        text += f"valid_from = {moment(now - DAY)}\nvalid_until = {moment(now + DAY)}\n"
    return read_trust(text)


def xid(number: int) -> str:
    return f"0a000000-0000-4000-8000-{number:012x}"


def warrant(number: int, now: int) -> bytes:
    signed = Warrant(
        id=f"W-{number}",
        version=1,
        supersedes=None,
        country="XX",
        agency="agency",
        order=value.Order(authority="court", reference="1", sha256="00" * 32),
        services=("voice", "messaging"),
        scope="iri+cc",
        keys="decrypt",
        location=False,
        start=moment(now - DAY),
        end=moment(now + DAY),
        targets=(value.Target(liid="L", xid=xid(number), identity="sip:alice@example.com"),),
        elements=("poi-1",),
        destinations=(value.Destination(host="lemf.example.com", port=7443, certificate="00" * 32),),
    )
    file = envelope.draft(value.encode(signed))
    for name in NAMES:
        file = envelope.sign(file, key(name))
    return envelope.write(file)


def header(number: int, now: int) -> x1.Header:
    return x1.Header("admf", "poi", now // 1_000 * 1_000, x1.VERSION, f"{number:08x}-0000-4000-8000-000000000000")


def documents(now: int, signed: bool) -> Iterator[bytes]:
    """One ActivateTask each, with a warrant of its own."""
    for number in range(COUNT):
        extensions = (x1.warrant_extension(warrant(number, now)),) if signed else ()
        targets = (x1.SipUri("sip:alice@example.com"),)
        did = x1.ListOfDids((DID,))
        task = x1.TaskDetails(xid(number), targets, x1.DeliveryType.X2_ONLY, did, extensions=extensions)
        yield x1.build_request([x1.ActivateTaskRequest(header(number, now), task)])


class Bench:
    """A fresh element each run, with a store or without."""

    def __init__(self, now: int, asked: list[bytes], mode: str, folder: Path | None) -> None:
        self.now, self.asked, self.folder = Instant(now, now), asked, folder
        self.settings = Settings(role="poi", ne="poi", admf="admf", element="poi-1", unsigned=mode)  # type: ignore[arg-type]
        self.trust = trust(now)
        self.runs = 0

    def run(self) -> None:
        self.runs += 1
        element = Element(self.settings, self.trust, self.now, Memory(heard=self.now.wall))
        store = None
        if self.folder is not None:
            store = X1Store(self.folder / f"{self.runs}.db", SealKey(bytes(32)), "admf", "poi")
        place = x1.DestinationDetails(
            DID, x1.DeliveryType.X2_ONLY, x1.IpAddressAndPort(IPv4Address("192.0.2.1"), x1.TcpPort(9))
        )
        created = x1.CreateDestinationRequest(header(1 << 20, self.now.wall), place)
        element.apply(element.ask(created, PEER, self.now))
        for octets in self.asked:
            (request,) = x1.parse_requests(octets)
            assert isinstance(request, x1.Request)
            step = element.ask(request, PEER, self.now)
            if store is not None:
                store.write(step.changes)
            element.apply(step)
            assert isinstance(step.response, x1.ActivateTaskResponse), step.response
            x1.build_response([step.response])
        if store is not None:
            store.close()


def codec(asked: list[bytes]) -> None:
    for octets in asked:
        (request,) = x1.parse_requests(octets)
        assert isinstance(request, x1.Request)
        x1.build_response([x1.acknowledgement(request, 0)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    now = time.time_ns()
    with tempfile.TemporaryDirectory() as folder:
        for name, signed, mode in (("unsigned", False, "accept"), ("under a warrant", True, "refuse")):
            asked = list(documents(now, signed))
            bare = rate(COUNT, lambda a=asked: codec(a), seconds)  # type: ignore[misc]
            core = rate(COUNT, Bench(now, asked, mode, None).run, seconds)
            kept = rate(COUNT, Bench(now, asked, mode, Path(folder) / mode).run, seconds)
            show(f"ActivateTask {name}: judged", core, "/s", bare, "codec")
            show(f"ActivateTask {name}: judged and kept", kept, "/s", bare, "codec")


if __name__ == "__main__":
    main()

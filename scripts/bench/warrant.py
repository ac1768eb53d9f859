"""Warrants: how long an element takes to verify one, beside the two bare signatures in it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from midcall.base.warrant import Refused, TrustList, Verified, Warrant, envelope, read_trust, value, verify
from midcall.events import Instant
from scripts.bench.common import rate, show

NAMES = ("first", "second")
START, NOW, END = "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "2026-07-31T00:00:00Z"
DIGEST = "00" * 32
RUNS = 10
"""A piece short enough that one of them runs undisturbed on a busy machine."""


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def trust() -> TrustList:
    entries = []
    for name in NAMES:
        x = envelope.encoded(key(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        entries.append(f'[[approver]]\nperson = "{name}"\npublic_key = "{x}"\n')
    text = "".join(f"{each}valid_from = {START}\nvalid_until = {END}\n" for each in entries)
    return read_trust(f"max_days = 90\n{text}")


def signed(targets: int) -> bytes:
    """A warrant with so many targets, approved by both."""
    members = {
        "type": "warrant", "id": "W-1", "version": 1, "supersedes": None, "country": "XX", "agency": "agency",
        "order": {"authority": "court", "reference": "1", "sha256": DIGEST}, "services": ["voice", "messaging"],
        "scope": "iri+cc", "keys": "decrypt", "location": False, "start": START, "end": END,
        "targets": [
            {"liid": "L", "xid": f"{n:08x}-0000-4000-8000-000000000000", "identity": f"sip:user{n}@ims.example.com"}
            for n in range(targets)
        ],
        "elements": ["poi-1"], "destinations": [{"host": "lemf.example.com", "port": 7443, "certificate": DIGEST}],
    }  # fmt: skip
    file = envelope.draft(value.encode(msgspec.convert(members, Warrant)))
    for name in NAMES:
        file = envelope.sign(file, key(name))
    return envelope.write(file)


def cpu(run: Callable[[], object], seconds: float) -> float:
    """Microseconds of this process's own time for one of the RUNS, at best: what others take does not count."""
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.process_time()
        run()
        best = min(best, time.process_time() - begun)
    return best / RUNS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    listed, now = trust(), Instant(value.moment(NOW), 0)
    one, many = signed(1), signed(value.MAX_TARGETS)
    broken = envelope.write(envelope.Envelope(envelope.read(many).payload, envelope.read(one).signatures))
    made = [(name, key(name).sign(one)) for name in NAMES]

    publics = {name: key(name).public_key() for name in NAMES}

    def bare() -> None:
        for _ in range(RUNS):
            for name, signature in made:
                publics[name].verify(signature, one)

    floor = rate(RUNS, bare, seconds)
    for name, octets, kind in (
        ("a warrant with one target", one, Verified),
        (f"a warrant with {value.MAX_TARGETS} targets ({len(many) >> 10} KiB)", many, Verified),
        ("a forged one, refused", broken, Refused),
    ):
        outcome = verify(octets, listed, now, "poi-1", {})
        assert isinstance(outcome, kind), outcome

        def run(octets: bytes = octets) -> None:
            for _ in range(RUNS):
                verify(octets, listed, now, "poi-1", {})

        figure = rate(RUNS, run, seconds)
        show(name, figure, "/s", floor, "two bare signatures")
        print(f"{'':44} {cpu(run, seconds):12,.0f} us of CPU")


if __name__ == "__main__":
    main()

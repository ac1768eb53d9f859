"""MIKEY: reading, building, keys derived, beside a bare struct walk over the same chain of payloads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from struct import Struct

from imswire import mikey
from imswire.mikey.fields import fields
from scripts.bench.common import rate, show

VECTORS = Path(__file__).parents[2] / "tests" / "data" / "vectors" / "mikey-ticket.json"
_LONG = Struct("!H").unpack_from


def messages() -> tuple[bytes, bytes, bytes]:
    parts = json.loads(VECTORS.read_text())["set1"]
    flat = {name: value for part in parts.values() if isinstance(part, dict) for name, value in part.items()}
    init, resp, tpk = (bytes.fromhex(flat[name]) for name in ("TRANSFER_INIT", "TRANSFER_RESP", "TPK"))
    return init, resp, tpk


def bare(octets: bytes) -> None:
    """Payload boundaries of this message by struct; nothing is checked, nothing kept."""
    at, following = 29, octets[2]
    widths = {5: 10, 9: 22, 15: 3, 14: 5, 10: 5, 21: 4, 17: 10}
    while following:
        kind, following = following, octets[at]
        if kind == 15:
            at += 3 + octets[at + 2]
        elif kind in (14, 10, 21):
            at += widths[kind] + _LONG(octets, at + widths[kind] - 2)[0]
        elif kind == 17:
            at += 10 + _LONG(octets, at + 8)[0]
            at += 2 + _LONG(octets, at)[0]
            at += 2 + _LONG(octets, at)[0]
        else:
            at += widths[kind]


def walked(octets: bytes) -> None:
    for _ in range(2_000):
        bare(octets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    init, resp, tpk = messages()
    walk = rate(2_000, lambda: walked(init), seconds)
    message = mikey.parse(init)
    values = [placed.value for placed in message.payloads]

    def derived() -> None:
        exchange = mikey.Exchange.read(init, resp)
        opened = mikey.open_ticket(exchange.ticket, tpk)
        mikey.Derivation(exchange, mikey.Resolved(opened.mpki, opened.mpkr, opened.keys)).run([])

    for name, run in (
        ("parse", lambda: mikey.parse(init)),
        ("build", lambda: mikey.build(message.header, values)),
        ("every field with its offset", lambda: fields(init)),
        ("both messages to session keys, ticket opened", derived),
    ):
        figure = rate(50, lambda r=run: [r() for _ in range(50)], seconds)  # type: ignore[misc]
        show(name, figure, "/s", walk, "a bare walk")


if __name__ == "__main__":
    main()

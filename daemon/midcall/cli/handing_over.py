"""The hand-over of a replay by its options: into files, or through a spool to an LEMF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from midcall import config
from midcall.base import tls
from midcall.cli.fail import USAGE, Failed, read_text
from midcall.config import ReplayConfig
from midcall.delivery import Delivery
from midcall.handover import Assembler
from midcall.handover.assembler import Sign
from midcall.handover.shell.channel import Peer
from midcall.records import HandoverFiles, Records, Sink, intercept
from midcall.replay import XID

MAX_KEY_FILE = 1 << 16


class Settings(Struct, frozen=True):
    """How to hand over; without ``peer`` into files."""

    config: ReplayConfig = ReplayConfig()
    peer: Peer | None = None
    sign: Sign | None = None


class Result(NamedTuple):
    """What the report says of it, and what went wrong."""

    told: dict[str, Any]
    faults: list[str]


def settings(path: Path | None, deliver: str | None, cert: Path | None, key: Path | None, ca: Path | None) -> Settings:
    """From the options of the command line; Failed says which of them is wrong."""
    read = ReplayConfig() if path is None else _read(path)
    sign = _signer(read.integrity.signing_key)
    files = {"--cert": cert, "--key": key, "--ca": ca}
    if deliver is None:
        for name, value in files.items():
            if value is not None:
                raise Failed(USAGE, f"{name}: goes with --deliver; nothing was done")
        return Settings(read, None, sign)
    for name, value in files.items():
        if value is None:
            raise Failed(USAGE, f"--deliver: {name} is missing; there is no delivery without mutual TLS")
    assert cert is not None and key is not None and ca is not None
    return Settings(read, _peer(deliver, tls.Identity(cert, key, ca), read), sign)


def _read(path: Path) -> ReplayConfig:
    try:
        return config.replay(read_text(path, config.MAX_OCTETS))
    except config.ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None


def _peer(deliver: str, identity: tls.Identity, read: ReplayConfig) -> Peer:
    host, _, port = deliver.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise Failed(USAGE, f"--deliver: {deliver!r} is not HOST:PORT")
    try:
        context = tls.client_context(identity, tls_1_2=read.delivery.tls_1_2, check_host=False)
    except tls.TlsError as error:
        raise Failed(USAGE, str(error)) from None
    name = read.delivery.peer_name or host
    return Peer(host, int(port), context, host, tls.PeerName(name).check)


def _signer(path: str) -> Sign | None:
    if not path:
        return None
    try:
        key = load_pem_private_key(read_text(Path(path), MAX_KEY_FILE).encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Failed(USAGE, f"{path}: no private key in PEM form without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Failed(USAGE, f"{path}: not an Ed25519 key")
    return key.sign


@contextmanager
def opened(chosen: Settings, out: Path) -> Iterator[tuple[Records, Callable[[], Result]]]:
    """The mediation of a replay, and what to call at its end; ``out`` exists."""
    order = intercept(chosen.config, XID)
    if chosen.peer is None:
        with HandoverFiles(out, Assembler((order,), chosen.config.integrity, chosen.sign)) as files:
            records = Records(chosen.config, XID, files)
            yield records, lambda: Result(_told(chosen, records) | {f"{k}_pdus": n for k, n in files.pdus.items()}, [])
        return
    later: list[Records] = []
    with Delivery(
        out, order, chosen.config, lambda gap: later[0].unavailable(gap), chosen.peer, chosen.sign
    ) as delivery:
        sink: Sink = delivery
        later.append(Records(chosen.config, XID, sink))
        yield later[0], lambda: _delivered(chosen, later[0], delivery)


def _told(chosen: Settings, records: Records) -> dict[str, Any]:
    return {"liid": chosen.config.warranted.liid, "removed": records.removed}


def _delivered(chosen: Settings, records: Records, delivery: Delivery) -> Result:
    outcome = delivery.finish()
    assert chosen.peer is not None
    told: dict[str, Any] = {"delivered_to": f"{chosen.peer.host}:{chosen.peer.port}"}
    for each in outcome.completeness:
        told[each.interface] = {
            "observed": each.observed,
            "delivered": each.delivered,
            "queued": each.queued,
            "refused": each.refused,
        }
    faults = []
    if outcome.missing:
        faults = [f"{outcome.missing} records were not delivered to {told['delivered_to']}", *outcome.faults]
    return Result(_told(chosen, records) | told | {"faults": outcome.faults}, faults)

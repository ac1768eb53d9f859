"""The hand-over of a replay by its options: into files, or through a spool to an LEMF."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from midcall import config
from midcall.base import signing, tls
from midcall.base.passing_folder import PassingFolder
from midcall.base.tls_end import TlsEnd
from midcall.cli.fail import USAGE, Failed, read_text
from midcall.config import ReplayConfig
from midcall.delivery import PREFIX, Delivery
from midcall.handover import Assembler
from midcall.handover.assembler import Sign
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.reserve import Reserve
from midcall.local_copy import FilesCopy
from midcall.records import HandoverFiles, Records, Sink, Sinks, intercept
from midcall.replay import XID

# A report of some thousand dialogs.
REPORT_OCTETS = 1 << 20


class Settings(Struct, frozen=True):
    """How to hand over: to ``peer``, else into files; with ``files`` to both."""

    config: ReplayConfig = ReplayConfig()
    peer: Peer | None = None
    sign: Sign | None = None
    files: bool = False


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
    return Peer(host, int(port), TlsEnd(context, None), host, tls.PeerName(name).check)


def _signer(path: str) -> Sign | None:
    if not path:
        return None
    try:
        return signing.signer(read_text(Path(path), signing.MAX_OCTETS).encode())
    except signing.SigningError as error:
        raise Failed(USAGE, f"{path}: {error}") from None


@contextmanager
def opened(chosen: Settings, out: Path) -> Iterator[tuple[Records, Callable[[], Result]]]:
    """The mediation of a replay, and what to call at its end; ``out`` exists."""
    order = intercept(chosen.config, XID)
    with ExitStack() as stack:
        if chosen.peer is not None:
            stack.enter_context(orderly_end())
            stack.enter_context(_room_for_report(out))
        sinks: list[Sink] = []
        records = Records(chosen.config, XID, Sinks(sinks))
        files: HandoverFiles | FilesCopy | None = None
        delivery = None
        if chosen.files or chosen.peer is None:
            made = HandoverFiles(out, Assembler((order,), chosen.config.integrity, chosen.sign))
            files = made if chosen.peer is None else FilesCopy(made)
            stack.callback(files.close)
            sinks.append(files)
        if chosen.peer is not None:
            delivery = stack.enter_context(
                Delivery(out, order, chosen.config, records.unavailable, chosen.peer, chosen.sign, records.alarm)
            )
            sinks.append(delivery)
        yield records, lambda: _finished(chosen, records, files, delivery)


@contextmanager
def orderly_end() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does: what waits is not left behind. Handlers are the main thread's alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def _room_for_report(out: Path) -> Iterator[None]:
    """Room that nothing else gets while this lasts: how the hand-over went is told on a full disk too."""
    try:
        folder = PassingFolder(out, PREFIX)
    except OSError:
        yield  # then there is no room to keep
        return
    try:
        free = Folder(out).free()
        Reserve(folder.path / "report", min(REPORT_OCTETS, free // 4)).keep(free)
        yield
    finally:
        folder.remove()


def _finished(
    chosen: Settings, records: Records, files: HandoverFiles | FilesCopy | None, delivery: Delivery | None
) -> Result:
    told: dict[str, Any] = {"liid": chosen.config.warranted.liid, "removed": records.removed}
    if files is not None:
        told |= {f"{name}_pdus": count for name, count in files.pdus.items()}
    if delivery is None:
        return Result(told, [])
    outcome = delivery.finish()
    assert chosen.peer is not None
    told["delivered_to"] = f"{chosen.peer.host}:{chosen.peer.port}"
    for each in outcome.completeness:
        told[each.interface] = {
            "observed": each.observed,
            "delivered": each.delivered,
            "queued": each.queued,
            "refused": each.refused,
        }
    told["faults"] = outcome.faults
    faults = []
    if outcome.missing or not outcome.completeness:
        faults = [f"{outcome.missing} records were not delivered to {told['delivered_to']}", *outcome.faults]
    if isinstance(files, FilesCopy):
        files.close()
        if files.fault is not None:
            faults.append(files.fault)
            told["faults"].append(files.fault)
    return Result(told, faults)

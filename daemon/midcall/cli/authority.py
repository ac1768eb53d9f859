"""The authority of a replay: a warrant that has to cover everything that is asked, on the capture's clock."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import click
from msgspec import Struct, structs

from imswire import pcap
from midcall.base import tls
from midcall.base.warrant import Refused, TrustList, Verified, Warrant, verify
from midcall.cli.fail import UNREADABLE, USAGE, Failed, reason
from midcall.cli.handing_over import Settings
from midcall.cli.warrant import read_octets, read_trust
from midcall.config import ReplayConfig, Warranted
from midcall.events import Instant
from midcall.replay import Window

NO_AUTHORITY = "none (lab)"
# What a replay gives: calls, and messages beside them.
SERVICES: tuple[Literal["voice", "messaging"], ...] = ("voice", "messaging")


class Authority(Struct, frozen=True):
    """Under what a replay runs: for the report, the window and the terms of the hand-over."""

    name: str
    told: dict[str, Any]
    window: Window
    chosen: Settings


def unchecked(window: Window, chosen: Settings) -> Authority:
    """No warrant: laboratories."""
    click.echo("midcall: no warrant given: no authority was checked (lab use only)", err=True)
    return Authority(NO_AUTHORITY, {}, window, chosen)


def checked(
    warrant: Path, trust: Path, capture: Path, targets: tuple[str, ...], window: Window, chosen: Settings
) -> Authority:
    """What the warrant allows of what is asked; Failed(USAGE) when it does not cover it."""
    element = chosen.config.network.element
    if element is None:
        raise Failed(USAGE, "--warrant: [network] of --config names no element, which the warrant would have to list")
    first = _first_packet(capture)
    verified = _verified(read_octets(warrant), read_trust(trust), first, window, element)
    held = verified.warrant
    services = tuple(each for each in SERVICES if each in held.services)
    if not services:
        _refuse(f"lists neither {' nor '.join(SERVICES)}, and a replay gives nothing else")
    liid = _liid(held, targets)
    config = chosen.config
    terms = Warranted(
        liid=liid, scope=held.scope, keys=held.keys or "decrypt", location=held.location, services=services
    )
    config = structs.replace(config, warranted=terms, network=structs.replace(config.network, country=held.country))
    told = {
        "id": held.id,
        "version": held.version,
        "digest": verified.digest,
        "approvals": list(verified.approvals),
        "start": held.start,
        "end": held.end,
    }
    return Authority(held.id, told, _within(held, window, first), _pinned(held, chosen, config))


def _refuse(why: str) -> None:
    raise Failed(USAGE, f"--warrant: {why}; nothing was done")


def _verified(octets: bytes, trust: TrustList, first: int, window: Window, element: str) -> Verified:
    """Judged at the first moment that is asked for, or when the warrant begins if that is later."""
    begins = first + max(window.start or 0, 0)
    outcome = verify(octets, trust, Instant.of_capture(begins), element, {})
    if isinstance(outcome, Refused) and outcome.begins is not None:
        if window.end is not None and outcome.begins >= first + window.end:
            _refuse("its window begins when what is asked for is over")
        outcome = verify(octets, trust, Instant.of_capture(outcome.begins), element, {})
    if not isinstance(outcome, Verified):
        why = outcome if isinstance(outcome, Refused) else "revoked"
        began = datetime.fromtimestamp(first // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise Failed(USAGE, f"--warrant: {why}; the capture begins at {began}; nothing was done")
    return outcome


def _within(held: Warrant, asked: Window, first: int) -> Window:
    """What is asked and warranted, relative to the first packet, and always with both ends."""
    start, end = held.start_ns - first, held.end_ns - first
    narrowed = (asked.start is not None and asked.start < start) or (asked.end is not None and asked.end > end)
    if asked.start is not None:
        start = max(start, asked.start)
    if asked.end is not None:
        end = min(end, asked.end)
    if start >= end:
        _refuse("its window and the one that is asked for have nothing in common")
    if narrowed:
        click.echo("midcall: the warrant's window is narrower than what was asked, and holds", err=True)
    return Window(start, end)


def _liid(held: Warrant, targets: tuple[str, ...]) -> str:
    """The one LIID under which all that is asked for goes over: a replay runs one task."""
    shared: set[str] | None = None
    for uri in targets:
        liids = {each.liid for each in held.covering(uri)}
        if not liids:
            _refuse(f"--target {uri} is not a target of it")
        shared = liids if shared is None else shared & liids
    if not shared:
        _refuse("these targets have different LIIDs; run one replay for each")
    if shared is None or len(shared) > 1:
        _refuse("has several LIIDs for this target, and a replay runs under one")
    assert shared is not None
    return shared.pop()


def _pinned(held: Warrant, chosen: Settings, config: ReplayConfig) -> Settings:
    """Delivery goes to a destination of the warrant, and to the certificate that it names."""
    peer = chosen.peer
    if peer is None:
        return structs.replace(chosen, config=config)
    place = (peer.host.lower(), peer.port)
    pins = [each.certificate for each in held.destinations if (each.host.lower(), each.port) == place]
    if not pins or peer.check is None:
        raise Failed(USAGE, f"--warrant: {peer.host} port {peer.port} is not a destination of it; nothing was done")
    return structs.replace(chosen, config=config, peer=peer._replace(check=_pin(pins[0], peer.check)))


def _pin(pin: str, check: Callable[[ssl.SSLObject], object]) -> Callable[[ssl.SSLObject], object]:
    def both(connection: ssl.SSLObject) -> object:
        shown = connection.getpeercert(binary_form=True)
        if shown is None or sha256(shown).hexdigest() != pin:
            raise tls.TlsError("the LEMF's certificate is not the one that the warrant names")
        return check(connection)

    return both


def _first_packet(capture: Path) -> int:
    """The time that the capture begins, in ns."""
    try:
        if not stat.S_ISREG(capture.stat().st_mode):
            raise Failed(UNREADABLE, f"{capture}: with --warrant the capture has to be a file")
        with capture.open("rb", buffering=0) as file:
            for batch in pcap.Reader(file.read).batches():
                for time, *_ in batch:
                    return time
    except OSError as error:
        raise Failed(UNREADABLE, f"{capture}: {reason(error)}") from None
    except pcap.PcapError as error:
        raise Failed(UNREADABLE, f"{capture}: {error}") from None
    raise Failed(UNREADABLE, f"{capture}: no frame could be read")

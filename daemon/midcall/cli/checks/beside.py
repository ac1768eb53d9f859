"""Instances of one role on one host: each has places and names of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from midcall import config as config_file
from midcall.cli.checks.finding import Finding, good, mend
from midcall.config import ConfigError, DaemonConfig, KmsConfig
from midcall.config.handover import Network
from midcall.config.live_tables import X2OutTable

_OWN = frozenset(("listen", "udp", "tcp", "door", "cache", "journal", "spool", "keys", "store", "ne"))
"""Keys whose values no two instances share."""
CHOSEN = ":0"
"""A port that is chosen when it listens."""


def findings(path: Path, config: DaemonConfig) -> Iterator[Finding]:
    """What the file has in common with those of other instances, ``ROLE.toml`` and ``ROLE@NAME.toml`` beside it."""
    stem = path.stem.partition("@")[0]
    others = sorted(each for each in {path.with_name(f"{stem}.toml"), *path.parent.glob(f"{stem}@*.toml")} - {path})
    mine = {value: key for key, value in _places(config)}
    for other in others:
        try:
            theirs = config_file.daemon(other.read_text(encoding="utf-8"), DaemonConfig)
        except (OSError, UnicodeDecodeError, ConfigError):
            continue  # it is looked at by itself
        shared = [value for _, value in _places(theirs) if value in mine]
        for value in shared:
            yield mend(mine[value], f"{value}: {other} has it too", "give each instance its own")
        if not shared:
            yield good(str(other), "another instance, which shares nothing with this one")


def _places(config: DaemonConfig) -> Iterator[tuple[str, str]]:
    """Keys and values that are one instance's alone."""
    if config.log.li and not config.log.li.startswith("fd:"):
        yield "log.li", config.log.li
    listen = config.operator.listen
    if not listen.startswith("unix:") and not listen.endswith(CHOSEN):
        yield "operator.listen", listen
    for role in config_file.roles(config):
        yield from _of(getattr(config, role), role)


def _of(table: Struct, name: str) -> Iterator[tuple[str, str]]:
    for field in structs.fields(table):
        held, key = getattr(table, field.name), f"{name}.{field.name}"
        if isinstance(held, Network):
            # Agencies tell communications apart by it and a number that each instance counts from 1.
            yield f"{key}.element", f"{held.operator} {held.element}"
        elif isinstance(held, Struct):
            yield from _of(held, key)
        elif isinstance(held, tuple):
            for each in held:
                if isinstance(each, X2OutTable):
                    yield from _of(each, key)
        elif isinstance(held, str) and held and field.name in _OWN and not held.endswith(CHOSEN):
            # One that asks at a door shares it, and so may KMSs their store: they read what the other has written.
            asks = field.name == "door" and name != "tap"
            if not asks and not (field.name == "store" and isinstance(table, KmsConfig)):
                yield key, held

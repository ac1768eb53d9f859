"""What a configuration names: each table of a role, looked at from all sides."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from midcall import config as config_file
from midcall.cli.checks import audited, beside, doors, papers, places, secrets, taps
from midcall.cli.checks.finding import Finding, good, mend
from midcall.cli.checks.secrets import Secrets
from midcall.config import DaemonConfig


def findings(path: Path, config: DaemonConfig, folder: str) -> list[Finding]:
    """Everything that the file leads to. ``folder``: where secrets lie; empty: where the units take them from."""
    runs, lab = doors.is_running(config), config.service.lab
    found = [own_file(path)]
    roles = config_file.roles(config)
    for role in roles:
        own = Secrets.of(path, folder, role)
        found.append(secrets.folder(own))
        placed = config_file.placed(getattr(config, role), own.place)
        seal = getattr(placed, "seal", "")
        apart = None if seal and own.is_encrypted(Path(seal)) else Path(own.folder)
        for name, table in _tables(placed, role):
            found += secrets.findings(name, table, own)
            found += papers.findings(name, table)
            found += doors.findings(name, table, runs)
            found += places.findings(name, table, role, apart, lab)
            found += taps.findings(name, table, lab)
            found += audited.findings(name, table, lab)
    found += beside.findings(path, config)
    found += places.log("log.li", config.log.li, roles[0], lab)
    if not config.operator.listen.startswith("unix:"):
        found.append(doors.door("operator.listen", config.operator.listen, runs))
    return found


def own_file(path: Path) -> Finding:
    if path.stat().st_mode & stat.S_IWOTH:
        return mend(str(path), "everybody may change it", f"chmod o-w {path}")
    return good(str(path), "good")


def _tables(table: Struct, name: str) -> Iterator[tuple[str, Struct]]:
    """The table and every table in it, with its name as the file has it."""
    yield name, table
    for field in structs.fields(table):
        held = getattr(table, field.name)
        for each in held if isinstance(held, tuple) else (held,):
            if isinstance(each, Struct):
                yield from _tables(each, f"{name}.{field.name}")

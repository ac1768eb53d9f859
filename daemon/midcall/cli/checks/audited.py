"""Whether what a role does is audited."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from midcall.cli.checks.finding import Finding, good, note
from midcall.config import AuditTable


def findings(name: str, table: Struct, lab: bool) -> Iterator[Finding]:
    """Of one table."""
    if isinstance(table, AuditTable):
        yield listening(f"{name}.socket", Path(table.socket))
    elif "audit" in table.__struct_fields__ and getattr(table, "audit", None) is None and not lab:
        yield note(f"{name}.audit", "missing: nothing of what this role does is audited", "give it the role audit")


def listening(name: str, path: Path) -> Finding:
    """Whether somebody is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            advice = "start the role audit; until it is there nothing new is activated"
            return note(name, f"{path}: {error.strerror}", advice)
    return good(name, "somebody listens there")

"""The laws of the layout that import-linter cannot express (pyproject.toml holds the others).

Each reads the source, so that no import, however late, escapes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODECS = ROOT / "codecs"
DAEMON = ROOT / "daemon"

# Live run and replay are two shells over the same core: a core is told the time and its randomness and does
# no I/O, so that the same inputs give the same octets.
OUTSIDE_WORLD = {
    "asyncio", "logging", "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "select",
    "selectors", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
SHELLS = {
    "service.py", "shell", "base", "cli", "live", "replay", "replay.py", "product.py", "records.py", "delivery.py",
    "audio.py", "local_copy.py",
}  # fmt: skip

# Everything that a peer can key: call identifiers, tags, addresses, SSRCs. Name -> module that owns it.
BOUNDED_TABLES: dict[str, str] = {
    "admf.people.rates": "daemon/midcall/admf/shell/people.py",
    "admf.reports.rates": "daemon/midcall/admf/shell/reports.py",
    "base.redaction.described": "daemon/midcall/base/redaction/calm.py",
    "base.redaction.headers": "daemon/midcall/base/redaction/calm.py",
    "base.seal.ciphers": "daemon/midcall/base/seal.py",
    "base.services.correlated": "daemon/midcall/base/services.py",
    "base.services.rounds": "daemon/midcall/base/services.py",
    "base.services.sessions": "daemon/midcall/base/services.py",
    "base.sip_streams": "daemon/midcall/base/sip_streams.py",
    "base.voices": "daemon/midcall/base/call_audio.py",
    "base.tap.refused": "daemon/midcall/base/tap/door.py",
    "base.x1_element.answers": "daemon/midcall/base/x1_element/retries.py",
    "base.x1_element.certificates": "daemon/midcall/base/x1_element/shell/service.py",
    "base.x1_element.rates": "daemon/midcall/base/x1_element/shell/service.py",
    "base.x1_element.stops": "daemon/midcall/base/x1_element/retries.py",
    "base.x2.sequences": "daemon/midcall/base/x2.py",
    "base.x2_link.committed": "daemon/midcall/base/x2_link/rows.py",
    "base.x2_link.descriptions": "daemon/midcall/base/x2_link/media.py",
    "base.x2_link.forms": "daemon/midcall/base/x2_link/rows.py",
    "base.x2_link.peers": "daemon/midcall/base/x2_link/server.py",
    "base.x2_link.rows": "daemon/midcall/base/x2_link/rows.py",
    "base.x2_link.strangers": "daemon/midcall/base/x2_link/server.py",
    "base.x2_link.x3_forms": "daemon/midcall/base/x2_link/media.py",
    "cscf.avoided": "daemon/midcall/cscf/names.py",
    "cscf.bindings": "daemon/midcall/cscf/location.py",
    "cscf.clients": "daemon/midcall/cscf/contexts.py",
    "cscf.flows": "daemon/midcall/cscf/location.py",
    "cscf.kept_calls": "daemon/midcall/cscf/shell/mates.py",
    "cscf.large": "daemon/midcall/cscf/large.py",
    "cscf.lent_calls": "daemon/midcall/cscf/shell/mates.py",
    "cscf.mates_names": "daemon/midcall/cscf/shell/mates.py",
    "cscf.names": "daemon/midcall/cscf/names.py",
    "cscf.nonce_counts": "daemon/midcall/cscf/digest.py",
    "cscf.overloaded": "daemon/midcall/cscf/overload.py",
    "cscf.peers": "daemon/midcall/cscf/trust.py",
    "cscf.servers": "daemon/midcall/cscf/contexts.py",
    "cscf.waiting": "daemon/midcall/cscf/proxy.py",
    "df2.asked": "daemon/midcall/df2/core.py",
    "df2.bundles": "daemon/midcall/df2/core.py",
    "df2.communications": "daemon/midcall/df2/communications.py",
    "df2.dialogs": "daemon/midcall/df2/core.py",
    "df2.failed": "daemon/midcall/df2/iri.py",
    "df2.failures": "daemon/midcall/df2/core.py",
    "df2.key_lanes": "daemon/midcall/df2/shell/xk.py",
    "df2.key_questions": "daemon/midcall/df2/shell/xk.py",
    "df2.phases": "daemon/midcall/df2/phases.py",
    "df2.subjects": "daemon/midcall/df2/iri.py",
    "df2.templates": "daemon/midcall/df2/iri.py",
    "df2.told": "daemon/midcall/df2/core.py",
    "df3.controls": "daemon/midcall/df3/dialog.py",
    "df3.dialogs": "daemon/midcall/df3/core.py",
    "df3.passed": "daemon/midcall/df3/passed.py",
    "df3.passed.told": "daemon/midcall/df3/passed.py",
    "df3.recalled": "daemon/midcall/df3/core.py",
    "df3.ssrcs": "daemon/midcall/df3/dialog.py",
    "handover.refused": "daemon/midcall/handover/assembler.py",
    "audit.quotas": "daemon/midcall/audit/quotas.py",
    "kms.audited": "daemon/midcall/kms/shell/audited.py",
    "kms.foreign_keys": "daemon/midcall/kms/foreign.py",
    "kms.rates.addresses": "daemon/midcall/kms/shell/users.py",
    "kms.rates.peers": "daemon/midcall/kms/shell/peers.py",
    "kms.rates.subscribers": "daemon/midcall/kms/shell/users.py",
    "kms.replays": "daemon/midcall/kms/core.py",
    "kms.warrants": "daemon/midcall/kms/authority.py",
    "lemf.aliases": "daemon/midcall/lemf/familiar.py",
    "lemf.calls": "daemon/midcall/lemf/core.py",
    "lemf.contexts": "daemon/midcall/lemf/core.py",
    "lemf.digests": "daemon/midcall/lemf/numbers.py",
    "lemf.files": "daemon/midcall/lemf/shell/store.py",
    "lemf.findings": "daemon/midcall/lemf/findings.py",
    "lemf.hashes": "daemon/midcall/lemf/core.py",
    "lemf.intercepts": "daemon/midcall/lemf/core.py",
    "lemf.media": "daemon/midcall/lemf/shell/media.py",
    "lemf.owners": "daemon/midcall/lemf/owners.py",
    "lemf.resets": "daemon/midcall/lemf/core.py",
    "live.accounts": "daemon/midcall/live/accounts.py",
    "live.audited.tasks": "daemon/midcall/live/audited.py",
    "live.foreign.calls": "daemon/midcall/live/foreign.py",
    "live.foreign.made": "daemon/midcall/live/foreign.py",
    "live.intercepts.counters": "daemon/midcall/live/intercepts.py",
    "live.intercepts.rows": "daemon/midcall/live/intercepts.py",
    "live.li.rates": "daemon/midcall/live/plane.py",
    "live.links": "daemon/midcall/live/link_book.py",
    "live.replaying.marks": "daemon/midcall/live/replaying.py",
    "poi.calls.answered": "daemon/midcall/poi/calls.py",
    "poi.calls.intercepted": "daemon/midcall/poi/calls.py",
    "poi.calls.unanswered": "daemon/midcall/poi/calls.py",
    "poi.closing": "daemon/midcall/poi/tracker.py",
    "poi.contacts": "daemon/midcall/poi/identity.py",
    "poi.icids": "daemon/midcall/poi/core.py",
    "poi.missed": "daemon/midcall/poi/missed.py",
    "poi.registrations": "daemon/midcall/poi/registrations.py",
    "poi.identity_hashes": "daemon/midcall/poi/identity.py",
    "poi.identity_lists": "daemon/midcall/poi/identity.py",
    "product.streams": "daemon/midcall/product.py",
}


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of everything that a module imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a module with its dotted name as written."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


X1_ELEMENT = DAEMON / "midcall" / "base" / "x1_element"
CORES = [path for path in sources(DAEMON) if not SHELLS & set(path.relative_to(DAEMON).parts)]
CORES += [path for path in sources(X1_ELEMENT) if "shell" not in path.relative_to(X1_ELEMENT).parts]


@pytest.mark.parametrize("path", CORES, ids=name)
def test_a_core_does_no_io_and_reads_no_clock(path: Path) -> None:
    assert not {found for found in imports(path) if found.split(".")[0] in OUTSIDE_WORLD}


CLOCKS = (".now", ".utcnow", ".today", ".fromtimestamp")


@pytest.mark.parametrize("path", [*CORES, *sources(CODECS / "imswire")], ids=name)
def test_only_a_shell_asks_the_time_opens_a_file_or_prints(path: Path) -> None:
    assert not {called for called, _ in calls(path) if called in {"open", "input", "print"} or called.endswith(CLOCKS)}


def test_construct_stays_inside_mikey() -> None:
    """The public face of imswire.mikey is typed values: nobody else meets a Container."""
    users = {path for path in sources(CODECS) + sources(DAEMON) if "construct" in imports(path)}
    assert {path.parent for path in users} == {CODECS / "imswire" / "mikey"}


def used_of(package: str, folder: Path) -> set[str]:
    """What the modules of a folder use of a package of imswire, however they import it."""
    used = set()
    for path in sources(folder):
        prefix = f"imswire.{package}."
        used |= {found.removeprefix(prefix) for found in imports(path) if found.startswith(prefix)}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == package:
                used.add(node.attr)
    return used


def test_the_point_of_interception_opens_nothing() -> None:
    """It keeps tickets as octets and peeks at fixed offsets; keys are for df2, df3 and kms."""
    poi = DAEMON / "midcall" / "poi"
    assert used_of("mikey", poi) <= {"DataType", "MikeyError", "peek", "Peek"}
    assert not used_of("srtp", poi)


def test_the_kms_alone_opens_a_ticket() -> None:
    opening = {"open_ticket", "ticket", "ticket.open_ticket"}
    others = [path for path in (DAEMON / "midcall").iterdir() if path.is_dir() and path.name != "kms"]
    assert others
    assert not {folder.name for folder in others if used_of("mikey", folder) & opening}


def bounded_tables() -> Iterator[tuple[str, str]]:
    """Name and module of every table of base.bounded that is made anywhere in midcall."""
    for path in sources(DAEMON / "midcall"):
        for called, node in calls(path):
            if called.split(".")[-1] == "BoundedTable":
                first = node.args[0]
                assert isinstance(first, ast.Constant), f"{name(path)}: a table's name is written where it is made"
                yield str(first.value), name(path)


def test_nobody_makes_another_kind_of_bounded_table() -> None:
    """A subclass would hide from the list below."""
    bases = {
        ast.unparse(base)
        for path in sources(DAEMON)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    assert not {base for base in bases if "BoundedTable" in base}


def test_the_tables_that_a_peer_can_fill_are_these() -> None:
    found = sorted(bounded_tables())
    assert len({table for table, _ in found}) == len(found), "two tables with one name"
    assert dict(found) == BOUNDED_TABLES

"""midcall audit: verifies a log, proves things of it, compares it with what was kept elsewhere. All of it offline.

Needed are the files and the public key of the audit. Nothing that is shown names anybody: the log has no names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from midcall.audit import proofs
from midcall.audit.checking import Checked, Checker, first_bad
from midcall.audit.comparing import Against, Compared, Kept, Leaves, compared, forked, kept
from midcall.audit.diagnosis import Finding
from midcall.audit.heads import Head, HeadError, Key
from midcall.audit.lines import Entry, HeadLine, encode
from midcall.audit.merkle import ProofError
from midcall.audit.opening import TAIL, BadLog, heads_of, piece
from midcall.audit.shell import files
from midcall.audit.shell.files import FolderError
from midcall.cli import secret
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, reason

MAX_KEY = 1 << 14
SHOWN = 20
AGAIN, AGAIN_SECONDS = 3, 0.3
"""A log that is being written may end within a group when it is read: then it is read again."""
_FILE = click.Path(path_type=Path)
_KEY = click.option("--key", type=_FILE, required=True, help="The audit's public key (PEM, Ed25519).")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


@click.group()
def audit() -> None:
    """Verify, prove and compare the audit: what was done, by which role, and that nothing of it was changed."""


@audit.command()
@click.argument("log", type=_FILE)
@_KEY
@click.option("--anchor", type=_FILE, multiple=True, help="Heads that were kept elsewhere; repeatable.")
@_JSON
def verify(log: Path, key: Path, anchor: Sequence[Path], as_json: bool) -> int:
    """Verify LOG, the folder of an audit, one file of it, or a proof that `midcall audit prove` made.

    The status is 4 when it is not what was written; the first entry that is concerned is named.
    """
    public = read_key(key)
    if files.NAME.fullmatch(log.name) and log.is_file() and not anchor:
        return _verify_file(log, public, as_json)
    if not log.is_dir():
        if anchor:
            raise Failed(USAGE, "--anchor goes with a folder")
        return _verify_proof(log, public, as_json)
    heads, contradiction = _anchors(public, anchor)
    checked, found, met = _verified(log, public, heads)
    found = found or contradiction
    if as_json:
        _print_json(_report(checked, found, met, len(heads)))
    else:
        _print_report(checked, found, met, len(heads))
    return DONE if found is None else DONE_WITH_ERRORS


@audit.command()
@click.argument("log", type=_FILE)
@_KEY
@click.option("--entry", type=click.IntRange(min=0), help="Prove that this entry is in the log.")
@click.option("--from", "former", type=_FILE, help="Prove that the log continues the last head in this file.")
@click.option("--to", "later", type=_FILE, help="Prove it of the last head in this file instead of the log's last.")
@click.option("--out", type=_FILE, help="File for the proof; it must not be there yet. Default: standard output.")
def prove(log: Path, key: Path, entry: int | None, former: Path | None, later: Path | None, out: Path | None) -> int:
    """Make a proof about LOG that others verify with the public key alone, and that shows one entry or none."""
    if (entry is None) == (former is None):
        raise Failed(USAGE, "give either --entry or --from")
    public = read_key(key)
    gathered = _Gathered(entry)
    checked = _check(log, Checker(public, on_entry=gathered.entry))
    require_good(log, checked)
    if checked.place is None or not checked.place.head:
        raise Failed(DONE_WITH_ERRORS, f"{log}: it has no head yet")
    head = Kept(checked.place.head, public.head(checked.place.head)) if later is None else _last_head(public, later)
    try:
        if entry is not None:
            proof: proofs.Proof = proofs.inclusion(gathered.line, gathered.leaves, entry, head.text, head.head.size)
        else:
            assert former is not None
            first = _last_head(public, former)
            sizes = first.head.size, head.head.size
            proof = proofs.consistency(gathered.leaves, first.text, sizes[0], head.text, sizes[1])
        proofs.check(proof, public)
    except ValueError as error:
        raise Failed(DONE_WITH_ERRORS, f"{log}: it cannot be proved: {error}") from None
    octets = proofs.encode(proof)
    if out is None:
        click.echo(octets.decode(), nl=False)
    else:
        secret.write_new(out, octets)
        click.echo(f"proof written to {out}")
    return DONE


@audit.command()
@click.argument("one", type=_FILE)
@click.argument("other", type=_FILE)
@_KEY
@_JSON
def compare(one: Path, other: Path, key: Path, as_json: bool) -> int:
    """Compare two copies of a log, or a log with heads that were kept elsewhere, or two files of such heads.

    The status is 4 when one is no continuation of the other, or either is not what was written.
    """
    public = read_key(key)
    if one.is_dir() and other.is_dir():
        return _compare_logs(one, other, public, as_json)
    if one.is_dir() or other.is_dir():
        log, anchor = (one, other) if one.is_dir() else (other, one)
        heads, contradiction = _anchors(public, [anchor])
        checked, found, met = _verified(log, public, heads)
        found = found or contradiction
        report = _report(checked, found, met, len(heads))
        _print_json(report) if as_json else _print_report(checked, found, met, len(heads))
        return DONE if found is None else DONE_WITH_ERRORS
    heads, found = _anchors(public, [one, other])
    if as_json:
        _print_json({"heads": len(heads), "finding": _finding(found)})
    else:
        click.echo(f"{len(heads)} heads, {'of one history' if found is None else first_bad(found)}")
    return DONE if found is None else DONE_WITH_ERRORS


# Logs


def _check(log: Path, checker: Checker) -> Checked:
    try:
        names = files.names(log)
        if not names:
            raise Failed(UNREADABLE, f"{log}: there is no audit in it")
        return checker.check(files.read(log, names))
    except FolderError as error:
        raise Failed(UNREADABLE, str(error)) from None


def require_good(log: Path, checked: Checked) -> None:
    """What follows is about a log as far as it verifies. Failed: that is not to its end, but for what a writer that was
    killed, or is at work, leaves behind the last head; of that standard error hears.
    """
    found = checked.found
    if found is not None and found.kind in TAIL:
        click.echo(f"midcall: {log}: {first_bad(found)}", err=True)
    elif found is not None:
        raise Failed(DONE_WITH_ERRORS, f"{log}: {first_bad(found)}")


def _verified(log: Path, key: Key, heads: Sequence[Kept]) -> tuple[Checked, Finding | None, int]:
    """What is wrong with a log by itself, or by heads that were kept; how many of these it has."""
    for _ in range(AGAIN):
        against = Against(heads)
        checked = _check(log, Checker(key, on_head=against.head))
        if checked.found is None or checked.found.kind not in TAIL:
            break
        time.sleep(AGAIN_SECONDS)
    found = checked.found
    if found is None or found.kind in TAIL:
        found = against.end(checked) or found
    return checked, found, against.met


def _compare_logs(one: Path, other: Path, key: Key, as_json: bool) -> int:
    for each in (one, other):
        try:
            if not files.names(each):
                raise Failed(UNREADABLE, f"{each}: there is no audit in it")
        except FolderError as error:
            raise Failed(UNREADABLE, str(error)) from None
    try:
        first, second, relation = compared(key, files.read(one), files.read(other))
    except FolderError as error:
        raise Failed(UNREADABLE, str(error)) from None
    bad = first.found is not None or second.found is not None or relation.relation == "forked"
    if as_json:
        report: dict[str, Any] = {"relation": relation.relation, "entries": [relation.first, relation.second]}
        report |= {"differs": relation.differs, "findings": [_finding(first.found), _finding(second.found)]}
        _print_json(report)
    else:
        for path, checked in ((one, first), (other, second)):
            if checked.found is not None:
                click.echo(f"{path}: {first_bad(checked.found)}")
        click.echo(_said(relation))
    return DONE_WITH_ERRORS if bad else DONE


def _said(found: Compared) -> str:
    if found.relation == "forked":
        return f"forked: entry {found.differs} is the first that differs: two histories"
    if found.relation == "same":
        return f"the same {found.first} entries"
    which = "first" if found.relation == "first-is-older" else "second"
    return f"the {which} is older: {min(found.first, found.second)} entries, which the other continues from there"


class _Gathered(Leaves):
    """Hashes of all entries, and the line of one."""

    def __init__(self, wanted: int | None) -> None:
        super().__init__()
        self.line = b""
        self._wanted = wanted

    def entry(self, entry: Entry, leaf: bytes) -> None:
        super().entry(entry, leaf)
        if entry.n == self._wanted:
            self.line = encode(entry)


# Files


def read_key(path: Path) -> Key:
    try:
        return Key.read(_octets(path, MAX_KEY))
    except HeadError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None


def _octets(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise Failed(UNREADABLE, f"{path}: {reason(error)}") from None
    if len(octets) > most:
        raise Failed(UNREADABLE, f"{path}: longer than {most} octets")
    return octets


def _anchors(key: Key, paths: Sequence[Path]) -> tuple[list[Kept], Finding | None]:
    """Heads of all files, and whether they contradict each other."""
    texts: list[str] = []
    for path in paths:
        texts += anchored(key, path)
    heads = kept(key, texts)
    return heads, forked(heads)


def anchored(key: Key, path: Path) -> list[str]:
    """The heads in an anchor, or the one in a file that is a head."""
    try:
        with path.open("rb") as file:
            begin = file.read(1)
            file.seek(0)
            if begin == b"m":
                text = _octets(path, MAX_KEY).decode()
                key.head(text)
                return [text]
            return list(heads_of(key, file))
    except OSError as error:
        raise Failed(UNREADABLE, f"{path}: {reason(error)}") from None
    except (BadLog, HeadError, UnicodeDecodeError) as error:
        raise Failed(DONE_WITH_ERRORS, f"{path}: {error}") from None


def _last_head(key: Key, path: Path) -> Kept:
    heads = kept(key, anchored(key, path))
    if not heads:
        raise Failed(UNREADABLE, f"{path}: there is no head in it")
    return heads[-1]


def _verify_file(path: Path, key: Key, as_json: bool) -> int:
    """One file, as that of which others lie elsewhere: from the head in its first line on."""
    try:
        (file,) = files.read(path.parent, [path.name])
        checked = piece(key, file).checked
    except FolderError as error:
        raise Failed(UNREADABLE, str(error)) from None
    except BadLog as error:
        raise Failed(DONE_WITH_ERRORS, str(error)) from None
    if as_json:
        _print_json(_report(checked, checked.found, 0, 0))
    else:
        _print_report(checked, checked.found, 0, 0)
    return DONE if checked.found is None else DONE_WITH_ERRORS


def _verify_proof(path: Path, key: Key, as_json: bool) -> int:
    try:
        proof = proofs.decode(_octets(path, proofs.MAX_OCTETS))
    except ProofError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None
    try:
        head, shown = proofs.check(proof, key)
    except ProofError as error:
        if as_json:
            _print_json({"proved": False, "reason": str(error)})
        else:
            click.echo(f"not proved: {error}")
        return DONE_WITH_ERRORS
    if as_json:
        _print_json({"proved": True, "log": head.log, "size": head.size, "root": head.root.hex()} | _proved(shown))
    elif isinstance(shown, Entry):
        click.echo(encode(shown).decode())
        click.echo(f"proved: this is entry {shown.n} of {head.size} of log {head.log}")
    else:
        click.echo(f"proved: the {head.size} entries of log {head.log} begin with the {shown.size} of the former head")
    return DONE


def _proved(shown: Entry | Head) -> dict[str, Any]:
    if isinstance(shown, Entry):
        return {"entry": msgspec.to_builtins(shown)}
    return {"former": {"size": shown.size, "root": shown.root.hex()}}


# What is told


def _finding(found: Finding | None) -> dict[str, Any] | None:
    return None if found is None else msgspec.to_builtins(found)


def _report(checked: Checked, found: Finding | None, met: int, anchored: int) -> dict[str, Any]:
    place = checked.place
    return {
        "good": found is None,
        "log": None if place is None else place.log,
        "entries": 0 if place is None else place.size,
        "heads": 0 if place is None else place.heads,
        "files": checked.files,
        "head": None if place is None or not place.head else encode(HeadLine(place.head)).decode(),
        "anchors": {"heads": anchored, "met": met},
        "unresolved": [each.n for each in checked.unresolved],
        "finding": _finding(found),
    }


def _print_report(checked: Checked, found: Finding | None, met: int, anchored: int) -> None:
    place = checked.place
    if place is not None:
        click.echo(f"log {place.log}: {place.size} entries, {place.heads} heads, {checked.files} files are good")
    if anchored:
        click.echo(f"anchor: {met} of {anchored} heads that were kept elsewhere are in it")
    if checked.unresolved:
        shown = ", ".join(str(each.n) for each in checked.unresolved[:SHOWN])
        more = "" if len(checked.unresolved) <= SHOWN else ", ..."
        click.echo(f"without an outcome: {len(checked.unresolved)} intents: {shown}{more}")
    if found is not None:
        click.echo(f"NOT WHAT WAS WRITTEN: {first_bad(found)}")
        return
    if not anchored:
        click.echo("it ends with a good head; whether it once was longer, an anchor alone can say (--anchor)")


def _print_json(report: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")

"""midcall audit review: whether what roles say of one thing agrees."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from midcall.audit.checking import Checked, Checker
from midcall.audit.lines import Entry
from midcall.audit.reviewing import Remark, Review, joined
from midcall.audit.shell import files
from midcall.audit.shell.files import FolderError
from midcall.cli.audit import read_key, require_good
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("logs", type=_FILE, nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--key", "keys", type=_FILE, required=True, multiple=True, help="The audit's public key (PEM, Ed25519); one a LOG."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def review(logs: tuple[Path, ...], keys: tuple[Path, ...], as_json: bool) -> int:
    """Say which entries of LOG, or of those of several hosts, the others do not bear out: a task that one role alone
    has armed, keys that nobody has asked for, tasks without a warrant, acts whose end nobody knows.

    The status is 4 when there are any, or when a LOG was changed.
    """
    if len(keys) not in (1, len(logs)):
        raise Failed(USAGE, "--key: one for each LOG, in their order, or one for all")
    found: list[list[Entry]] = [[] for _ in logs]
    checked: list[Checked] = []
    alone = Review()
    try:
        for log, key, entries in zip(logs, keys if len(keys) > 1 else keys * len(logs), found, strict=True):
            take = alone.entry if len(logs) == 1 else _into(entries)
            checked.append(Checker(read_key(key), on_entry=take).check(files.read(log)))
    except FolderError as error:
        raise Failed(UNREADABLE, str(error)) from None
    remarks = list(alone.remarks()) if len(logs) == 1 else joined(found)
    if as_json:
        good = all(each.found is None for each in checked)
        report = {"good": good, "remarks": [msgspec.to_builtins(each) for each in remarks]}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _print(remarks, logs)
    for log, each in zip(logs, checked, strict=True):
        require_good(log, each)
    return DONE_WITH_ERRORS if remarks else DONE


def _into(entries: list[Entry]) -> Callable[[Entry, bytes], None]:
    return lambda entry, _leaf: entries.append(entry)


def _print(remarks: list[Remark], logs: tuple[Path, ...]) -> None:
    for each in remarks:
        where = f"{logs[each.log]}: " if len(logs) > 1 else ""
        click.echo(f"{where}entry {each.n}: {each.reason}")
    click.echo(f"{len(remarks)} entries that the others do not bear out" if remarks else "what roles say agrees")

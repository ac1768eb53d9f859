"""midcall audit review: whether what roles say of one thing agrees."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from midcall.audit.checking import Checker
from midcall.audit.reviewing import Remark, Review
from midcall.audit.shell import files
from midcall.audit.shell.files import FolderError
from midcall.cli.audit import read_key, require_good
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, Failed

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("log", type=_FILE)
@click.option("--key", type=_FILE, required=True, help="The audit's public key (PEM, Ed25519).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def review(log: Path, key: Path, as_json: bool) -> int:
    """Say which entries of LOG the others do not bear out: a task that one role alone has armed, keys that nobody has
    asked for, tasks without a warrant, acts whose end nobody knows.

    The status is 4 when there are any, or when LOG was changed.
    """
    found = Review()
    try:
        checked = Checker(read_key(key), on_entry=found.entry).check(files.read(log))
    except FolderError as error:
        raise Failed(UNREADABLE, str(error)) from None
    remarks = list(found.remarks())
    if as_json:
        good = checked.found is None
        report = {"good": good, "remarks": [msgspec.to_builtins(each) for each in remarks]}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _print(remarks)
    require_good(log, checked)
    return DONE_WITH_ERRORS if remarks else DONE


def _print(remarks: list[Remark]) -> None:
    for each in remarks:
        click.echo(f"entry {each.n}: {each.reason}")
    click.echo(f"{len(remarks)} entries that the others do not bear out" if remarks else "what roles say agrees")

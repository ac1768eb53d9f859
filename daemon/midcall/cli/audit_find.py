"""midcall audit find: what was done under a warrant, or to a task; for those who have the identifier and the salt."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from midcall.audit.checking import Checker
from midcall.audit.lines import Entry, encode
from midcall.audit.shell import files
from midcall.audit.shell.files import FolderError
from midcall.base import credentials
from midcall.base.audit_link import Kind, digest
from midcall.base.audit_link.values import SALT_OCTETS
from midcall.base.credentials import CredentialError
from midcall.cli.audit import read_key, require_good
from midcall.cli.fail import DONE, UNREADABLE, USAGE, Failed

MAX_IDENTIFIER = 4_096
_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("log", type=_FILE)
@click.option("--key", type=_FILE, required=True, help="The audit's public key (PEM, Ed25519).")
@click.option("--salt", type=_FILE, required=True, help="The site's salt (hexadecimal, mode 600).")
@click.option("--kind", type=click.Choice([each.value for each in Kind]), default=Kind.WARRANT.value, show_default=True)
def find(log: Path, key: Path, salt: Path, kind: str) -> int:
    """Print the entries of LOG about an identifier: a warrant's id, an XID, an LIID, a Call-ID, ...

    The identifier is read from standard input, so that it stands in no list of processes. Entries are printed as they
    stand in the log, as far as that verifies; when it was changed behind them, the status is 4.
    """
    public = read_key(key)
    try:
        secret = bytes(credentials.read(salt, range(SALT_OCTETS, SALT_OCTETS + 1)))
    except CredentialError as error:
        raise Failed(USAGE, str(error)) from None
    identifier = sys.stdin.readline(MAX_IDENTIFIER + 2).rstrip("\r\n")
    if not 0 < len(identifier) <= MAX_IDENTIFIER:
        raise Failed(USAGE, f"standard input: an identifier of 1 to {MAX_IDENTIFIER} characters in one line")
    wanted = digest(secret, Kind(kind), identifier).hex()

    def entry(each: Entry, _leaf: bytes) -> None:
        if wanted in (each.object, each.warrant):
            click.echo(encode(each).decode())

    try:
        checked = Checker(public, on_entry=entry).check(files.read(log))
    except FolderError as error:
        raise Failed(UNREADABLE, str(error)) from None
    require_good(log, checked)
    return DONE

"""midcall inspect: a MIKEY message, the dialogs of a capture, or a file of PS-PDUs, for people (or as JSON)."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from pathlib import Path
from typing import BinaryIO

import click

from imswire import mikey, pcap
from midcall.cli import draw
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, Failed, reason, shown
from midcall.inspection import Broken, as_json, capture_dialogs, mikey_message, records

# A MIKEY message has at most this many octets; base64 of one a third more.
MAX_MIKEY = 65_535
# A SEQUENCE; base64 of a MIKEY message begins with A, for its version.
PS_PDU = b"\x30"


@click.command()
@click.argument("what", metavar="FILE|BASE64")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(what: str, as_json: bool) -> int:
    """Show what a MIKEY message says (file or base64), which dialogs a capture holds, or what was handed over.

    Files of HI2 and HI3 are shown record by record, with the rules that a record breaks. Keys are not shown.
    """
    path = Path(what)
    try:
        is_file = len(what) < 4096 and path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return _show_mikey(_decoded(what), as_json)
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if pcap.is_capture(head):
                return _show_capture(path, pcap.Reader(file.read), as_json)
            if not head:
                raise Failed(UNREADABLE, f"{path}: is empty; a replay leaves it so when nothing went over")
            if head[:1] == PS_PDU:
                return _show_records(path, file, as_json)
            octets = file.read(2 * MAX_MIKEY)
    except OSError as error:
        raise Failed(UNREADABLE, f"{path}: {reason(error)}") from None
    except pcap.PcapError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None
    return _show_mikey(octets if octets[:1] == b"\x01" else _decoded(octets.decode("latin-1")), as_json)


def _decoded(text: str) -> bytes:
    """Base64, also as it stands behind a=key-mgmt:mikey in a session description."""
    text = text.strip().removeprefix("a=key-mgmt:").strip().removeprefix("mikey").strip()
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Failed(UNREADABLE, f"{text[:40]!r}: neither a file nor base64") from None


def _show_mikey(octets: bytes, as_json: bool) -> int:
    try:
        described = mikey_message(octets)
    except mikey.MikeyError as error:
        raise Failed(UNREADABLE, f"MIKEY: {error}") from None
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return DONE
    out = draw.console()
    for line in draw.message(described):
        out.print(line)
    return DONE


def _show_capture(path: Path, reader: pcap.Reader, as_json: bool) -> int:
    found = capture_dialogs(reader)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        out = draw.console()
        for dialog in found["dialogs"]:
            for line in draw.dialog(dialog, out.width):
                out.print(line)
        if not found["dialogs"]:
            click.echo("no dialogs")
    for error in found["errors"]:
        click.echo(shown(f"midcall: {path}: frame {error['frame']}: {error['reason']}"), err=True)
    return DONE_WITH_ERRORS if found["errors"] else DONE


def _show_records(path: Path, file: BinaryIO, json_wanted: bool) -> int:
    """One record after the other, however long the file is."""
    out = draw.console()
    status = DONE
    separator = "[\n"
    try:
        for found in records(file.read):
            if json_wanted:
                click.echo(separator + json.dumps(as_json(found)), nl=False)
                separator = ",\n"
            else:
                for line in draw.record(found):
                    out.print(line)
            status = DONE_WITH_ERRORS if found.findings else status
    except Broken as error:
        click.echo(shown(f"midcall: {path}: {error}"), err=True)
        status = DONE_WITH_ERRORS
    if json_wanted:
        click.echo("[]" if separator == "[\n" else "\n]")
    return status

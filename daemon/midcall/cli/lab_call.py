"""A call with MIKEY-TICKET through a laboratory that runs: two simulated phones ask its KMS, and talk for a while.

``scripts/lab-call`` runs it. The phones are those of the demo; proxy, KMS and all behind them are the laboratory's.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
import time
from ipaddress import IPv4Address
from pathlib import Path

import click
from msgspec import Struct

from imswire import inet
from midcall import config as config_file
from midcall.cli import handing_over, kms
from midcall.cli.fail import DONE, UNREADABLE, USAGE, Failed, read_text, reason, shown
from midcall.cli.lab_calls import LiveCall, Place
from midcall.config import ConfigError, CscfConfig, DaemonConfig
from midcall.kms import Subscriber
from midcall.ue import lab
from midcall.ue.shell.kms import KmsAccess
from midcall.ue.ticket import TicketUser

TAKEN_OVER_SECONDS = 1.5
"""A KMS that runs looks each second whether its subscribers have changed."""
MAX_SECONDS = 3_600
CALL_ID_OCTETS = 8
NAME_LENGTH = 32


class Laboratory(Struct, frozen=True):
    """What a phone has to know of it: domain and proxy, name and address of the KMS, and the CA that vouches for it."""

    domain: str
    proxy: Place
    identity: str
    kms: tuple[str, int]
    ca: Path


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("config/midcall.toml"), show_default=True)
@click.option("--seconds", type=click.IntRange(1, MAX_SECONDS), default=60, show_default=True, help="Of talk.")
@click.option("--caller", default="alice", show_default=True, metavar="NAME", help="A user of the laboratory's domain.")
@click.option("--callee", default="bob", show_default=True, metavar="NAME", help="Another one.")
def lab_call(config: Path, seconds: int, caller: str, callee: str) -> int:
    """Let two simulated phones call each other through the laboratory that runs with the file. Ctrl-C: they hang up.

    They become subscribers of its KMS, with keys that are drawn anew. SIP goes through its proxy, media from 127.0.1.1
    to 127.0.1.2 and back. Exit status 3: the call has failed.
    """
    for name in (caller, callee):
        if not name.isascii() or not name.isalnum() or len(name) > NAME_LENGTH:
            raise Failed(USAGE, f"{name!r} is no name: at most {NAME_LENGTH} letters and digits")
    if caller == callee:
        raise Failed(USAGE, "--caller and --callee: one user cannot call himself here")
    found = laboratory(config)
    draw = secrets.token_bytes
    alice, bob = (lab.user(each, draw, domain=found.domain, kms=found.identity) for each in (caller, callee))
    added = [Subscriber((each.uri,), each.psk_id, each.psk) for each in (alice, bob)]
    with handing_over.orderly_end():
        kms.put(config, list(enumerate(added, 1)), "the phones")
        _say(f"{alice.uri} and {bob.uri} are subscribers of the KMS {found.identity}")
        time.sleep(TAKEN_OVER_SECONDS)
        return talk(found, (alice, bob), seconds)


def laboratory(path: Path) -> Laboratory:
    """That of a file of ``midcall run``. Failed(USAGE)."""
    try:
        read = config_file.daemon(read_text(path, config_file.MAX_OCTETS), DaemonConfig)
    except ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None
    if not read.service.lab:
        raise Failed(USAGE, f"{path}: service.lab is not true: simulated phones are for laboratories")
    if read.cscf is None or read.kms is None or read.kms.users is None or read.kms.xk is None:
        raise Failed(USAGE, f"{path}: needs [cscf], [kms.users], and [kms.xk] for its CA")
    return Laboratory(
        read.cscf.domains[0],
        _proxy(path, read.cscf),
        read.kms.identity,
        config_file.address(read.kms.users.listen),
        Path(read.kms.xk.ca),
    )


def _proxy(path: Path, cscf: CscfConfig) -> Place:
    """Where the phones, which have IPv4 and UDP, find it."""
    for door in cscf.listen:
        host, port = config_file.address(door.address)
        try:
            if door.transport == "udp":
                return inet.pack(str(IPv4Address(host))), port
        except ValueError:
            continue
    raise Failed(USAGE, f"{path}: cscf.listen: none of UDP on an IPv4 address, which the phones need")


def talk(found: Laboratory, pair: tuple[TicketUser, TicketUser], seconds: int) -> int:
    """One call, from both registrations to their end. Failed(UNREADABLE): it was none."""
    call_id = f"{secrets.token_hex(CALL_ID_OCTETS)}@{found.domain}"
    try:
        ask = KmsAccess(*found.kms, found.ca)
        call = LiveCall(0, pair, ask, None, threading.Event(), _say, proxy=found.proxy, call_id=call_id)
    except OSError as error:
        raise Failed(UNREADABLE, f"{error.filename or 'a socket of the phones'}: {reason(error)}") from None
    with contextlib.closing(call):
        try:
            _say(f"Call-ID {call_id}")
            call.begin(0)
            call.until_talk()
            call.until_failed(seconds)
        finally:
            call.end()
            call.join()
            with contextlib.suppress(OSError) if call.failed else contextlib.nullcontext():
                call.leave()
    if call.failed is not None:
        raise Failed(UNREADABLE, f"the call has failed: {type(call.failed).__name__}: {call.failed}")
    _say(f"{len(call.call.sent)} packets of SRTP were sent")
    return DONE


def _say(text: str) -> None:
    click.echo(shown(text))


def main() -> None:
    """As ``midcall`` ends: one line for a failure, and its status."""
    try:
        sys.exit(lab_call.main(prog_name="lab-call", standalone_mode=False) or DONE)
    except Failed as failed:
        click.echo(f"lab-call: {failed}", err=True)
        sys.exit(failed.status)
    except click.UsageError as error:
        error.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


if __name__ == "__main__":
    main()

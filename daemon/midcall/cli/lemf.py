"""midcall lemf: receives what deliverers hand over, proves it, stores it, shows it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from rich.console import Console

from midcall.base import tls
from midcall.base.tls_end import TlsEnd
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, read_text, reason, shown
from midcall.lemf import Lemf, Rules
from midcall.lemf.shell.misbehave import Kind, Misbehaviour
from midcall.lemf.shell.server import Receiver
from midcall.lemf.shell.store import DEFAULT_LIMIT, Store, StoreError
from midcall.lemf.shell.view import Lines, Screen

MAX_KEY_FILE = 1 << 16
FILES_WANTED = 5 << 12
"""Open files: two WAV files for each of 4 096 calls, as many stores, and as many again while these are synced."""


@click.command()
@click.option("--listen", required=True, metavar="HOST:PORT", help="Address to listen on; port 0: a free one.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for what is received.")
@click.option("--cert", required=True, type=click.Path(path_type=Path), help="This receiver's certificate (PEM).")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Its private key (PEM, mode 600).")
@click.option("--ca", required=True, type=click.Path(path_type=Path), help="CA of the deliverers (PEM).")
@click.option("--crl", type=click.Path(path_type=Path), help="Revocation list of that CA (PEM).")
@click.option("--peer", "peers", multiple=True, metavar="NAME", help="Deliverer (subjectAltName); default: all.")
@click.option(
    "--integrity-key", "keys", multiple=True, type=click.Path(path_type=Path), help="Deliverer's key (Ed25519)."
)
@click.option("--tls-1.2", "tls_1_2", is_flag=True, help="Take TLS 1.2 too (ECDHE and AEAD suites only).")
@click.option("--limit-mb", type=click.IntRange(1, 1 << 30), default=DEFAULT_LIMIT >> 20, show_default=True)
@click.option("--no-media", "plays", flag_value=False, default=True, help="Make no pcap and WAV files of calls.")
@click.option("--misbehave", metavar="KIND[:N]", help=f"Tests only: {', '.join(Kind)}; of the first N connections.")
def lemf(
    listen: str,
    out: Path,
    cert: Path,
    key: Path,
    ca: Path,
    crl: Path | None,
    peers: tuple[str, ...],
    keys: tuple[Path, ...],
    tls_1_2: bool,
    limit_mb: int,
    plays: bool,
    misbehave: str | None,
) -> int:
    """Receive HI1, HI2 and HI3 (TS 102 232-1) from deliverers over mutual TLS, until SIGINT or SIGTERM.

    Every PS-PDU is validated; findings go to OUT/findings.jsonl. Each LIID has a folder with hi1.ber, hi2.ber and
    hi3.ber as received, and (without --no-media) a pcap and WAV files a call. On SIGHUP certificate, key, CA and CRL
    are read anew.
    """
    host, port = _address(listen)
    fault = _misbehaviour(misbehave)

    def read() -> TlsEnd:
        return TlsEnd.server(tls.Identity(cert, key, ca, crl), tls.PeerName(*peers), tls_1_2=tls_1_2)

    try:
        end = read()
    except tls.TlsError as error:
        raise Failed(USAGE, str(error)) from None
    accept = fault is None or fault.kind is not Kind.DECLINE_OPTIONS
    core = Lemf(Rules(keys=tuple(map(_integrity_key, keys)), acknowledge=accept))
    _raise_file_limit()
    # Nobody but the owner reads what was intercepted, media included.
    former = os.umask(0o077)
    try:
        return _run(core, out, limit_mb, end, read, fault, host, port, plays)
    finally:
        os.umask(former)


def _run(
    core: Lemf,
    out: Path,
    limit_mb: int,
    end: TlsEnd,
    read: Callable[[], TlsEnd],
    fault: Misbehaviour | None,
    host: str,
    port: int,
    plays: bool,
) -> int:
    try:
        files = Store(out, limit_mb << 20)
    except OSError as error:
        raise Failed(UNREADABLE, f"{out}: {reason(error)}") from None
    view = Screen(Console()) if sys.stdout.isatty() else Lines(_line)
    with _alone(out):
        return asyncio.run(_serve(core, files, end, read, fault, view, host, port, plays))


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Nobody else stores in this folder until the process ends, however it does."""
    try:
        folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Failed(UNREADABLE, f"{out}: {reason(error)}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Failed(UNREADABLE, f"{out}: another receiver stores there; give each a folder of its own") from None
    finally:
        os.close(folder)


async def _serve(
    core: Lemf,
    files: Store,
    end: TlsEnd,
    read: Callable[[], TlsEnd],
    fault: Misbehaviour | None,
    view: Screen | Lines,
    host: str,
    port: int,
    plays: bool,
) -> int:
    try:
        receiver = Receiver(core, files, end, fault, view.tell, plays=plays)
    except OSError as error:
        raise Failed(UNREADABLE, _why(error, str(files.out))) from None
    try:
        receiver.restore()
        address = await receiver.start(host, port)
    except (OSError, StoreError) as error:
        await receiver.stop()
        raise Failed(UNREADABLE, _why(error, f"{host}:{port}")) from None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, receiver.done.set)

    def renew() -> None:
        try:
            ended = end.renew(read())
        except tls.TlsError as error:
            view.tell("reload", f"{error}; what was read before stays in force")
        else:
            view.tell("reload", f"certificate, key, CA and CRL read anew; {ended} links ended by it")

    loop.add_signal_handler(signal.SIGHUP, renew)
    view.start(receiver, f"{address[0]}:{address[1]}")
    try:
        await receiver.done.wait()
    finally:
        await receiver.stop()
        view.stop()
    _summary(receiver)
    if receiver.failed:
        raise Failed(UNREADABLE, f"{files.out}: {receiver.failed}")
    return DONE_WITH_ERRORS if receiver.findings else DONE


def _why(error: OSError | StoreError, address: str) -> str:
    """Which file, or the address; asyncio's own words for the latter repeat it."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename:
        return f"{error.filename}: {reason(error)}"
    known = error.errno is not None and error.errno > 0
    return f"{address}: {os.strerror(error.errno or 0) if known else reason(error)}"


def _summary(receiver: Receiver) -> None:
    core = receiver.lemf
    _line(
        f"{core.pdus} PS-PDUs, {receiver.stored} stored, of {len(core.intercepts)} LIIDs"
        f" over {receiver.connections} connections ({receiver.refused} refused), {len(core.calls)} calls,"
        f" {receiver.media.finished} files of media -> {receiver.store.out}"
    )
    counts = ", ".join(f"{count} {rule}" for rule, count in sorted(core.findings.counts.items()))
    _line(
        f"{core.checked} under a verified hash, {core.uncovered} not covered yet, {core.repeats} repeats left out,"
        f" {core.doubled} doubled; findings: {counts or 'none'}"
    )


def _line(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        click.echo(shown(text))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise Failed(USAGE, f"--listen: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _misbehaviour(text: str | None) -> Misbehaviour | None:
    if text is None:
        return None
    try:
        return Misbehaviour.parse(text)
    except ValueError:
        raise Failed(USAGE, f"--misbehave: {text!r} is none of {', '.join(Kind)}, each with :N or without") from None


def _integrity_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(read_text(path, MAX_KEY_FILE).encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Failed(USAGE, f"{path}: no public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Failed(USAGE, f"{path}: not an Ed25519 key")
    return key


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""midcall kms: subscribers and ticket protection keys of a KMS, in its sealed store; nothing is ever shown."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from msgspec import Struct

from midcall import config as config_file
from midcall.base import credentials
from midcall.base.audit_link import Act, AuditLink, NotAudited, Role, announced
from midcall.base.audit_link.values import SALT_OCTETS
from midcall.base.credentials import CredentialError
from midcall.base.seal import KEY_OCTETS, SealKey
from midcall.cli.checks.secrets import Secrets
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, read_text, reason
from midcall.config import ConfigError, DaemonConfig, KmsConfig
from midcall.kms import Subscriber
from midcall.kms.keyfile import subscriber_line
from midcall.kms.shell.sealed import HOUR, SealedStore, StoreError

MAX_LINE = 1 << 16
TOGETHER = 1_000
"""Subscribers of one commit: a KMS that runs waits for no more when it writes."""

_CONFIG = click.option(
    "--config", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The KMS's file."
)
_LIST = click.argument("lines", type=click.Path(path_type=Path, allow_dash=True), metavar="LIST")


@click.group()
def kms() -> None:
    """Administer a KMS: its subscribers and its ticket protection keys.

    Run it as root or as the KMS's user. A KMS that runs takes over what has changed within a second.
    """


@kms.command()
@_CONFIG
@_LIST
def add(config: Path, lines: Path) -> int:
    """Add subscribers, or replace those that have the same psk_id: all of LIST, or none.

    LIST (-: standard input) has a line of JSON each: {"identities": ["sip:..."], "psk_id": "...", "psk": "hex"}.
    """
    added = list(_read(lines))
    replaced = put(config, added, _shown(lines))
    click.echo(f"{len(added) - replaced} added, {replaced} replaced")
    return DONE


def put(config: Path, added: list[tuple[int, Subscriber]], named: str) -> int:
    """Add subscribers, each with the number of its line in the list ``named``; returns how many of them were replaced.

    Failed: nothing was done.
    """
    with _store(config) as store:
        known = {each.psk_id: each for each in store.subscribers()}
        _require_apart(named, added, known)
        with _announced(config, len(added)):
            for start in range(0, len(added), TOGETHER):
                store.put_subscribers(each for _, each in added[start : start + TOGETHER])
    return sum(each.psk_id in known for _, each in added)


@kms.command()
@_CONFIG
@_LIST
def remove(config: Path, lines: Path) -> int:
    """Remove subscribers. LIST (-: standard input) has a line of JSON each: {"psk_id": "..."}.

    Tickets that they have stay valid until these end. Exit status 4: some were not there.
    """
    wanted = [_named(lines, number, line) for number, line in _lines(lines)]
    with _store(config) as store:
        known = {each.psk_id: each for each in store.subscribers()}
        gone = [known[each] for each in dict.fromkeys(wanted) if each in known]
        with _announced(config, len(gone)):
            for start in range(0, len(gone), TOGETHER):
                store.remove_subscribers(gone[start : start + TOGETHER])
    missing = len(set(wanted)) - len(gone)
    click.echo(f"{len(gone)} removed, {missing} were not there")
    return DONE_WITH_ERRORS if missing else DONE


@kms.command()
@_CONFIG
def count(config: Path) -> int:
    """Say how many subscribers and ticket protection keys there are, and nothing else of them."""
    with _store(config) as store:
        subscribers = store.subscribers()
        identities = sum(len(each.identities) for each in subscribers)
        click.echo(f"{len(subscribers)} subscribers with {identities} identities")
        click.echo(f"{len(store.tpks)} ticket protection keys")
    return DONE


@kms.command("rotate-tpk")
@_CONFIG
def rotate_tpk(config: Path) -> int:
    """Let a new ticket protection key serve new tickets; the others open theirs as long as the KMS's file has it."""
    with _store(config) as store:
        keep = _settings(config)[1].tpk.keep_hours * HOUR
        with _announced(config, 1):
            store.turn(time.time_ns(), 0, keep, secrets.token_bytes)
        click.echo(f"a new ticket protection key serves new tickets; {len(store.tpks)} are kept")
    return DONE


# Lists


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    psk_id: str


_NAME = msgspec.json.Decoder(_Name)


def _read(path: Path) -> Iterator[tuple[int, Subscriber]]:
    """Subscribers, each with the number of its line."""
    for number, line in _lines(path):
        try:
            yield number, subscriber_line(line)
        except ValueError as error:
            raise Failed(UNREADABLE, f"{_shown(path)}: line {number}: {error}") from None


def _named(path: Path, number: int, line: bytes) -> bytes:
    try:
        return _NAME.decode(line).psk_id.encode()
    except msgspec.DecodeError:
        raise Failed(UNREADABLE, f'{_shown(path)}: line {number}: not {{"psk_id": "..."}}') from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not empty; a file has to be its owner's alone."""
    try:
        with _opened(path) as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise Failed(UNREADABLE, f"{_shown(path)}: line {number}: longer than {MAX_LINE} octets")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise Failed(UNREADABLE, f"{_shown(path)}: {reason(error)}") from None


def _opened(path: Path) -> BinaryIO:
    if str(path) == "-":
        return os.fdopen(0, "rb", closefd=False)
    file = path.open("rb")
    if credentials.is_open_to_others(os.fstat(file.fileno())):
        file.close()
        raise Failed(USAGE, f"{path}: others than its owner have access to these keys; chmod 600 it")
    return file


def _shown(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _require_apart(named: str, added: list[tuple[int, Subscriber]], known: dict[bytes, Subscriber]) -> None:
    """An identity is one subscriber's: whose tickets a warrant opens must not depend on who was added last."""
    own = {each.psk_id for _, each in added}
    holders = {form: name for name, each in known.items() if name not in own for form in each.forms}
    for number, each in added:
        for form in each.forms:
            if holders.setdefault(form, each.psk_id) != each.psk_id:
                raise Failed(UNREADABLE, f"{named}: line {number}: an identity is another subscriber's")


# The store


def _settings(path: Path) -> tuple[DaemonConfig, KmsConfig]:
    try:
        found = config_file.daemon(read_text(path, config_file.MAX_OCTETS), DaemonConfig)
    except ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None
    if found.kms is None:
        raise Failed(USAGE, f"{path}: has no table [kms]")
    return found, found.kms


@contextmanager
def _announced(path: Path, count: int) -> Iterator[None]:
    """In the audit, where the KMS has one, before it is done."""
    found, settings = _settings(path)
    if settings.audit is None:
        yield
        return
    folder = os.environ.get("CREDENTIALS_DIRECTORY") or found.service.credentials
    place = Secrets.of(path, folder, "kms").place
    try:
        salt = credentials.read(Path(place(settings.audit.salt)), range(SALT_OCTETS, SALT_OCTETS + 1))
        link = AuditLink(path=Path(settings.audit.socket), role=Role.CLI, salt=bytes(salt))
        with announced(link, Act.KEYS_MANAGE, count=count):
            yield
    except CredentialError as error:
        raise Failed(USAGE, str(error)) from None
    except NotAudited as error:
        raise Failed(UNREADABLE, f"{settings.audit.socket}: {error}; nothing was done") from None


@contextmanager
def _store(path: Path) -> Iterator[SealedStore]:
    """That of the KMS, which has made it at its first start: as its user, who has to be able to write it."""
    found, settings = _settings(path)
    folder = os.environ.get("CREDENTIALS_DIRECTORY") or found.service.credentials
    place = Secrets.of(path, folder, "kms").place
    if not Path(settings.store).is_file():
        raise Failed(USAGE, f"{settings.store}: not there; the KMS makes it at its first start")
    try:
        octets = credentials.read(Path(place(settings.seal)), range(KEY_OCTETS, KEY_OCTETS + 1))
        with SealKey(octets) as seal:
            octets[:] = bytes(len(octets))
            store = SealedStore(Path(settings.store), seal)
            try:
                yield store
            finally:
                store.close()
    except (CredentialError, StoreError) as error:
        raise Failed(USAGE, str(error)) from None

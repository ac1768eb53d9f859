"""midcall warrant against an ADMF: the same commands, on warrants by their ids, as the person of a certificate."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from msgspec import Struct

from midcall import config as config_file
from midcall.admf import wire
from midcall.admf.roles import Command
from midcall.admf.values import AlarmKind
from midcall.base import tls
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.tls import PeerName, TlsError
from midcall.base.tls_end import TlsEnd
from midcall.base.warrant import FormError, Revocation, Warrant, envelope, value
from midcall.base.warrant.envelope import Envelope, Signature
from midcall.cli import outcome
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, read_text, shown
from midcall.config import ConfigError, WarrantsTable

SECONDS = 15.0
EVIDENCE = frozenset(
    {
        AlarmKind.STRANGE_TASK,
        AlarmKind.ALTERED_TASK,
        AlarmKind.STRANGE_DESTINATION,
        AlarmKind.ALTERED_DESTINATION,
    }
)
"""Somebody else's hand: the ADMF has ended it before anybody can look, and somebody has to look all the same."""
EVIDENCE_NS = 24 * 3_600 * 1_000_000_000
_FILE = click.Path(path_type=Path)
T = TypeVar("T", bound=Struct)
service_option = click.option(
    "--service", type=_FILE, metavar="FILE", help="Ask the ADMF that this file names, as the person of its certificate."
)
_STATUS = {
    403: "this certificate may not ask that",
    429: "asked too often; wait a minute",
}


class Service:
    """An ADMF, and who asks it."""

    def __init__(self, path: Path) -> None:
        """Failed."""
        try:
            table = config_file.warrants(read_text(path, config_file.MAX_OCTETS))
            crl = Path(table.crl) if table.crl else None
            identity = tls.Identity(Path(table.certificate), Path(table.key), Path(table.ca), crl)
            context = tls.client_context(identity, check_host=not table.peers)
        except ConfigError as error:
            raise Failed(USAGE, f"{path}: {error}") from None
        except TlsError as error:
            raise Failed(USAGE, str(error)) from None
        self._table: WarrantsTable = table
        self._context = context

    def ask(self, command: Command, what: Struct | bytes, kind: type[T]) -> T:
        """Failed: it was not done, and why."""
        octets = what if isinstance(what, bytes) else msgspec.json.encode(what)
        status, body = asyncio.run(self._post(wire.path(command), octets))
        try:
            if status == 200:
                return msgspec.json.decode(body, type=kind)
            if status in (409, 503):
                refusal = msgspec.json.decode(body, type=wire.Refusal)
                raise Failed(DONE_WITH_ERRORS, f"refused: {refusal.code}: {refusal.reason}")
        except msgspec.MsgspecError:
            raise Failed(UNREADABLE, f"{self._table.url} answers with something else than it was asked") from None
        raise Failed(UNREADABLE, f"{self._table.url}: {_STATUS.get(status, f'answers with status {status}')}")

    async def _post(self, path: str, octets: bytes) -> tuple[int, bytes]:
        client = HttpsClient(self._table.url, TlsEnd(self._context, PeerName(*self._table.peers)), 1)
        try:
            answer = await client.post(path, octets, wire.KIND, SECONDS, wire.MAX_ANSWER)
        except Unreachable as error:
            raise Failed(UNREADABLE, f"{self._table.url} {error}") from None
        finally:
            await client.close()
        return answer.status, bytes(answer.body)

    def shown(self, identifier: str) -> tuple[wire.Shown, Envelope, Warrant | Revocation]:
        """The last version of a warrant. Failed."""
        found = self.ask(Command.SHOW, named(identifier), wire.Shown)
        try:
            read = envelope.read(found.file.encode())
            return found, read, value.decode(read.signed)
        except FormError as error:
            raise Failed(UNREADABLE, f"{identifier}: {error}") from None

    def former(self, identifier: str) -> Warrant:
        """What a next version is drawn up from. Failed."""
        _, _, signed = self.shown(identifier)
        if not isinstance(signed, Warrant):
            raise Failed(USAGE, f"{identifier}: is a revocation, and nothing comes behind one; draft a new warrant")
        return signed

    def draft(self, signed: Warrant | Revocation) -> int:
        octets = envelope.write(envelope.draft(value.encode(signed)))
        return _done(self.ask(Command.DRAFT, octets, wire.Done))

    def approve(self, signed: Warrant | Revocation, digest: str, signature: Signature) -> int:
        approval = wire.Approval(signed.id, signed.version, digest, signature)
        return _done(self.ask(Command.APPROVE, approval, wire.Done))

    def act(self, command: Command, identifier: str) -> wire.Done:
        """Order that it be activated, or revoked. Failed: it was not taken."""
        done = self.ask(command, named(identifier), wire.Done)
        _done(done)
        return done

    def carry_out(self, command: Command, identifier: str) -> int:
        """Order it, and tell what elements make of it. Failed: it was not taken."""
        done = self.act(command, identifier)
        return outcome.follow(
            command,
            done,
            lambda: self.ask(Command.SHOW, named(identifier), wire.Shown),
            lambda text: click.echo(shown(text)),
        )


def named(identifier: str) -> wire.Named:
    """Failed: no identifier of a warrant."""
    try:
        return msgspec.convert({"id": identifier}, wire.Named)
    except msgspec.ValidationError:
        raise Failed(USAGE, "with --service a warrant is named by its id") from None


def _done(done: wire.Done) -> int:
    click.echo(shown(f"{done.id} version {done.version}: {done.outcome}; {done.status}"))
    return DONE


@click.command(name="list")
@click.option("--service", type=_FILE, metavar="FILE", required=True, help="Names the ADMF, and your certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_warrants(service: Path, as_json: bool) -> int:
    """List the warrants of an ADMF, as far as your role may see them."""
    found = Service(service).ask(Command.LIST, wire.Nothing(), wire.Listed)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return DONE
    for each in found.warrants:
        when = f"  {each.start} to {each.end}  {each.agency}" if each.start else ""
        waits = f"  waits for {each.waits_for}" if each.waits_for else ""
        line = f"{each.id:<24}  {each.version:>3}  {each.status:<20}  {each.approvals} signed  {each.digest[:12]}"
        click.echo(shown(line + when + waits))
    return DONE


@click.command()
@click.option("--service", type=_FILE, metavar="FILE", required=True, help="Names the ADMF, and your certificate.")
@click.option("--all", "everything", is_flag=True, help="Those that are over as well.")
def alarms(service: Path, everything: bool) -> int:
    """Tell what somebody has to look at: what elements held, lost, refused or reported. Status 4: there is something.

    What was found that nobody had ordered is told for a day, though it was ended at once.
    """
    found = Service(service).ask(Command.ALARMS, wire.Nothing(), wire.Alarmed)
    recent = time.time_ns() - EVIDENCE_NS
    standing = [each for each in found.alarms if not each.until or (each.kind in EVIDENCE and each.since > recent)]
    for each in found.alarms if everything else standing:
        over = f" until {_time(each.until)}" if each.until else ""
        named = " ".join(word for word in (each.element, each.subject, each.detail) if word)
        click.echo(shown(f"{_time(each.since)}{over}  {each.kind}: {named}"))
    return DONE_WITH_ERRORS if standing else DONE


@click.command()
@click.option("--service", type=_FILE, metavar="FILE", required=True, help="Names the ADMF, and your certificate.")
def health(service: Path) -> int:
    """Tell which elements answer the ADMF. Status 4: one does not."""
    found = Service(service).ask(Command.HEALTH, wire.Nothing(), wire.Health)
    for ne, answers in sorted(found.elements.items()):
        click.echo(shown(f"{ne}: {'answers' if answers else 'does not answer'}"))
    return DONE if all(found.elements.values()) else DONE_WITH_ERRORS


@click.command()
@click.option("--service", type=_FILE, metavar="FILE", required=True, help="Names the ADMF, and your certificate.")
def clock(service: Path) -> int:
    """Say that the clock of the ADMF's host is right, after it has jumped: windows go by it again. Look at it first."""
    Service(service).ask(Command.CLOCK, wire.Nothing(), wire.Nothing)
    return DONE


def tell_elements(found: wire.Shown) -> list[str]:
    """Lines of ``show``."""
    lines = [f"status:        {found.status}", f"drafted by:    {found.drafted_by}"]
    for ne, tasks in sorted(found.elements.items()):
        lines += [f"at {ne + ':':<12} XID {xid}: {state}" for xid, state in sorted(tasks.items())]
    return lines


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commands() -> tuple[Any, ...]:
    """Those that only an ADMF answers."""
    return list_warrants, alarms, health, clock

"""midcall warrant activate, revoke: brings the tasks of a signed warrant to elements over X1, and ends them."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import click
from msgspec import Struct, structs

from imswire import x1
from imswire.x1 import ErrorCode
from midcall.admf import plan
from midcall.admf.plan import At
from midcall.admf.roles import Command
from midcall.base import tls
from midcall.base.https import Unreachable
from midcall.base.tls import TlsError
from midcall.base.warrant import FormError, Warrant, envelope, value
from midcall.base.x1_element.shell import binding
from midcall.base.x1_element.shell.client import X1Client
from midcall.cli import at_admf
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, shown
from midcall.cli.warrant import read_octets

_FILE = click.Path(path_type=Path)


class Order(Struct, frozen=True):
    """A warrant and its file's octets, the elements from the LEMF's side to the target's, who asks."""

    warrant: Warrant
    octets: bytes
    elements: tuple[At, ...]
    context: ssl.SSLContext
    admf: str


class Say(Protocol):
    """Told how each request went."""

    def __call__(self, text: str, *, err: bool = False) -> None: ...


Asked = tuple[type[x1.Request], Any]


def _options(command: Callable[..., int]) -> Callable[..., int]:
    """What both commands need."""
    for each in reversed(
        (
            click.argument("file", type=_FILE),
            click.option("--element", "urls", multiple=True, metavar="URL", help="https://HOST:PORT; repeatable."),
            click.option("--neid", "nes", multiple=True, metavar="ID", help="The element's identifier on X1."),
            click.option("--role", "roles", multiple=True, type=click.Choice(("poi", "df")), help="What it is."),
            click.option("--x2", default="", metavar="HOST:PORT", help="Where POIs send X2: the address of the DF."),
            click.option("--admf", metavar="ID", help="Who asks: the UID of the certificate."),
            click.option("--cert", type=_FILE, help="Certificate (PEM)."),
            click.option("--key", type=_FILE, help="Its key (PEM, mode 600)."),
            click.option("--ca", type=_FILE, help="The CA of the elements (PEM)."),
            click.option("--crl", type=_FILE, help="Its revocation list (PEM)."),
            at_admf.service_option,
        )
    ):
        command = each(command)
    return command


@click.command()
@_options
def activate(file: Path, **given: Any) -> int:
    """Activate the tasks of FILE: destinations first, the DF, POIs last. Each --element has a --neid and a --role.

    With --service the ADMF activates the warrant of that id, and what the elements make of it is waited for.
    """
    return _run(file, given, begin, Command.ACTIVATE)


@click.command()
@_options
def revoke(file: Path, **given: Any) -> int:
    """End the tasks of FILE: POIs first, the DF last. Needs nobody's approval, and the same options as activate."""
    return _run(file, given, end, Command.REVOKE)


def _run(file: Path, given: dict[str, Any], work: Callable[[Order], Coroutine[Any, Any, int]], command: Command) -> int:
    service = given.pop("service")
    if service is not None:
        if any(given.values()):
            raise Failed(USAGE, "--service goes with nothing else: the ADMF knows elements and certificates")
        return at_admf.Service(service).carry_out(command, str(file))
    for name in ("admf", "cert", "key", "ca"):
        if not given[name]:
            raise Failed(USAGE, f"--{name} is missing; or give --service")
    admf = given["admf"]
    own = tls.Identity(given["cert"], given["key"], given["ca"], given["crl"])
    return asyncio.run(work(order(file, _elements(given), given["x2"], own, admf)))


def order(file: Path, elements: tuple[At, ...], x2: str, own: tls.Identity, admf: str) -> Order:
    """What is to be asked for the warrant in a file, by ``admf`` with the certificate ``own``. Failed."""
    octets = read_octets(file)
    try:
        warrant = value.decode(envelope.read(octets).signed)
    except FormError as error:
        raise Failed(UNREADABLE, f"{file}: {error}") from None
    if not isinstance(warrant, Warrant):
        raise Failed(USAGE, f"{file}: is a revocation; give the warrant whose tasks are meant")
    if any(each.role == "poi" for each in elements) and not re.fullmatch(r"\S+:\d{1,5}", x2):
        raise Failed(USAGE, "--x2 HOST:PORT is needed for a POI")
    try:
        binding.require_own(own.certificate, "admf", admf)
        context = tls.client_context(own, check_host=False)
    except TlsError as error:
        raise Failed(USAGE, str(error)) from None
    return Order(warrant, octets, tuple(structs.replace(each, x2=x2) for each in elements), context, admf)


def _elements(given: dict[str, Any]) -> tuple[At, ...]:
    urls, nes, roles = given["urls"], given["nes"], given["roles"]
    if not urls or not len(urls) == len(nes) == len(roles):
        raise Failed(USAGE, "each --element needs a --neid and a --role, in the same order")
    found = tuple(At(role, ne, url.rstrip("/")) for role, ne, url in zip(roles, nes, urls, strict=True))
    for each in found:
        if not re.fullmatch(r"https://[^/\s]+:\d{1,5}", each.url):
            raise Failed(USAGE, "--element: https://HOST:PORT, without a path")
    # What takes product in stands before what gives it.
    return tuple(sorted(found, key=lambda each: plan.ROLES.index(each.role)))


def _echo(text: str, *, err: bool = False) -> None:
    click.echo(shown(text), err=err)


async def begin(given: Order, say: Say = _echo) -> int:
    """Activate the tasks; the exit status. Stops at the first that is refused."""
    for each in given.elements:
        client = X1Client(each.url, given.context, given.admf, each.ne)
        try:
            for asked in _begun(each, given):
                if not await _ask(client, each, asked, say):
                    say("stopped here: what was activated before stays so until it is revoked", err=True)
                    return DONE_WITH_ERRORS
        finally:
            await client.close()
    return DONE


async def end(given: Order, say: Say = _echo) -> int:
    """Deactivate the tasks; the exit status. Goes on whatever is answered: as much as possible is to end."""
    done = True
    for each in reversed(given.elements):
        client = X1Client(each.url, given.context, given.admf, each.ne)
        try:
            for target in given.warrant.targets:
                done &= await _ask(client, each, (x1.DeactivateTaskRequest, target.xid), say)
            await _ask(client, each, (x1.RemoveDestinationRequest, plan.did(each, given.warrant)), say)
        finally:
            await client.close()
    return DONE if done else DONE_WITH_ERRORS


# An element that has it already, or has it no more, is where it is to be.
_THERE = {
    int(ErrorCode.XID_EXISTS): x1.GetTaskDetailsRequest,
    int(ErrorCode.DID_EXISTS): x1.GetDestinationDetailsRequest,
}
_GONE = {int(ErrorCode.XID_UNKNOWN), int(ErrorCode.DID_UNKNOWN)}


async def _ask(client: X1Client, at: At, asked: Asked, say: Say) -> bool:
    """Ask, and tell the answer; whether things are now as they were to be."""
    kind, member = asked
    name = f"{at.ne}: {kind.__name__.removesuffix('Request')} {_identifier(member)}"
    try:
        response = await client.ask(kind, member)
        if isinstance(response, x1.ErrorResponse) and response.error.code in _THERE:
            found = await client.ask(_THERE[response.error.code], _identifier(member))
            if _held(found) == member:
                say(f"{name}: is there already")
                return True
    except (Unreachable, x1.X1Error) as error:
        say(f"{name}: not done: {error}", err=True)
        return False
    if isinstance(response, x1.ErrorResponse):
        if response.error.code in _GONE and isinstance(member, str):
            say(f"{name}: was not there")
            return True
        say(f"{name}: refused: {response.error.code} {response.error.description}", err=True)
        return False
    assert isinstance(response, x1.Acknowledgement)
    say(f"{name}: {'done' if response.ok is x1.Ok.COMPLETED else 'acknowledged, begins later'}")
    return True


def _identifier(member: Any) -> str:
    if isinstance(member, x1.TaskDetails):
        return member.xid
    return member.did if isinstance(member, x1.DestinationDetails) else str(member)


def _held(response: x1.Response) -> object:
    if isinstance(response, x1.GetTaskDetailsResponse):
        return response.details.task
    return response.details.destination if isinstance(response, x1.GetDestinationDetailsResponse) else None


def _begun(at: At, given: Order) -> list[Asked]:
    warrant = given.warrant
    tasks = [plan.task(at, warrant, given.octets, target) for target in warrant.targets]
    return [
        (x1.CreateDestinationRequest, plan.destination(at, warrant)),
        *((x1.ActivateTaskRequest, each) for each in tasks),
    ]

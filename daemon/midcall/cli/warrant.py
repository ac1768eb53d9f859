"""midcall warrant: drafts, approves and shows signed warrants."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from midcall import config
from midcall.base import warrant as warrants
from midcall.base.warrant import Envelope, FormError, Refused, Revocation, TrustList, Warrant, envelope, value
from midcall.base.warrant.envelope import Signature
from midcall.cli import at_admf, drafting, secret, token
from midcall.cli.at_admf import Service
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, read_text, reason, shown
from midcall.events import Instant

DEFAULT_DAYS = 365
_FILE = click.Path(path_type=Path)


@click.group()
def warrant() -> None:
    """Draft, approve and show signed warrants. Nothing is intercepted but under one.

    With --service the book of an ADMF is worked on, and a warrant is named by its id; without it, files.
    """


for _command in at_admf.commands():
    warrant.add_command(_command)


@warrant.command()
@click.argument("template", type=_FILE, required=False)
@click.option("--out", type=_FILE, help="File for the draft; it must not be there yet.")
@click.option("--example", is_flag=True, help="Print a template with comments, and nothing else.")
@click.option("--order", "document", type=_FILE, help="Document of the order: its digest goes into the warrant.")
@click.option("--supersede", type=_FILE, help="Draft the next version of the warrant in this file.")
@click.option("--revoke", type=_FILE, help="Draft the revocation of the warrant in this file; goes without TEMPLATE.")
@click.option("--reference", help="With --revoke: the reference of the order to end it.")
@at_admf.service_option
def draft(
    template: Path | None,
    out: Path | None,
    example: bool,
    document: Path | None,
    supersede: Path | None,
    revoke: Path | None,
    reference: str | None,
    service: Path | None,
) -> int:
    """Make the draft of a warrant from TEMPLATE (TOML). A draft allows nothing: two persons have to approve it."""
    if example:
        click.echo(drafting.EXAMPLE, nl=False)
        return DONE
    if (template is None) == (revoke is None) or (revoke is not None and (document or supersede)):
        raise Failed(USAGE, "give a TEMPLATE, or --revoke FILE; --order and --supersede go with a TEMPLATE")
    if (reference is None) != (revoke is None):
        raise Failed(USAGE, "--reference goes with --revoke, and --revoke needs it")
    if (out is None) == (service is None):
        raise Failed(USAGE, "either --out FILE or --service FILE")
    at = None if service is None else Service(service)
    signed: Warrant | Revocation
    if revoke is not None:
        former = at.former(str(revoke)) if at is not None else _contents(_envelope(revoke), revoke)
        signed = drafting.revocation(former, reference or "")
    else:
        assert template is not None
        signed = drafting.warrant(template, document, None if supersede is None else _former(supersede, at))
    if at is not None:
        return at.draft(signed)
    assert out is not None
    secret.write_new(out, envelope.write(envelope.draft(value.encode(signed))))
    click.echo(f"{signed.id} version {signed.version}: draft written to {out}")
    return DONE


@warrant.command()
@click.argument("file", type=_FILE)
@click.option("--key", type=_FILE, help="The approver's private key (PEM, Ed25519, mode 600).")
@token.options
@click.option("--yes", is_flag=True, help="Approve without being asked; what is approved is shown all the same.")
@at_admf.service_option
def approve(file: Path, key: Path | None, yes: bool, service: Path | None, **given: Any) -> int:
    """Add one person's approval to FILE. What is approved is shown first, on standard error."""
    held = token.chosen(key, **given)
    if held is not None:
        with token.opened(held) as own:
            return _approve(file, own.public, own.sign, yes, service)
    assert key is not None
    private = secret.read_ed25519(key)
    return _approve(file, private.public_key(), lambda read: envelope.sign(read, private).signatures[-1], yes, service)


def _approve(
    file: Path,
    public: Ed25519PublicKey,
    sign: Callable[[Envelope], Signature],
    yes: bool,
    service: Path | None,
) -> int:
    at = None if service is None else Service(service)
    if at is None:
        read = _envelope(file)
        signed = _contents(read, file)
    else:
        _, read, signed = at.shown(str(file))
    identifier = envelope.key_id(public)
    if any(signer == identifier for signer in _signers(read, file)):
        raise Failed(USAGE, f"{file}: this key has approved it already")
    if len(read.signatures) >= envelope.MAX_SIGNATURES:
        raise Failed(USAGE, f"{file}: {envelope.MAX_SIGNATURES} have signed already")
    _print(signed, read, err=True)
    _say(f"approves:      key {identifier}", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise Failed(USAGE, "nobody is there to confirm: run this on a terminal, or give --yes; nothing was signed")
        if not click.confirm("Approve this?", default=False, err=True):
            raise Failed(USAGE, "not approved; nothing was signed")
    made = sign(read)
    if at is not None:
        return at.approve(signed, sha256(read.signed).hexdigest(), made)
    secret.replace(file, envelope.write(Envelope(read.payload, (*read.signatures, made))))
    click.echo(f"{signed.id} version {signed.version}: {len(read.signatures) + 1} signatures in {file}")
    return DONE


@warrant.command()
@click.argument("file", type=_FILE)
@click.option("--trust", type=_FILE, help="Trust list: say which approvals count, and whether the warrant holds.")
@click.option("--element", metavar="ID", help="With --trust: as this element would judge (default: the first listed).")
@at_admf.service_option
def show(file: Path, trust: Path | None, element: str | None, service: Path | None) -> int:
    """Show a warrant. With --trust the status is 4 when it does not hold now."""
    if element is not None and trust is None:
        raise Failed(USAGE, "--element goes with --trust")
    told: list[str] = []
    if service is None:
        read = _envelope(file)
        signed = _contents(read, file)
    else:
        found, read, signed = Service(service).shown(str(file))
        told = at_admf.tell_elements(found)
    listed = None if trust is None else read_trust(trust)
    now = _now()
    _print(signed, read)
    for line in told:
        _say(line)
    for identifier, signature in zip(_signers(read, file), read.signatures, strict=True):
        _say(f"signed by:     key {identifier}{'' if listed is None else _standing(read, signature, listed, now)}")
    if listed is None:
        _say("verified:      no (no trust list given)")
        return DONE
    chosen = element or (signed.elements[0] if isinstance(signed, Warrant) else "")
    outcome = warrants.verify(envelope.write(read), listed, now, chosen, {})
    if isinstance(outcome, Refused):
        _say(f"verified:      no: {outcome}")
        return DONE_WITH_ERRORS
    _say(f"verified:      yes{f', at {chosen}' if chosen else ''}")
    return DONE


@warrant.command()
@click.option("--key", type=_FILE, help="File for the private key, for laboratories; it must not be there yet.")
@token.options
@click.option("--person", required=True, help="Whose key it is.")
@click.option("--days", type=click.IntRange(1, 3660), default=DEFAULT_DAYS, show_default=True)
def keygen(key: Path | None, person: str, days: int, **given: Any) -> int:
    """Make an approver's key, and print its entry for a trust list."""
    held = token.chosen(key, **given)
    if not person.strip() or not person.isprintable() or len(person) > 128:
        raise Failed(USAGE, "--person: 1 to 128 characters that show")
    begins = datetime.now(UTC).replace(microsecond=0)
    click.echo(trust_entry(person, _made(key, held), begins, begins + timedelta(days=days)))
    return DONE


def _made(key: Path | None, held: token.Token | None) -> Ed25519PublicKey:
    if held is not None:
        return token.generated(held)
    assert key is not None
    made = Ed25519PrivateKey.generate()
    secret.write_ed25519(key, made)
    return made.public_key()


def trust_entry(person: str, key: Ed25519PublicKey, begins: datetime, ends: datetime) -> str:
    """Lines of a trust list by which the key counts as that person's, from a second on and before another."""
    x = envelope.encoded(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    name = person.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f"# key {envelope.key_id(key)}\n[[approver]]\n"
        f'person = "{name}"\npublic_key = "{x}"\n'
        f"valid_from = {value.as_moment(begins)}\nvalid_until = {value.as_moment(ends)}\n"
        "revoked = false"
    )


def read_trust(path: Path) -> TrustList:
    """A trust list that its owner alone can change; Failed(USAGE)."""
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Failed(USAGE, f"{path}: others than its owner can write this trust list; chmod 644 it")
        return warrants.read_trust(read_text(path, config.MAX_OCTETS))
    except OSError as error:
        raise Failed(USAGE, f"{path}: {reason(error)}") from None
    except config.ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None


def read_octets(path: Path) -> bytes:
    """A warrant's file as it is; Failed(UNREADABLE)."""
    try:
        with path.open("rb") as file:
            octets = file.read(warrants.MAX_OCTETS + 1)
    except OSError as error:
        raise Failed(UNREADABLE, f"{path}: {reason(error)}") from None
    if len(octets) > warrants.MAX_OCTETS:
        raise Failed(UNREADABLE, f"{path}: longer than {warrants.MAX_OCTETS} octets: no warrant")
    return octets


def _envelope(path: Path) -> Envelope:
    try:
        return envelope.read(read_octets(path))
    except FormError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None


def _contents(read: Envelope, path: Path) -> Warrant | Revocation:
    try:
        return value.decode(read.signed)
    except FormError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None


def _signers(read: Envelope, path: Path) -> list[str]:
    try:
        return [envelope.signer(each) for each in read.signatures]
    except FormError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None


def _former(path: Path, at: Service | None) -> Warrant:
    if at is not None:
        return at.former(str(path))
    former = _contents(_envelope(path), path)
    if not isinstance(former, Warrant):
        raise Failed(USAGE, f"{path}: is a revocation, and nothing comes behind one; draft a new warrant")
    return former


def _now() -> Instant:
    at = int(datetime.now(UTC).timestamp() * 1_000_000) * 1_000
    return Instant(at, at)


def _standing(read: Envelope, signature: Signature, trust: TrustList, now: Instant) -> str:
    """Whose key it is, and whether its signature counts."""
    approver = trust.approver(envelope.signer(signature))
    if approver is None:
        return ": not listed, does not count"
    if approver.revoked:
        return f": {approver.person}, revoked, does not count"
    if not approver.valid_from <= now.wall < approver.valid_until:
        return f": {approver.person}, not valid today, does not count"
    if not envelope.verifies(read, signature, approver.key):
        return f": {approver.person}, SIGNATURE WRONG"
    return f": {approver.person}, counts"


def _print(signed: Warrant | Revocation, read: Envelope, *, err: bool = False) -> None:
    for line in _lines(signed):
        _say(line, err=err)
    _say(f"digest:        {sha256(read.signed).hexdigest()} (SHA-256 of what is signed)", err=err)


def _lines(signed: Warrant | Revocation) -> list[str]:
    """All that is signed, in words."""
    if isinstance(signed, Revocation):
        return [
            f"REVOCATION of  {signed.id}: version {signed.version}, after version {signed.supersedes}",
            f"reference:     {signed.reference}",
            "effect:        nothing under this warrant holds any more",
        ]
    before = "the first" if signed.supersedes is None else f"supersedes version {signed.supersedes}"
    scope = "events only (iri)" if signed.keys is None else f"events and content (iri+cc), {signed.keys}"
    length = (signed.end_ns - signed.start_ns) / value.SECOND / 86_400
    return [
        f"WARRANT        {signed.id}: version {signed.version}, {before}",
        f"order:         {signed.order.reference}, {signed.order.authority} ({signed.country})",
        f"order SHA-256: {signed.order.sha256}",
        f"agency:        {signed.agency}",
        f"scope:         {scope}; location {'included' if signed.location else 'left out'}",
        f"services:      {', '.join(signed.services)}",
        f"window:        from {signed.start} to before {signed.end} ({length:g} days)",
        *(
            f"target:        {each.identity} (matches {', '.join(each.forms)}) -> LIID {each.liid}, XID {each.xid}"
            for each in signed.targets
        ),
        f"elements:      {', '.join(signed.elements)}",
        *(
            f"destination:   {each.host} port {each.port}, certificate {each.certificate}"
            for each in signed.destinations
        ),
    ]


def _say(text: str, *, err: bool = False) -> None:
    """One line: what is in a file does not write on the terminal as it likes."""
    click.echo(text if text.isprintable() else shown(text), err=err)

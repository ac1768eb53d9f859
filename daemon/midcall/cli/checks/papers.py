"""What proves who somebody is: certificates, revocation lists, the binding to an identifier on X1, trust lists."""

from __future__ import annotations

import datetime
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from msgspec import Struct

from midcall.base import tls
from midcall.base import warrant as warrants
from midcall.base.expiry import SOON
from midcall.base.x1_element.shell import binding
from midcall.cli.checks.finding import Finding, good, mend, note
from midcall.config import MAX_OCTETS, AdmfConfig, AdmfPeople, ConfigError, KmsPeers, X1Table


def findings(name: str, table: Struct) -> Iterator[Finding]:
    """Those of one table."""
    if hasattr(table, "certificate"):
        yield from certificates(name, table)
    if isinstance(table, X1Table):
        yield bound(f"{name}.ne", Path(table.certificate), "ne", table.ne)
        if table.placed:
            yield placed(f"{name}.placed", Path(table.placed))
    if isinstance(table, AdmfConfig):
        yield bound(f"{name}.admf", Path(table.x1.certificate), "admf", table.admf)
        yield from people(f"{name}.people", Path(table.trust), table.people)
    if hasattr(table, "trust"):
        yield trust(f"{name}.trust", Path(table.trust))


def certificates(name: str, table: Struct) -> Iterator[Finding]:
    """Ours with its key, and the authority of the others with its revocation list."""
    if not getattr(table, "certificate", ""):
        return  # a door without TLS
    own, key = Path(getattr(table, "certificate", "")), Path(getattr(table, "key", ""))
    authority, crl = getattr(table, "ca", ""), getattr(table, "crl", "")
    try:
        if authority:
            _contexts(table, tls.Identity(own, key, Path(authority), Path(crl) if crl else None))
        else:
            tls.user_context(own, key)
    except tls.TlsError as error:
        yield mend(f"{name}.certificate", str(error), "no door opens before it is good")
        return
    end = x509.load_pem_x509_certificate(own.read_bytes()).not_valid_after_utc
    said = f"good until {end:%Y-%m-%d}, fits its key"
    if end - datetime.datetime.now(datetime.UTC) < SOON:
        yield mend(f"{name}.certificate", said, "renew it")
    else:
        yield good(f"{name}.certificate", said)
    if authority:
        yield revocations(f"{name}.crl", crl)


def _contexts(table: Struct, identity: tls.Identity) -> None:
    """As the role will make them: for who is asked, for who asks, or both. TlsError."""
    listens = isinstance(getattr(table, "listen", None), str)
    if listens:
        tls.server_context(identity)
    if not listens or isinstance(table, KmsPeers) or (isinstance(table, X1Table) and table.admf_url):
        tls.client_context(identity, check_host=False)


def revocations(name: str, crl: str) -> Finding:
    """Of a list that has been found good."""
    if not crl:
        return note(name, "none", "without a list a certificate that was revoked is believed")
    end = x509.load_pem_x509_crl(Path(crl).read_bytes()).next_update_utc
    return good(name, "good" if end is None else f"good until {end:%Y-%m-%d %H:%M} UTC")


def bound(name: str, certificate: Path, role: binding.Role, identifier: str) -> Finding:
    try:
        binding.require_own(certificate, role, identifier)
    except tls.TlsError as error:
        return mend(name, str(error), "a certificate is needed whose subject has it as UID")
    return good(name, "its certificate is bound to it")


def people(name: str, path: Path, table: AdmfPeople) -> Iterator[Finding]:
    """Whether those who are there can bring a warrant into force, and whose keys count."""
    roles: list[str] = [each.role for each in table.person]
    for role, least in (("administrator", 1), ("approver", 2)):
        if roles.count(role) < least:
            yield mend(name, f"{roles.count(role)} with the role {role}", f"{least} are needed for any warrant")
    try:
        listed = warrants.read_trust(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError):
        return  # what is wrong with it is told once
    unknown = [each.name for each in table.person if each.role == "approver" and not listed.has(each.name)]
    if unknown:
        yield mend(name, f"{len(unknown)} approvers are not in the trust list", "no key of theirs counts here")
    else:
        yield good(name, f"{len(roles)} people")


def placed(name: str, folder: Path) -> Finding:
    if not folder.is_dir():
        return mend(name, f"{folder}: no folder", "make it; warrants are put there")
    return good(name, "there")


def trust(name: str, path: Path) -> Finding:
    """Whose approval counts."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            found = warrants.read_trust(file.read(MAX_OCTETS).decode())
    except OSError as error:
        return mend(name, f"{path}: {error.strerror}", "without it no warrant counts here")
    except (UnicodeDecodeError, ConfigError) as error:
        return mend(name, f"{path}: {error}", "without it no warrant counts here")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return mend(name, f"{path}: others than its owner may change it", f"chmod 644 {path}")
    return good(name, f"{len(found)} keys, {found.approvals} persons have to approve")

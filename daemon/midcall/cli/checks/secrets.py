"""Secrets: there, for their owner alone, and as long as their use wants them."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct, structs

from midcall.base import credentials
from midcall.base.credentials import CredentialError
from midcall.cli.checks.finding import Finding, good, mend
from midcall.config import AuditConfig, Credential, TlsTable

CREDSTORE = Path("/etc/credstore.encrypted")
"""Where secrets lie that systemd-creds has encrypted to this host; their names have ROLE_ before them."""
_FOREIGN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
_KEY = range(32, 33)
_OCTETS = {
    "HashContextTable.salt": range(8, 65),
    "HepAgentTable.key": range(1, 65),
    "KmsNode.credential": range(16, 33),
    "KmsPeer.credential": range(16, 33),
}
"""Of those that are no key of 32 octets."""


class Secrets(Struct, frozen=True):
    """The folder of a role's secrets, and how a name leads into it."""

    role: str
    folder: str
    place: Callable[[str], str]

    @classmethod
    def of(cls, config: Path, folder: str, role: str) -> Secrets:
        """``folder`` empty: where the units take them from, ``credentials/ROLE`` beside the file, whose names have
        ROLE_ before them once they are handed over."""
        if folder:
            return cls(role, folder, lambda name: f"{folder}/{name}")
        own = config.parent / "credentials" / role
        return cls(role, str(own), lambda name: str(own / name.removeprefix(f"{role}_")))

    def is_encrypted(self, path: Path) -> bool:
        """Whether this host has it in another form."""
        return not path.exists() and (CREDSTORE / f"{self.role}_{path.name}").is_file()


def folder(secrets: Secrets) -> Finding:
    try:
        mode = Path(secrets.folder).stat().st_mode
    except OSError as error:
        return mend("credentials", f"{secrets.folder}: {error.strerror}", "scripts/install makes it")
    if not stat.S_ISDIR(mode) or mode & _FOREIGN:
        return mend("credentials", f"{secrets.folder}: not a folder for its owner alone", f"chmod 700 {secrets.folder}")
    return good("credentials", secrets.folder)


def findings(name: str, table: Struct, secrets: Secrets) -> Iterator[Finding]:
    """Those of one table."""
    for field in structs.fields(table):
        if field.type != Credential or not getattr(table, field.name):
            continue
        path = Path(getattr(table, field.name))
        if secrets.is_encrypted(path):
            yield good(f"{name}.{field.name}", "encrypted to this host")
        else:
            yield secret(f"{name}.{field.name}", path, octets(table, field.name))


def octets(table: Struct, field: str) -> range | None:
    """How many a secret has; None: it is a key in PEM form."""
    if field == "signing_key" or isinstance(table, AuditConfig):
        return None
    if field == "key" and (isinstance(table, TlsTable) or hasattr(table, "certificate")):
        return None
    return _OCTETS.get(f"{type(table).__name__}.{field}", _KEY)


def secret(name: str, path: Path, wanted: range | None) -> Finding:
    try:
        mode = path.stat().st_mode
        path.open("rb").close()
    except OSError as error:
        return mend(name, f"{path}: {error.strerror}", "put it there; the user that runs this has to read it")
    if not stat.S_ISREG(mode) or mode & _FOREIGN:
        return mend(name, f"{path}: others than its owner have access", f"chmod 600 {path}")
    if wanted is None:
        return good(name, "there, for its owner alone")
    try:
        read = credentials.read(path, wanted)
    except CredentialError as error:
        return mend(name, str(error), f"openssl rand -hex {min(32, wanted[-1])} makes a good one")
    read[:] = bytes(len(read))
    return good(name, "there, for its owner alone, of a good length")

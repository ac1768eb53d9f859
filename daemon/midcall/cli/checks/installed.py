"""What a configuration names: secrets, certificates, doors, disks."""

from __future__ import annotations

import datetime
import http.client
import json
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from msgspec import Struct, structs

from midcall import config as config_file
from midcall.base import tls
from midcall.base.metrics import socket_path
from midcall.cli.checks.finding import Finding, good, mend, note
from midcall.config import Credential, DaemonConfig

SOON = datetime.timedelta(days=30)
FREE_OCTETS, FREE_SHARE = 1 << 30, 0.1
ANSWER_SECONDS = 2.0
_FOREIGN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
_STORES = ("store", "spool", "folder")
"""Keys of tables that say where a role writes."""


def findings(path: Path, config: DaemonConfig, folder: str) -> list[Finding]:
    """Everything that the file leads to.

    ``folder``: where secrets lie; empty: where the units of ``systemd/`` take them from, ``credentials/ROLE`` beside
    the file, whose names have ROLE_ before them once they are handed over.
    """
    runs = _running(config)
    found = [own_file(path)]
    for role in config_file.roles(config):
        where, place = _place(path, folder, role)
        found.append(credentials(where))
        table = config_file.placed(getattr(config, role), place)
        for name, each in _tables(table, role):
            found += secrets(name, each)
            found += certificates(name, each)
            found += doors(name, each, runs)
            found += stores(name, each, where, config.service.lab)
    if config.operator.listen.startswith("unix:"):
        return found
    return [*found, door("operator.listen", config.operator.listen, runs)]


def _place(path: Path, folder: str, role: str) -> tuple[str, Callable[[str], str]]:
    """The folder of a role's secrets, and how a name leads into it."""
    if folder:
        return folder, lambda name: f"{folder}/{name}"
    own = path.parent / "credentials" / role
    return str(own), lambda name: str(own / name.removeprefix(f"{role}_"))


def own_file(path: Path) -> Finding:
    if path.stat().st_mode & stat.S_IWOTH:
        return mend(str(path), "everybody may change it", f"chmod o-w {path}")
    return good(str(path), "good")


def credentials(folder: str) -> Finding:
    try:
        mode = Path(folder).stat().st_mode
    except OSError as error:
        return mend("credentials", f"{folder}: {error.strerror}", "scripts/install makes it")
    if not stat.S_ISDIR(mode) or mode & _FOREIGN:
        return mend("credentials", f"{folder}: not a folder for its owner alone", f"chmod 700 {folder}")
    return good("credentials", folder)


def secrets(name: str, table: Struct) -> Iterator[Finding]:
    """Each one is there, and for its owner alone."""
    for field in structs.fields(table):
        if field.type == Credential:
            yield secret(f"{name}.{field.name}", Path(getattr(table, field.name)))


def secret(name: str, path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
        path.open("rb").close()
    except OSError as error:
        return mend(name, f"{path}: {error.strerror}", "put it there; the user that runs this has to read it")
    if not stat.S_ISREG(mode) or mode & _FOREIGN:
        return mend(name, f"{path}: others than its owner have access", f"chmod 600 {path}")
    return good(name, "there, for its owner alone")


def certificates(name: str, table: Struct) -> Iterator[Finding]:
    """Those of our own, with their keys, authorities and revocation lists."""
    if not hasattr(table, "certificate"):
        return
    own, key = Path(table.certificate), Path(getattr(table, "key", ""))
    authority, crl = getattr(table, "ca", ""), getattr(table, "crl", "")
    try:
        if authority:
            tls.server_context(tls.Identity(own, key, Path(authority), Path(crl) if crl else None))
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


def doors(name: str, table: Struct, runs: bool) -> Iterator[Finding]:
    listen = getattr(table, "listen", None)
    if isinstance(listen, str):
        yield door(f"{name}.listen", listen, runs)


def door(name: str, listen: str, runs: bool) -> Finding:
    """Whether somebody could listen there now, or does because the service runs."""
    host, port = config_file.address(listen)
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if runs:
            return good(name, f"{listen} is in use, and the service runs")
        return mend(name, f"{listen}: {error.strerror}", "stop who listens there, or choose another one")
    return good(name, f"{listen} is free")


def _running(config: DaemonConfig) -> bool:
    """Whether a service answers where this file says."""
    if config.operator.listen.startswith("unix:"):
        return socket_path(config.operator.listen).is_socket()
    link = http.client.HTTPConnection(*config_file.address(config.operator.listen), timeout=ANSWER_SECONDS)
    try:
        link.request("GET", "/health")
        answer = json.loads(link.getresponse().read(1_024))
        return isinstance(answer, dict) and answer.get("service") == "midcall"
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        link.close()


def stores(name: str, table: Struct, secrets_folder: str, lab: bool) -> Iterator[Finding]:
    """Where a role writes: room, and another disk than the secrets'."""
    for field in structs.fields(table):
        if field.name in _STORES:
            folder = Path(getattr(table, field.name)).parent
            yield room(f"{name}.{field.name}", folder)
            yield apart(f"{name}.{field.name}", folder, Path(secrets_folder), lab)


def room(name: str, folder: Path) -> Finding:
    try:
        use = shutil.disk_usage(folder)
    except OSError as error:
        return mend(name, f"{folder}: {error.strerror}", "scripts/install or the unit makes it")
    said = f"{use.free >> 20} MB free"
    if use.free < FREE_OCTETS or use.free < FREE_SHARE * use.total:
        return mend(name, said, f"give {folder} more room: 1 GB and a tenth of the disk have to be free")
    return good(name, "enough room")


def apart(name: str, folder: Path, secrets_folder: Path, lab: bool) -> Finding:
    """Who takes a disk away must not have both halves."""
    try:
        one = folder.stat().st_dev == secrets_folder.stat().st_dev
    except OSError:
        return note(name, "not to be seen from here", "look again when its folder is there")
    if one:
        tell = note if lab else mend
        return tell(name, "on one disk with its keys", "keep keys elsewhere, or seal them to this host's TPM")
    return good(name, "on another disk than its keys")


def _tables(table: Struct, name: str) -> Iterator[tuple[str, Struct]]:
    """The table and every table in it, with its name as the file has it."""
    yield name, table
    for field in structs.fields(table):
        held = getattr(table, field.name)
        for each in held if isinstance(held, tuple) else (held,):
            if isinstance(each, Struct):
                yield from _tables(each, f"{name}.{field.name}")

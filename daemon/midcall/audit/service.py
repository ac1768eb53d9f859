"""The audit as a role of ``midcall run``: its log, its door, its anchors, and an eye on its own files."""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from midcall.audit.heads import Key
from midcall.audit.opening import BadLog
from midcall.audit.quotas import Quota
from midcall.audit.shell.door import AuditDoor
from midcall.audit.shell.eye import Eye
from midcall.audit.shell.files import FolderError
from midcall.audit.shell.keeper import Keeper, NotWritten
from midcall.base import credentials, signing
from midcall.base.audit_link.values import Role
from midcall.base.frame import Frame, RoleError
from midcall.config import AuditConfig

CHECK_SECONDS = 21_600.0
"""Between two readings of the whole log. Whoever writes in it shows at once; what a disk does by itself, here."""


async def run(config: AuditConfig, frame: Frame, stop: asyncio.Event) -> None:
    """RoleError."""
    users = _users(config)
    key = _key(config.key)
    store, anchors = Path(config.store), tuple(map(Path, config.anchors))
    try:
        keeper = Keeper(store, Key(key.public_key()), key.sign, file_octets=config.file_octets, anchors=anchors)
    except FolderError as error:
        raise RoleError(str(error), "audit.store") from None
    except BadLog as error:
        raise RoleError(f"{store}: {error}; see midcall audit verify", "audit.store") from None
    try:
        await keeper.start()
        door = _door(config, keeper, users)
    except NotWritten as error:
        await keeper.close()
        raise RoleError(f"{store}: {error}", "audit.store") from None
    except OSError as error:
        await keeper.close()
        raise RoleError(f"{config.socket}: {error.strerror or error}", "audit.socket") from None
    frame.metrics.gauge(
        "audit_writable", "1: what is done can be audited.", lambda: keeper.writable and not keeper.changed
    )
    frame.metrics.gauge(
        "audit_over_quota", "1: a role writes more than it may, and is refused.", lambda: float(door.counts["over"] > 0)
    )
    frame.metrics.gauge(
        "audit_disagrees",
        "1: within the hour entries were found that others do not bear out.",
        lambda: keeper.remarks > 0,
    )
    works: list[Coroutine[Any, Any, None]] = [
        door.run(),
        _anchor(keeper, config.anchor_seconds),
        _look(keeper, door, Eye(store, Key(key.public_key())), config.look_seconds),
    ]
    tasks = [asyncio.create_task(each) for each in works]
    frame.ready()
    try:
        await _until(stop, tasks)
    finally:
        for task in tasks[1:]:
            task.cancel()
        await door.close()
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await keeper.close()


async def _until(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """A part that ends by itself ends the role."""
    told = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            if each is not told:
                each.result()
    finally:
        told.cancel()


async def _anchor(keeper: Keeper, seconds: float) -> None:
    while True:
        await keeper.anchor()
        await asyncio.sleep(seconds)


async def _look(keeper: Keeper, door: AuditDoor, eye: Eye, seconds: float) -> None:
    """All of the log at first and four times a day, what is new in it all the time."""
    due = 0.0
    while True:
        if time.monotonic() >= due:
            await keeper.check_all()
            due = time.monotonic() + CHECK_SECONDS
        await keeper.look()
        await keeper.review(eye)
        await door.tell_refused()
        await asyncio.sleep(seconds)


def _door(config: AuditConfig, keeper: Keeper, users: dict[Role, set[int]]) -> AuditDoor:
    """OSError."""
    table = config.quota
    quota = Quota(table.per_second, table.burst, table.per_day)
    return AuditDoor(Path(config.socket), keeper, users, quota, table.reserve_mb << 20)


def _users(config: AuditConfig) -> dict[Role, set[int]]:
    found: dict[Role, set[int]] = {}
    for each in config.writer:
        users = found.setdefault(Role(each.role), set())
        for name in each.users:
            try:
                users.add(pwd.getpwnam(name).pw_uid)
            except KeyError:
                raise RoleError(f"there is no user {name}", "audit.writer") from None
        if not each.users:
            users.add(os.geteuid())
    return found


def _key(path: str) -> Ed25519PrivateKey:
    try:
        pem = credentials.text(Path(path), signing.MAX_OCTETS)
    except credentials.CredentialError as error:
        raise RoleError(str(error), "audit.key") from None
    try:
        key = load_pem_private_key(bytes(pem), None)
    except (ValueError, TypeError):
        raise RoleError(f"{path}: no private key in PEM form without a password", "audit.key") from None
    finally:
        pem[:] = bytes(len(pem))
    if not isinstance(key, Ed25519PrivateKey):
        raise RoleError(f"{path}: not an Ed25519 key", "audit.key")
    return key

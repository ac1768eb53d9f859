"""An audit that runs, in a folder, and roles that write to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from midcall.audit.shell.door import AuditDoor
from midcall.audit.shell.keeper import Keeper
from midcall.base.audit_link import AuditClient, AuditLink, Role
from tests.midcall.audit import made

SALT = b"salt" * 8
ROLES = (Role.POI, Role.DF, Role.KMS, Role.CLI)


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.socket = folder / "door"
        self.key = folder / "heads.pub"
        self.key.write_bytes(made.pem())

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """It runs in a thread of its own."""
        begun, ended = threading.Event(), threading.Event()

        async def serve() -> None:
            async with self.running():
                begun.set()
                while not ended.is_set():
                    await asyncio.sleep(0.01)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        begun.wait()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def keeper(self, *, file_octets: int = 1 << 26, anchors: Sequence[Path] = ()) -> Keeper:
        return Keeper(self.log, made.KEY, made.SECRET.sign, file_octets=file_octets, anchors=anchors)

    @contextlib.asynccontextmanager
    async def running(
        self, *, file_octets: int = 1 << 26, anchors: Sequence[Path] = (), users: Sequence[int] = (os.geteuid(),)
    ) -> AsyncIterator[Keeper]:
        keeper = self.keeper(file_octets=file_octets, anchors=anchors)
        await keeper.start()
        door = AuditDoor(self.socket, keeper, dict.fromkeys(ROLES, users))
        working = asyncio.create_task(door.run())
        try:
            yield keeper
        finally:
            await door.close()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await keeper.close()

    @contextlib.asynccontextmanager
    async def client(
        self, role: Role = Role.POI, instance: int = 1, grace: float = 900.0
    ) -> AsyncIterator[AuditClient]:
        client = AuditClient(AuditLink(path=self.socket, role=role, salt=SALT, instance=instance, grace=grace))
        await client.start()
        try:
            yield client
        finally:
            await client.close()

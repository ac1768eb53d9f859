"""The role as ``midcall run`` runs it: its table, what it refuses to start with, what it notices while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from midcall import config
from midcall.audit import service
from midcall.audit.shell import files
from midcall.audit.shell.files import LogWriter
from midcall.base.audit_link import Act, AuditClient, AuditLink, Role
from midcall.base.frame import Frame, RoleError
from midcall.base.metrics import Metrics
from midcall.config import AuditConfig, DaemonConfig
from tests.midcall.audit import made
from tests.midcall.audit.place import SALT


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "heads.key"
        self.write_key(made.SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def write_key(self, octets: bytes, mode: int = 0o600) -> None:
        self.key.unlink(missing_ok=True)
        self.key.write_bytes(octets)
        self.key.chmod(mode)

    def config(self, **changed: Any) -> AuditConfig:
        text = (
            f'[service]\nlab = true\n[audit]\nstore = "{self.folder}/log"\n'
            f'key = "heads"\nsocket = "{self.folder}/door"\n'
            + "".join(f"{name} = {json.dumps(value)}\n" for name, value in changed.items() if name != "writer")
            + changed.get("writer", '[[audit.writer]]\nrole = "poi"\n')
        )
        found = config.daemon(text, DaemonConfig).audit
        assert found is not None
        return config.placed(found, lambda _: str(self.key))

    def run(self, test: Callable[[], Awaitable[None]] | None = None, **changed: Any) -> None:
        async def both() -> None:
            stop, begun = asyncio.Event(), asyncio.Event()
            frame = Frame("audit", 1, Metrics(), begun.set)
            running = asyncio.create_task(service.run(self.config(**changed), frame, stop))
            waiting = asyncio.create_task(begun.wait())
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if test is not None and not running.done():
                await test()
            stop.set()
            await running

        asyncio.run(both())

    def client(self) -> AuditClient:
        return AuditClient(AuditLink(path=self.folder / "door", role=Role.POI, salt=SALT))

    def path(self) -> Path:
        return next((self.folder / "log").glob("*.log"))


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def test_it_begins_goes_on_and_anchors(house):
    anchor = house.folder / "anchor"

    async def write() -> None:
        client = house.client()
        assert await client.start()
        (await client.intent(Act.TASK_ACTIVATE, b"x" * 32)).done()
        await client.close()

    house.run(write, anchors=[str(anchor)], anchor_seconds=0.05)
    house.run(write, anchors=[str(anchor)], anchor_seconds=0.05)
    checked = made.check(house.folder / "log")
    assert checked.found is None and checked.place is not None and checked.place.size == 8
    assert anchor.read_text().splitlines()[-1] == json.dumps({"head": checked.place.head}, ensure_ascii=False).replace(
        ": ", ":"
    )
    assert (house.folder / "log").stat().st_mode & 0o77 == 0 and house.path().stat().st_mode & 0o77 == 0


def test_a_hand_on_the_log_is_noticed_by_itself(house, caplog):
    async def change() -> None:
        client = house.client()
        assert await client.start()
        (await client.intent(Act.TASK_ACTIVATE, b"x" * 32)).done()
        await asyncio.sleep(0.05)
        octets = house.path().read_bytes()
        with house.path().open("r+b") as file:
            file.seek(300)
            file.write(b"1" if octets[300:301] == b"0" else b"0")
        while client.writable:
            client.event(Act.ALARM)
            await asyncio.sleep(0.01)
        await client.close()

    with caplog.at_level(logging.CRITICAL):
        house.run(change, look_seconds=0.05)
    assert any("THE AUDIT WAS CHANGED" in record.message for record in caplog.records)
    with pytest.raises(RoleError, match="edited") as refused:
        house.run()
    assert refused.value.key == "audit.store"


def ec() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("octets", "mode", "said"),
    [
        (None, 0o644, "others than its owner"),
        (b"no key", 0o600, "no private key"),
        (ec(), 0o600, "not an Ed25519 key"),
        (b"x" * 20_000, 0o600, "more than"),
    ],
)
def test_keys_that_it_does_not_start_with(house, octets, mode, said):
    house.write_key(octets or house.key.read_bytes(), mode)
    with pytest.raises(RoleError, match=said) as refused:
        house.run()
    assert refused.value.key == "audit.key"
    assert not (house.folder / "log").exists(), "nothing was begun"


def test_what_else_it_does_not_start_with(house):
    with pytest.raises(RoleError, match="no user nobody-of-that-name"):
        house.run(writer='[[audit.writer]]\nrole = "poi"\nusers = ["nobody-of-that-name"]\n')
    (house.folder / "door").mkdir()
    with pytest.raises(RoleError, match="door") as refused:
        house.run()
    assert refused.value.key == "audit.socket"


def test_users_by_name(house):
    async def write() -> None:
        client = house.client()
        assert await client.start()
        await client.close()

    house.run(write, writer=f'[[audit.writer]]\nrole = "poi"\nusers = ["{getpass.getuser()}"]\n')


def test_a_folder_that_another_process_writes(house):
    with (
        contextlib.closing(LogWriter(house.folder / "log", 1 << 20)),
        pytest.raises(RoleError, match="another process"),
    ):
        house.run()


@pytest.mark.parametrize(
    "change",
    [{"anchor_seconds": 0}, {"look_seconds": 61}, {"file_octets": 10}, {"anchors": [""]}, {"writer": ""}, {"more": 1}],
)
def test_tables_that_are_none(house, change):
    with pytest.raises(config.ConfigError):
        house.config(**change)


def test_a_log_that_cannot_be_read(tmp_path):
    with pytest.raises(files.FolderError):
        files.names(tmp_path / "nothing")


def test_a_changed_log_is_in_the_metrics(tmp_path):
    house = House(tmp_path)
    seen: list[bytes] = []

    async def go() -> None:
        stop, begun = asyncio.Event(), asyncio.Event()
        frame = Frame("audit", 1, Metrics(), begun.set)
        running = asyncio.create_task(service.run(house.config(look_seconds=0.05), frame, stop))
        await begun.wait()
        seen.append(frame.metrics.text())
        with house.path().open("r+b") as file:
            file.seek(300)
            file.write(b"0")
        async with asyncio.timeout(10):
            while b"audit_writable 0" not in frame.metrics.text():
                await asyncio.sleep(0.01)
        stop.set()
        await running

    asyncio.run(go())
    assert b"audit_writable 1" in seen[0]

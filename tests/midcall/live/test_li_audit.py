"""The LI plane of an audited role: nothing is answered that the audit does not know of, and heads leave the house."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from midcall.audit.shell import files
from midcall.audit.shell.keeper import Keeper, NotWritten
from midcall.base import tls
from midcall.base.audit_link import Act, AuditClient, Kind, digest
from midcall.base.audit_link import client as clients
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.lab_pki import LabPki, uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.cli.fail import Failed
from midcall.cli.main import cli
from midcall.config import LiTable
from midcall.live.ladder import AUDIT_PATH, EXPLAIN_PATH, KIND
from midcall.live.plane import LiPlane
from tests.midcall.audit import made, place

OFFICER = "officer"
CALL_ID = "a84b4c76e66710@pc33.example.com"


class House:
    def __init__(self, folder: Path) -> None:
        self.pki = folder / "pki"
        LabPki(self.pki).make((OFFICER, "poi"))
        (folder / "audit").mkdir()
        self.audit = place.Place(folder / "audit")
        self.anchor = folder / "anchor"
        self.url = ""

    def identity(self, role: str) -> tls.Identity:
        return tls.Identity(self.pki / f"{role}.pem", self.pki / f"{role}.key", self.pki / "ca.pem")

    def run(self, test: Callable[[HttpsClient, AuditClient], Awaitable[None]]) -> None:
        async def both() -> None:
            async with self.audit.running(), self.audit.client() as client:
                own = self.identity("poi")
                table = LiTable(
                    listen="127.0.0.1:0", peers=(uri(OFFICER),), certificate=str(own.certificate), key=str(own.key),
                    ca=str(own.ca),
                )  # fmt: skip
                end = TlsEnd.server(own, PeerName(uri(OFFICER)))
                plane = LiPlane("poi", "poi-1", table, end, nothing, none, client)
                _, port = await plane.start()
                self.url = f"https://127.0.0.1:{port}"
                asking = HttpsClient(self.url, TlsEnd.client(self.identity(OFFICER), PeerName(uri("poi"))))
                try:
                    await test(asking, client)
                    while client.waiting:
                        await asyncio.sleep(0.001)
                finally:
                    await asking.close()
                    await plane.stop()

        asyncio.run(both())

    def rows(self) -> list[dict[str, Any]]:
        rows = [json.loads(row) for file in files.read(self.audit.log) for row in file.lines]
        return [row for row in rows if "n" in row]

    def fetch(self, **changed: str) -> tuple[int, str]:
        given = {
            "--from": self.url, "--out": str(self.anchor), "--key": str(self.audit.key), "--peer": uri("poi"),
            "--cert": str(self.pki / f"{OFFICER}.pem"), "--cert-key": str(self.pki / f"{OFFICER}.key"),
            "--ca": str(self.pki / "ca.pem"),
        } | changed  # fmt: skip
        arguments = ["audit", "anchor", *(each for pair in given.items() for each in pair)]
        done = CliRunner().invoke(cli, arguments, standalone_mode=False)
        if isinstance(done.exception, Failed):
            return done.exception.status, str(done.exception)
        assert done.exception is None, done.exception
        return done.return_value, done.output


async def nothing() -> dict[str, Any]:
    return {}


async def none(_: str) -> tuple[()]:
    return ()


@pytest.fixture
def house(tmp_path, monkeypatch) -> House:
    monkeypatch.setattr(clients, "WAIT_SECONDS", 5)
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(clients, "PROBE_SECONDS", 0.05)
    return House(tmp_path)


async def asked(client: HttpsClient, path: str = EXPLAIN_PATH) -> tuple[int, bytes]:
    octets = json.dumps({"call_id": CALL_ID}).encode() if path == EXPLAIN_PATH else b""
    answer = await client.post(path, octets, KIND, 5.0, 1 << 16)
    return answer.status, bytes(answer.body)


def test_a_question_is_in_the_audit_before_it_is_answered(house):
    async def test(client, audit):
        assert (await asked(client))[0] == 404

    house.run(test)
    intent, outcome = (row for row in house.rows() if row["act"] == "li.explain")
    assert (intent["phase"], outcome["of"]) == ("intent", intent["n"])
    assert intent["object"] == digest(place.SALT, Kind.CALL, CALL_ID).hex()
    assert len(intent["actor"]) == 64
    assert CALL_ID.encode() not in b"".join(path.read_bytes() for path in house.audit.log.iterdir())


def test_who_is_refused_stands_in_the_audit_too(house):
    LabPki(house.pki).make(("stranger",))

    async def test(client, audit):
        assert (await asked(client, "/li/v1/whatever"))[0] == 404
        other = HttpsClient(house.url, TlsEnd.client(house.identity("stranger"), PeerName(uri("poi"))))
        with pytest.raises(Unreachable):
            await asked(other)
        await other.close()

    house.run(test)
    said = [(row["code"], bool(row["actor"]), row["outcome"]) for row in house.rows() if row["act"] == "li.refuse"]
    assert said == [(404, True, "refused"), (403, False, "refused")]


def test_without_an_audit_nothing_is_answered(house, monkeypatch):
    async def full(*_: object) -> list[int]:
        raise NotWritten("No space left on device")

    async def test(client, audit):
        with monkeypatch.context() as patched:
            patched.setattr(Keeper, "write", full)
            assert (await asked(client))[0] == 503
        while not audit.writable:
            await asyncio.sleep(0.01)
        assert (await asked(client))[0] == 404
        held = audit.digest(Kind.CALL, CALL_ID).hex()
        assert [row["object"] for row in house.rows() if row["act"] == "li.explain"][0] == held

    house.run(test)


def test_a_witness_elsewhere_keeps_heads(house, monkeypatch):
    # Or another head comes while the test says which one it is.
    monkeypatch.setattr(clients, "PROBE_SECONDS", 60.0)

    async def test(client, audit):
        assert (await asked(client, AUDIT_PATH))[1] == json.dumps({"head": audit.head}, ensure_ascii=False).replace(
            '": "', '":"'
        ).encode()
        status, said = await asyncio.to_thread(house.fetch)
        assert status == 0 and "kept" in said, said
        assert (await asyncio.to_thread(house.fetch))[1].endswith("kept already\n")
        (await audit.intent(Act.TASK_ACTIVATE, b"x" * 32)).done()
        while audit.waiting:
            await asyncio.sleep(0.001)
        assert (await asyncio.to_thread(house.fetch))[0] == 0
        kept = house.anchor.read_bytes()
        # Another history, under the same key.
        first = made.ledger(made.Place(made.KEY.head(audit.head).log))
        made.group(first, 1)
        audit.head = first.place.head
        status, said = await asyncio.to_thread(house.fetch)
        assert status == 4 and "contradicts" in said
        audit.head = "no head"
        assert (await asyncio.to_thread(house.fetch))[0] == 4
        audit.head = ""
        assert (await asyncio.to_thread(house.fetch))[0] == 3
        assert house.anchor.read_bytes() == kept

    house.run(test)


def test_a_witness_that_cannot_ask(house):
    house.url = "https://127.0.0.1:1"
    assert house.fetch()[0] == 3
    assert house.fetch(**{"--from": "http://127.0.0.1:1"})[0] == 2
    assert house.fetch(**{"--cert": "nothing.pem"})[0] == 2

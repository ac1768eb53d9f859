"""A KMS with an audit beside: no key that is not announced there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from midcall.audit.shell import files
from midcall.audit.shell.keeper import Keeper, NotWritten
from midcall.base.audit_link import Kind, digest
from midcall.base.audit_link import client as clients
from tests.midcall.audit import made, place
from tests.midcall.kms.place import XID, Lab, make_pki, secret


@pytest.fixture
def pki(tmp_path):
    return make_pki(tmp_path / "pki")


class Audit(place.Place):
    """An audit, and what stands in its log."""

    def rows(self) -> list[dict]:
        rows = [json.loads(row) for file in files.read(self.log) for row in file.lines]
        return [row for row in rows if "n" in row]


@pytest.fixture
def audit(tmp_path, monkeypatch) -> Audit:
    monkeypatch.setattr(clients, "WAIT_SECONDS", 5)
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)
    (tmp_path / "audit").mkdir()
    secret(tmp_path / "salt", place.SALT)
    return Audit(tmp_path / "audit")


def table(audit: Audit, grace: float = 900) -> str:
    return f'[kms.audit]\nsocket = "{audit.socket}"\nsalt = "{audit.folder.parent}/salt"\ngrace_seconds = {grace}\n'


@contextmanager
def full(monkeypatch) -> Iterator[None]:
    async def write(*_: object) -> list[int]:
        raise NotWritten("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "write", write)
        yield


def test_keys_are_in_the_audit_before_they_are_given(tmp_path, pki, audit):
    lab = Lab(tmp_path, pki)
    with audit.served(), lab.running(table(audit)) as running:
        seen, _ = running.call()
        status, answer = running.get_keys(seen)
        assert status == 200 and len(answer["keys"]) == 2
        status, _ = running.get_keys(seen, warrant=None)
        assert status == 403
    rows = audit.rows()
    assert made.check(audit.log).found is None and made.check(audit.log).unresolved == ()
    given = [row for row in rows if row["act"] == "keys.give"]
    assert [(row["phase"], row["outcome"], row["count"], row["code"]) for row in given] == [
        ("intent", "", 0, 0),
        ("outcome", "done", 2, 0),
        ("event", "refused", 0, 403),
    ]
    assert given[0]["object"] == digest(place.SALT, Kind.TASK, XID).hex() and given[0]["warrant"]
    assert {row["act"] for row in rows if row["role"] == "kms"} == {"keys.give", "configuration.read"}


def test_without_an_audit_no_key_under_a_new_warrant(tmp_path, pki, audit, monkeypatch):
    lab = Lab(tmp_path, pki)
    with audit.served(), lab.running(table(audit)) as running:
        seen, _ = running.call()
        with full(monkeypatch):
            status, answer = running.get_keys(seen)
            assert status == 500 and "audit" in answer["reason"] and "keys" not in answer
        while running.get_keys(seen)[0] != 200:
            pass
        with full(monkeypatch):
            assert running.get_keys(seen)[0] == 200, "under the same warrant a call goes on"
            other = lab.warrant(version=2, supersedes=1)
            assert running.get_keys(seen, warrant=other)[0] == 500
    assert made.check(audit.log).unresolved == ()


def test_the_grace_ends(tmp_path, pki, audit, monkeypatch):
    lab = Lab(tmp_path, pki)
    with audit.served(), lab.running(table(audit, grace=0.3)) as running:
        seen, _ = running.call()
        assert running.get_keys(seen)[0] == 200
        with full(monkeypatch):
            while (status := running.get_keys(seen)[0]) == 200:
                pass
            assert status == 500

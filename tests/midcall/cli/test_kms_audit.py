"""midcall kms where the KMS has an audit: what is done stands there before, or is not done."""

from __future__ import annotations

from pathlib import Path

import pytest

from midcall.base.audit_link import Act, AuditLink, Role, announced
from tests.midcall.audit import made, place
from tests.midcall.audit.test_shell import entries
from tests.midcall.cli.test_commands import midcall
from tests.midcall.cli.test_kms import ALICE, Place


@pytest.fixture
def kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = Place(tmp_path)
    (tmp_path / "audit").mkdir()
    salt = tmp_path / "credentials/kms/salt"
    salt.write_text(place.SALT.hex())
    salt.chmod(0o600)
    with found.file.open("a") as file:
        file.write(f'[kms.audit]\nsocket = "{tmp_path}/audit/door"\nsalt = "kms_salt"\n')
    return found


@pytest.fixture
def audit(tmp_path: Path) -> place.Place:
    (tmp_path / "audit").mkdir(exist_ok=True)
    return place.Place(tmp_path / "audit")


def test_what_is_administered_stands_in_the_audit(kms, audit):
    with audit.served():
        assert kms.add(ALICE).returncode == 0
        assert midcall("kms", "remove", "--config", kms.file, kms.lines({"psk_id": "psk-alice"})).returncode == 0
    said = [(row["role"], row["act"], row["phase"], row["outcome"], row["count"]) for row in entries(audit)[1:-1]]
    assert (
        said
        == [
            ("cli", "keys.manage", "intent", "", 1),
            ("cli", "keys.manage", "outcome", "done", 1),
        ]
        * 2
    )
    assert made.check(audit.log).unresolved == ()


def test_without_an_audit_nothing_is_done(kms):
    done = kms.add(ALICE)
    assert done.returncode == 3 and "nothing was done" in done.stderr
    assert kms.known() == {}
    assert midcall("kms", "count", "--config", kms.file).returncode == 0


def test_what_fails_is_said_to_have_failed(audit):
    link = AuditLink(path=audit.socket, role=Role.CLI, salt=place.SALT)
    with audit.served(), pytest.raises(ZeroDivisionError), announced(link, Act.KEYS_MANAGE):
        raise ZeroDivisionError
    assert [row["outcome"] for row in entries(audit)[1:-1]] == ["", "failed"]

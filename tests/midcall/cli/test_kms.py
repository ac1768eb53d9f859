"""midcall kms: subscribers come and go, keys turn over, and nothing of either is ever shown."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from midcall.base.seal import SealKey
from midcall.kms.shell.sealed import SealedStore
from tests.midcall.cli.test_commands import midcall

SEAL = bytes(range(32))
ALICE = {"identities": ["sip:alice@example.com", "tel:+15550001"], "psk_id": "psk-alice", "psk": "a1" * 16}
BOB = {"identities": ["sip:bob@example.com"], "psk_id": "psk-bob", "psk": "b0" * 32}
SECRETS = ("alice", "1555", "a1a1", "psk-")


class Place:
    """The file of a KMS, its secret, and the store that its first start has made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.path = folder, folder / "kms.toml", folder / "kms.db"
        own = f'certificate = "{folder}/kms.pem"\nkey = "kms_tls.key"\n'
        self.file.write_text(
            f'[log]\nli = "{folder}/li.log"\n[kms]\nidentity = "sip:kms.example.com"\nelement = "kms-1"\n'
            f'store = "{self.path}"\nseal = "kms_seal"\n[kms.users]\nlisten = "127.0.0.1:0"\n{own}'
        )
        (folder / "credentials/kms").mkdir(parents=True, mode=0o700)
        self.seal(SEAL)
        store = self.store()
        store.turn(1, 1, 1)
        store.close()

    def seal(self, octets: bytes) -> None:
        path = self.folder / "credentials/kms/seal"
        path.write_text(octets.hex())
        path.chmod(0o600)

    def store(self) -> SealedStore:
        return SealedStore(self.path, SealKey(SEAL))

    def lines(self, *entries: object, mode: int = 0o600) -> Path:
        path = self.folder / "list.jsonl"
        path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in entries))
        path.chmod(mode)
        return path

    def add(self, *entries: object) -> object:
        return midcall("kms", "add", "--config", self.file, self.lines(*entries))

    def known(self) -> dict[bytes, tuple[str, ...]]:
        store = self.store()
        try:
            return {each.psk_id: each.identities for each in store.subscribers()}
        finally:
            store.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return Place(tmp_path)


def test_subscribers_come_change_and_go(place):
    done = place.add(ALICE, "", BOB)
    assert (done.returncode, done.stdout) == (0, "2 added, 0 replaced\n")
    assert set(place.known()) == {b"psk-alice", b"psk-bob"}
    done = place.add(ALICE | {"identities": ["sip:alice@example.com"]})
    assert done.stdout == "0 added, 1 replaced\n" and place.known()[b"psk-alice"] == ("sip:alice@example.com",)
    gone = place.lines({"psk_id": "psk-alice"}, {"psk_id": "psk-nobody"})
    done = midcall("kms", "remove", "--config", place.file, gone)
    assert (done.returncode, done.stdout) == (4, "1 removed, 1 were not there\n")
    assert set(place.known()) == {b"psk-bob"}


def test_what_is_said_names_nobody(place):
    place.add(ALICE, BOB)
    done = midcall("kms", "count", "--config", place.file)
    assert done.stdout == "2 subscribers with 3 identities\n1 ticket protection keys\n"
    for entries in ((ALICE | {"psk": "a1a1"},), (ALICE | {"psk_id": "psk-other"},), ("alice a1a1 psk-",)):
        done = place.add(*entries)
        assert done.returncode == 3 and not any(each in done.stdout + done.stderr for each in SECRETS)
    stored = b"".join(path.read_bytes() for path in place.folder.glob("kms.db*"))
    assert not any(each.encode() in stored for each in SECRETS)


def test_a_list_may_come_from_another_program(place, monkeypatch):
    read, write = os.pipe()
    os.write(write, json.dumps(BOB).encode())
    os.close(write)
    former = os.dup(0)
    os.dup2(read, 0)
    try:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        done = midcall("kms", "add", "--config", place.file, "-")
    finally:
        os.dup2(former, 0)
        os.close(former)
        os.close(read)
    assert done.stdout == "1 added, 0 replaced\n", done.stderr


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((BOB, "no JSON"), "line 2: no JSON"),
        ((BOB, {"identities": [], "psk_id": "x", "psk": "00" * 16}), "line 2: Expected `array` of length >= 1"),
        ((BOB | {"more": 1},), "line 1: Object contains unknown field `more`"),
        ((BOB | {"psk": "zz"},), "line 1: psk: not hexadecimal"),
        ((BOB | {"psk": "00" * 8},), "line 1: psk: 8 octets, not 16 to 32"),
        ((BOB | {"identities": ["bob"]},), "line 1: identities: one names nobody"),
        ((BOB, "x" * 70_000), "line 2: longer than 65536 octets"),
        ((BOB, ALICE | {"identities": ["SIP:bob@EXAMPLE.com"]}), "line 2: an identity is another subscriber's"),
    ],
)
def test_a_list_with_a_mistake_changes_nothing(place, entries, says):
    done = place.add(*entries)
    assert done.returncode == 3 and says in done.stderr and len(done.stderr.splitlines()) == 1
    assert not place.known()


def test_an_identity_of_another_subscriber_who_is_there_already(place):
    place.add(BOB)
    done = place.add(ALICE | {"identities": ["sip:bob@example.com"]})
    assert done.returncode == 3 and "another subscriber's" in done.stderr
    # With both in one list it goes over from one to the other.
    done = place.add(BOB | {"identities": ["sip:robert@example.com"]}, ALICE | {"identities": ["sip:bob@example.com"]})
    assert done.returncode == 0 and place.known()[b"psk-alice"] == ("sip:bob@example.com",)


def test_a_new_key_serves_new_tickets_and_the_former_one_opens_its_own(place):
    store = place.store()
    (former,) = store.tpks
    done = midcall("kms", "rotate-tpk", "--config", place.file)
    assert done.stdout == "a new ticket protection key serves new tickets; 2 are kept\n"
    assert store.changed() and store.tpks[1:] == (former,) and store.tpks[0].key.hex() not in done.stdout
    store.close()


def test_who_may_not_and_what_is_not_there(place, monkeypatch):
    wide = place.lines(BOB, mode=0o644)
    done = midcall("kms", "add", "--config", place.file, wide)
    assert done.returncode == 2 and "others than its owner have access" in done.stderr
    place.seal(bytes(32))
    done = midcall("kms", "count", "--config", place.file)
    assert done.returncode == 2 and "sealed with another key" in done.stderr
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place.folder / "nowhere"))
    done = midcall("kms", "count", "--config", place.file)
    assert done.returncode == 2 and "nowhere/kms_seal: No such file" in done.stderr
    place.path.unlink()
    done = midcall("kms", "count", "--config", place.file)
    assert done.returncode == 2 and "the KMS makes it at its first start" in done.stderr
    place.file.write_text("[log]\nli = '/x'\n[tap]\ndoor = '/d'\ninterfaces = ['lo']\n")
    done = midcall("kms", "count", "--config", place.file)
    assert done.returncode == 2 and "has no table [kms]" in done.stderr

"""Logs for tests: made by the ledger, as files in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from midcall.audit.checking import Checked, Checker
from midcall.audit.heads import Key, Signer
from midcall.audit.ledger import Ledger, Place, Writer
from midcall.audit.shell import files
from midcall.base.audit_link import Act, Note, Outcome, Phase, Role
from midcall.events import Instant

LOG = "0123456789abcdef" * 2
BOOT = "ab" * 16
SECRET = Ed25519PrivateKey.from_private_bytes(b"audit" + bytes(27))
KEY = Key(SECRET.public_key())
POI = Writer(Role.POI, 1, b"run of the poi..")


def pem(key: Ed25519PrivateKey = SECRET) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def note(number: int, phase: Phase = Phase.EVENT, act: Act = Act.TASK_ACTIVATE) -> Note:
    return Note(act, phase, number, bytes([number % 256]) * 32, outcome=Outcome.DONE, count=number)


def ledger(place: Place | None = None, key: Ed25519PrivateKey = SECRET) -> Ledger:
    place = place or Place(LOG)
    return Ledger(place, Signer(place.log, Key(key.public_key()).raw, key.sign), BOOT)


def group(log: Ledger, count: int, salt: int = 0) -> bytes:
    """Lines of so many entries and their head."""
    for _ in range(count):
        log.add(note(log.place.size + log.waiting + salt), POI, Instant(10**18 + log.waiting, 5))
    octets = log.seal(Instant(10**18 + log.place.heads, 6))
    log.sealed()
    return octets


def write(folder: Path, groups: Sequence[int], each_file: int = 1_000, key: Ed25519PrivateKey = SECRET) -> list[str]:
    """A log of groups of so many entries, ``each_file`` groups a file; its heads."""
    folder.mkdir(exist_ok=True)
    log, heads = ledger(key=key), []
    path = folder
    for number, count in enumerate(groups):
        begin = b""
        if number % each_file == 0:
            path = folder / f"{log.place.size:020d}.log"
            begin = log.place.begin()
        with path.open("ab") as file:
            file.write(begin + group(log, count))
        heads.append(log.place.head)
    return heads


def check(folder: Path, key: Key = KEY) -> Checked:
    return Checker(key).check(files.read(folder))

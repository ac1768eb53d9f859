"""What is fuzzed of the audit: lines of its files, heads, what roles say to it, proofs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from midcall.audit import lines, proofs
from midcall.audit.checking import Checker, LogFile
from midcall.audit.heads import HeadError, Key, Signer
from midcall.audit.ledger import Ledger, Place, Writer
from midcall.audit.merkle import ProofError
from midcall.base.audit_link import Act, Note, Outcome, Phase, Role, values
from midcall.events import Instant

_SECRET = Ed25519PrivateKey.from_private_bytes(bytes(32))
_KEY = Key(_SECRET.public_key())
_LOG = "0" * 32
_NOTE = Note(Act.KEYS_GIVE, Phase.INTENT, 1, bytes(32), bytes(32), bytes(32), Outcome.NONE, 0, 2)


def run(octets: bytes) -> None:
    """Each reads it as it would be written, or refuses; as a file it is good only if it is the one that was written."""
    for row in octets.split(b"\n")[:16]:
        with suppress(lines.LineError):
            assert lines.encode(lines.decode(row)) == row
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        values.question(octets)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        values.answer(octets)
    with suppress(HeadError):
        _KEY.head(octets.decode("utf-8", "replace"))
    with suppress(ProofError):
        proofs.check(proofs.decode(octets), _KEY)
    checked = Checker(_KEY).check([LogFile("0.log", 0, octets.splitlines(keepends=True))])
    if checked.found is None:
        assert _WHOLE.startswith(octets), "a log that nobody has signed"


def written() -> Iterator[bytes]:
    """A log, and one of each of the others."""
    yield _WHOLE
    yield from _WHOLE.splitlines()
    yield values.packet(values.Hello(values.VERSION, Role.KMS, 1, bytes(16)))
    yield values.packet(values.Ask(1, (_NOTE, _NOTE)))
    yield values.packet(values.Kept(1, 2, "head"))
    yield values.packet(values.NotKept(1, "full"))


def _log() -> bytes:
    signer = Signer(_LOG, _KEY.raw, _SECRET.sign)
    ledger = Ledger(Place(_LOG), signer, "1" * 32)
    octets = ledger.place.begin()
    for count in (2, 1):
        for _ in range(count):
            ledger.add(_NOTE, Writer(Role.KMS, 1, bytes(16)), Instant(1, 1))
        octets += ledger.seal(Instant(2, 2))
        ledger.sealed()
    return octets


_WHOLE = _log()

"""What may be said to the audit, and what it answers: a closed schema of words, numbers and digests.

There is no field that a name, a number or a key fits in: acts and outcomes are words of a list, whatever an act is on
is a keyed digest of 32 octets. Packets are msgpack arrays over a Unix seqpacket socket.
"""

from __future__ import annotations

import enum
import re
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

VERSION = 1
DIGEST_OCTETS = 32
SALT_OCTETS = 32
RUN_OCTETS = 16
MAX_NOTES = 256
"""Notes of one packet."""
MAX_PACKET = 65_536
MAX_NUMBER = 1 << 62
MAX_CODE = 65_535


class Act(enum.StrEnum):
    """What is done. The word before the dot says to what."""

    WARRANT_DRAFT = "warrant.draft"
    WARRANT_APPROVE = "warrant.approve"
    WARRANT_ACTIVATE = "warrant.activate"
    WARRANT_EXTEND = "warrant.extend"
    WARRANT_REVOKE = "warrant.revoke"
    WARRANT_EXPIRE = "warrant.expire"
    WARRANT_PLACE = "warrant.place"
    WARRANT_READ = "warrant.read"
    TASK_ACTIVATE = "task.activate"
    TASK_MODIFY = "task.modify"
    TASK_DEACTIVATE = "task.deactivate"
    TASK_DEACTIVATE_ALL = "task.deactivate-all"
    TASK_READ = "task.read"
    TASK_ARM = "task.arm"
    TASK_DISARM = "task.disarm"
    DESTINATION_CREATE = "destination.create"
    DESTINATION_MODIFY = "destination.modify"
    DESTINATION_REMOVE = "destination.remove"
    DESTINATION_REMOVE_ALL = "destination.remove-all"
    KEYS_ASK = "keys.ask"
    KEYS_GIVE = "keys.give"
    KEYS_MANAGE = "keys.manage"
    KEYS_DESTROY = "keys.destroy"
    DELIVERY_BEGIN = "delivery.begin"
    DELIVERY_END = "delivery.end"
    DELIVERY_GAP = "delivery.gap"
    DELIVERY_REFUSE = "delivery.refuse"
    CONFIGURATION_READ = "configuration.read"
    CONFIGURATION_CHANGE = "configuration.change"
    TRUST_CHANGE = "trust.change"
    LI_STATUS = "li.status"
    LI_EXPLAIN = "li.explain"
    LI_REFUSE = "li.refuse"
    CLOCK_TRUST = "clock.trust"
    RECONCILE = "reconcile"
    ALARM = "alarm"
    AUDIT_START = "audit.start"
    AUDIT_STOP = "audit.stop"
    AUDIT_TORN = "audit.torn"
    AUDIT_REFUSE = "audit.refuse"
    AUDIT_DISAGREE = "audit.disagree"


class Phase(enum.StrEnum):
    """``intent``: before an act, which waits for it; ``outcome``: of such a one; ``event``: nothing waited for it."""

    INTENT = "intent"
    OUTCOME = "outcome"
    EVENT = "event"


class Outcome(enum.StrEnum):
    """How an act ended. ``unknown``: who began it was started again before it could say."""

    NONE = ""
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Role(enum.StrEnum):
    """Who acts."""

    POI = "poi"
    DF = "df"
    KMS = "kms"
    ADMF = "admf"
    CLI = "cli"
    AUDIT = "audit"


class Kind(enum.StrEnum):
    """What a digest is of: one identifier gives another digest for each of them."""

    WARRANT = "warrant"
    TASK = "task"
    DESTINATION = "destination"
    INTERCEPT = "intercept"
    CALL = "call"
    TRANSACTION = "transaction"
    PERSON = "person"
    CERTIFICATE = "certificate"
    FILE = "file"
    KEY = "key"
    ELEMENT = "element"


Digest = Annotated[bytes, Meta(min_length=DIGEST_OCTETS, max_length=DIGEST_OCTETS)]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Code = Annotated[int, Meta(ge=0, le=MAX_CODE)]


class Note(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One thing that is to be kept. ``at``: wall ns of who acts. ``of``: the sequence number of the intent."""

    act: Act
    phase: Phase
    at: Number
    object: Digest | None = None
    warrant: Digest | None = None
    actor: Digest | None = None
    outcome: Outcome = Outcome.NONE
    code: Code = 0
    count: Number = 0
    of: Number | None = None


class Hello(Struct, frozen=True, array_like=True, tag=0, forbid_unknown_fields=True):
    """The first packet: who writes; ``run``: random, another one at each start."""

    version: int
    role: Role
    instance: Annotated[int, Meta(ge=1, le=9_999)]
    run: Annotated[bytes, Meta(min_length=RUN_OCTETS, max_length=RUN_OCTETS)]


class Ask(Struct, frozen=True, array_like=True, tag=1, forbid_unknown_fields=True):
    """Notes to be kept, in their order; ``number`` counts the packets of one connection. Without notes: can it be?"""

    number: Number
    notes: Annotated[tuple[Note, ...], Meta(max_length=MAX_NOTES)] = ()


class Kept(Struct, frozen=True, array_like=True, tag=2):
    """All notes of a packet are on the disk; ``sequence``: that of the first. ``head``: signed, over them too.

    ``remarks``: entries that the audit has found within the hour, and that others do not bear out.
    """

    number: int
    sequence: int
    head: str
    remarks: int = 0


class NotKept(Struct, frozen=True, array_like=True, tag=3):
    """None of them is, and ``reason`` names no file's contents."""

    number: int
    reason: str


Question = Hello | Ask
Answer = Kept | NotKept
_HEAD = re.compile(r"midcall\.audit/([0-9a-f]{32})\n[0-9]+\n[^\n]+\nhead ([0-9]{1,19})\n")
_encoder = msgspec.msgpack.Encoder()
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def packet(message: Question | Answer) -> bytes:
    return _encoder.encode(message)


def question(octets: bytes) -> Question:
    """The inverse. msgspec.MsgspecError: it is none, or has a field that the schema has not."""
    return _questions.decode(octets)


def answer(octets: bytes) -> Answer:
    """msgspec.MsgspecError."""
    return _answers.decode(octets)


def head_at(text: str) -> tuple[str, int] | None:
    """Of a signed head, which log it is of, and its number; None: there is none yet, or it is none."""
    found = _HEAD.match(text)
    return None if found is None else (found[1], int(found[2]))


def digest(salt: bytes, kind: Kind, identifier: str | bytes) -> bytes:
    """What stands for an identifier: who has neither it nor the salt learns nothing, who has both finds it again."""
    octets = identifier.encode("utf-8", "surrogatepass") if isinstance(identifier, str) else identifier
    return blake2b(
        kind.encode() + b"\0" + octets, digest_size=DIGEST_OCTETS, key=salt, person=b"midcall.audit"
    ).digest()

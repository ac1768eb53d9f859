"""What the LI plane says of a call: a ladder of rungs from the first message to the hand-over, as JSON.

Each rung says whether it was reached, and a reason where it was not. There are no identities in it, no addresses, no
keys; the Call-ID is known to who asks.
"""

from __future__ import annotations

import datetime
import enum

from msgspec import Struct

EXPLAIN_PATH = "/li/v1/explain"
AUDIT_PATH = "/li/v1/audit-head"
STATUS_PATH = "/li/v1/status"
KIND = "application/json"
NS = 1_000_000_000
MAX_CALL_ID = 1_024
MAX_QUESTION = 4_096
MAX_STREAMS = 32
"""Streams of a fork that are told one by one: forged ones come without number."""


class State(enum.StrEnum):
    """How far a rung is reached."""

    DONE = "done"
    WAITING = "waiting"
    MISSING = "missing"
    NOT_NEEDED = "not needed"


class Reason(enum.StrEnum):
    """Why something is missing, or is waited for: words for programs. ``docs/reference/li-plane.md`` lists them."""

    NO_SDP = "no-sdp"
    NO_ANSWER = "no-answer"
    NO_TICKET = "no-ticket"
    UNREADABLE = "unreadable"
    X2_DOWN = "x2-down"
    OUTSIDE_WINDOW = "outside-window"
    IRI_ONLY = "iri-only"
    NO_SESSION = "no-session"
    NO_MEDIA = "no-media"
    KMS_ASKED = "kms-asked"
    KMS_REFUSED = "kms-refused"
    NO_KEYS = "no-keys"
    NO_TAP = "no-tap"
    NO_PACKETS = "no-packets"
    HELD = "held"
    TAG_FAILURES = "tag-failures"
    WITHOUT_KEY = "without-key"
    DROPPED = "dropped"
    LEMF_DOWN = "lemf-down"
    HANDOVER_REFUSED = "handover-refused"


class Rung(Struct, frozen=True, omit_defaults=True):
    """One step of the way; ``said`` for people, ``reason`` (a :class:`Reason`) and ``counts`` for programs."""

    name: str
    state: State
    said: str
    reason: str | None = None
    counts: dict[str, int] = {}


class StreamCounts(Struct, frozen=True, omit_defaults=True):
    """One SSRC at one place: m-line (from 1), kind, which side sends it, and its packets by what became of them."""

    media: int
    kind: str
    sender: str
    rtcp: bool
    packets: int
    decrypted: int = 0
    clear: int = 0
    encrypted: int = 0
    tag_failures: int = 0
    without_key: int = 0
    replayed: int = 0
    too_old: int = 0
    malformed: int = 0
    rollover: int = 0


class Fork(Struct, frozen=True, omit_defaults=True):
    """One dialog of the call, numbered in the order in which they were seen."""

    number: int
    rungs: tuple[Rung, ...]
    streams: tuple[StreamCounts, ...] = ()


class TaskLadder(Struct, frozen=True, omit_defaults=True):
    """The call under one task. ``liid`` at a DF. ``mid_call``: it ran already when the task was armed."""

    xid: str
    mid_call: bool
    forks: tuple[Fork, ...]
    liid: str = ""


class Explanation(Struct, frozen=True):
    """The answer of one element."""

    version: str
    role: str
    element: str
    tasks: tuple[TaskLadder, ...]


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked."""

    call_id: str


class NotExplained(Struct, frozen=True):
    """The one answer for every call that is not under a task, whether there is such a call or not."""

    refused: str = "no call of this name is under a task that is armed here"


def many(count: int, thing: str) -> str:
    """A number of things."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def unauthenticated(count: int) -> str:
    """What is said of events whose copies came by HEP without TLS; nothing when there is none."""
    return f"; {count} of them not authenticated (HEP without TLS)" if count else ""


def moment(at: int) -> str:
    """Wall ns as UTC, to the millisecond."""
    when = datetime.datetime.fromtimestamp(at // NS, datetime.UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{at % NS // 1_000_000:03}Z"

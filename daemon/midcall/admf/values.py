"""What the ADMF holds and says: warrants in their versions, how each stands, acts of people, alarms."""

from __future__ import annotations

import enum
from hashlib import sha256

from msgspec import Struct

from midcall.base.warrant import FormError, Known, Revocation, Warrant, envelope, value

SECOND = 1_000_000_000


class Status(enum.StrEnum):
    """How a warrant stands: the words of TS 103 120 for AuthorisationStatus and LITask Status, and one of our own."""

    AWAITING_APPROVAL = "AwaitingApproval"
    APPROVED = "Approved"
    AWAITING_CONFIRMATION = "AwaitingConfirmation"
    """Ours: many were activated within the hour, so that a second administrator has to ask for this one too."""
    AWAITING_PROVISIONING = "AwaitingProvisioning"
    ACTIVE = "Active"
    ERROR = "Error"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    CANCELLED = "Cancelled"


class Denied(Exception):
    """An act is refused; ``code`` is a word that a program reads, the text one line without a target in it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Paper(Struct, frozen=True):
    """One version of a warrant, or its revocation: the octets of its file, with those signatures that it has."""

    octets: bytes
    drafted_by: str

    def __repr__(self) -> str:
        return "Paper(...)"

    @property
    def envelope(self) -> envelope.Envelope:
        return envelope.read(self.octets)

    @property
    def signed(self) -> Warrant | Revocation:
        """FormError."""
        return value.decode(self.envelope.signed)

    @property
    def digest(self) -> str:
        """SHA-256 of what is signed: what people compare."""
        return sha256(self.envelope.signed).hexdigest()


class Record(Struct, frozen=True):
    """All that is kept of one warrant.

    ``papers`` by version, the last one highest. ``ordered``: versions that an administrator has activated.
    ``asked_by``: who asked for one that waits for a second administrator. ``approved``: versions that enough persons
    have signed, with what is known of them. ``ended``: for good.
    """

    id: str
    papers: tuple[tuple[int, Paper], ...]
    approved: tuple[tuple[int, Known], ...] = ()
    ordered: tuple[int, ...] = ()
    asked: int = 0
    asked_by: str = ""
    suspended: bool = False
    ended: Status | None = None
    ended_at: int = 0

    @property
    def last(self) -> int:
        """The highest version drafted here."""
        return max((version for version, _ in self.papers), default=0)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing of it has to be remembered: nobody ever approved it."""
        return not self.papers and not self.approved

    def paper(self, version: int) -> Paper | None:
        return next((paper for each, paper in self.papers if each == version), None)

    def is_approved(self, version: int) -> bool:
        return any(each == version for each, _ in self.approved)

    @property
    def known(self) -> Known | None:
        """The highest version that was approved here."""
        return max((known for _, known in self.approved), key=lambda each: each.version, default=None)


class AlarmKind(enum.StrEnum):
    """What somebody has to look at."""

    SILENT = "element does not answer"
    STRANGE_TASK = "element held a task that nobody here ordered"
    ALTERED_TASK = "element held a task otherwise than it was ordered"
    MISSING_TASK = "element has lost a task"
    STRANGE_DESTINATION = "element held a destination that nobody here ordered"
    ALTERED_DESTINATION = "element held a destination otherwise than it was ordered"
    REFUSED = "element refuses an order"
    FAILED_TASK = "element cannot carry out a task"
    FAULT = "element reports a fault"
    ALERT = "element reports an alert"
    DELIVERY = "element cannot deliver"
    NOT_PLACED = "a KMS does not take a revocation"
    WARRANT = "a warrant in force holds no more"
    CLOCK = "the clock has jumped"
    MASS = "more activations within an hour than one administrator may"
    MASS_END = "more warrants were ended within an hour than one administrator may activate"
    STORE = "the store cannot be written"
    AUDIT = "the audit cannot be written"
    DISAGREES = "the audit has entries that the other roles do not bear out"


class Alarm(Struct, frozen=True):
    """``subject``: an XID, a DID, a warrant's id; nothing that names a target. ``until`` 0: it stands. Wall ns."""

    kind: AlarmKind
    element: str
    subject: str
    detail: str
    since: int
    until: int = 0


def version_of(paper: Paper) -> int:
    return paper.signed.version


__all__ = ["Alarm", "AlarmKind", "Denied", "FormError", "Paper", "Record", "SECOND", "Status", "version_of"]

"""What people's commands and the ADMF tell each other: JSON over HTTPS, one path a command."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from midcall.admf.roles import Command
from midcall.base.warrant.envelope import Signature
from midcall.base.warrant.value import Sha256, Version, WarrantId

KIND = "application/json"
MAX_ANSWER = 16 << 20


def path(command: Command) -> str:
    return f"/admf/v1/{command}"


class Named(Struct, frozen=True, forbid_unknown_fields=True):
    """A warrant."""

    id: WarrantId


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """A signature, and the digest of what its signer has seen."""

    id: WarrantId
    version: Version
    digest: Sha256
    signature: Signature


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing has to be said with it."""


class Done(Struct, frozen=True):
    """How a warrant stands after an act."""

    id: str
    version: int
    status: str
    outcome: str


class Row(Struct, frozen=True, omit_defaults=True):
    """A warrant in a list; what names an agency or a time is for those who may see it."""

    id: str
    version: int
    status: str
    approvals: int
    digest: str
    agency: str = ""
    start: str = ""
    end: str = ""
    waits_for: str = ""


class Listed(Struct, frozen=True):
    """``total``: how many there are; the list may be cut."""

    warrants: tuple[Row, ...]
    total: int


class Shown(Struct, frozen=True):
    """The file of the last version, as it is; ``elements``: by element, how each of its tasks stands there."""

    file: str
    version: int
    status: str
    drafted_by: str
    elements: dict[str, dict[str, str]]


class AlarmRow(Struct, frozen=True):
    """Times in wall ns; ``until`` 0: it stands."""

    kind: str
    element: str
    subject: str
    detail: str
    since: int
    until: int


class Alarmed(Struct, frozen=True):
    alarms: tuple[AlarmRow, ...]


class Health(Struct, frozen=True):
    """By element whether it answers: the same whether anybody is under surveillance or nobody."""

    version: str
    elements: dict[str, bool]


class Refusal(Struct, frozen=True):
    """Why an act was refused: a word, and a line for people."""

    code: Annotated[str, Meta(max_length=64)]
    reason: Annotated[str, Meta(max_length=512)]

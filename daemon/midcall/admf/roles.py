"""Who may do what: one role a person, and a table of commands.

Nobody both approves and activates; nobody but administrators and approvers sees a name of a target; who runs the
machine sees whether elements answer, and nothing that is different when nobody is under surveillance.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from midcall.base.warrant.trust import plain


class Role(enum.StrEnum):
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    APPROVER = "approver"
    AUDITOR = "auditor"


class Command(enum.StrEnum):
    """What people ask of the ADMF; the value stands in the path of the request."""

    DRAFT = "draft"
    APPROVE = "approve"
    ACTIVATE = "activate"
    REVOKE = "revoke"
    LIST = "list"
    SHOW = "show"
    ALARMS = "alarms"
    HEALTH = "health"
    CLOCK = "clock"


MATRIX: dict[Command, frozenset[Role]] = {
    Command.DRAFT: frozenset({Role.ADMINISTRATOR}),
    Command.APPROVE: frozenset({Role.APPROVER}),
    Command.ACTIVATE: frozenset({Role.ADMINISTRATOR}),
    Command.REVOKE: frozenset({Role.ADMINISTRATOR}),
    Command.LIST: frozenset({Role.ADMINISTRATOR, Role.APPROVER, Role.AUDITOR}),
    Command.SHOW: frozenset({Role.ADMINISTRATOR, Role.APPROVER}),
    Command.ALARMS: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
    Command.HEALTH: frozenset(Role),
    Command.CLOCK: frozenset({Role.ADMINISTRATOR}),
}
SEES_NAMES = frozenset({Role.ADMINISTRATOR, Role.APPROVER})
"""Roles to which a list tells agencies and times; the others get handles and digests."""


class Person(Struct, frozen=True):
    """Somebody with a certificate. ``name`` of an approver is that of the trust list."""

    name: str
    role: Role

    @property
    def plain(self) -> str:
        """The name, such that one person written in two ways is still one."""
        return plain(self.name)

    def may(self, command: Command) -> bool:
        return self.role in MATRIX[command]

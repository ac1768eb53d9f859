"""The tables of the audit: its own, and that of the roles that write to it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.kinds import Credential, Filled, Seconds


class AuditTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a role is audited: the ``socket`` of the role ``audit``, and the site's ``salt`` (32 octets), by which an
    identifier becomes what stands for it there. ``grace_seconds``: without the audit for so long, what runs is ended.
    """

    socket: Filled
    salt: Credential
    grace_seconds: Seconds = 900.0


class AuditWriterTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may write as a role, by the names of users; none: our own."""

    role: Literal["poi", "df", "kms", "admf", "cli"]
    users: tuple[Filled, ...] = ()


class AuditQuotaTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one user may write in one role: notes ``per_second`` after a ``burst``, and ``per_day``. When less than
    ``reserve_mb`` of the disk are free, who has used half of that is refused.
    """

    per_second: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    burst: Annotated[int, Meta(ge=256, le=10_000_000)] = 20_000
    per_day: Annotated[int, Meta(ge=256, le=10_000_000_000)] = 10_000_000
    reserve_mb: Annotated[int, Meta(ge=0, le=1 << 20)] = 64


class AuditConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[audit]``: ``store`` is the folder of the log, ``key`` (PEM, Ed25519) signs its heads, ``socket`` is where
    roles write. ``anchors``: files to which the last head goes each ``anchor_seconds``; they belong on another host.
    ``look_seconds``: how often it is looked whether somebody else has written in the log. ``file_octets``: after which
    the next file begins.
    """

    store: Filled
    key: Credential
    socket: Filled
    writer: Annotated[tuple[AuditWriterTable, ...], Meta(min_length=1, max_length=16)]
    anchors: Annotated[tuple[Filled, ...], Meta(max_length=8)] = ()
    anchor_seconds: Annotated[float, Meta(gt=0, le=3_600)] = 60.0
    look_seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0
    file_octets: Annotated[int, Meta(ge=65_536, le=1 << 34)] = 1 << 26
    quota: AuditQuotaTable = AuditQuotaTable()

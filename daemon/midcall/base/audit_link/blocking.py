"""The audit for commands, which do one thing and wait for it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator

import msgspec

from midcall.base.audit_link.client import AuditLink, NotAudited
from midcall.base.audit_link.values import (
    MAX_PACKET,
    RUN_OCTETS,
    VERSION,
    Act,
    Ask,
    Hello,
    Kept,
    Note,
    Outcome,
    Phase,
    answer,
    packet,
)

SECONDS = 5.0


@contextlib.contextmanager
def announced(link: AuditLink, act: Act, held: bytes | None = None, *, count: int = 0) -> Iterator[None]:
    """What is done inside is in the audit before, and how it ended after. NotAudited: it is not begun."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.settimeout(SECONDS)
            connection.connect(os.fspath(link.path))
            connection.sendall(packet(Hello(VERSION, link.role, link.instance, secrets.token_bytes(RUN_OCTETS))))
            sequence = _kept(connection, 1, Note(act, Phase.INTENT, time.time_ns(), held, count=count))
        except (OSError, msgspec.MsgspecError):
            raise NotAudited from None
        outcome = Outcome.FAILED
        try:
            yield
            outcome = Outcome.DONE
        finally:
            note = Note(act, Phase.OUTCOME, time.time_ns(), held, outcome=outcome, count=count, of=sequence)
            # Without it the next one who comes as this writer ends it as unknown.
            with contextlib.suppress(OSError, msgspec.MsgspecError, NotAudited):
                _kept(connection, 2, note)


def _kept(connection: socket.socket, number: int, note: Note) -> int:
    connection.sendall(packet(Ask(number, (note,))))
    found = answer(connection.recv(MAX_PACKET))
    if not isinstance(found, Kept):
        raise NotAudited
    return found.sequence

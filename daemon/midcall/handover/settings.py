"""Timers and bounds of handover; the timers are those of TS 102 232-1 6.3."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class SpoolSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How records are kept on disk until they are delivered.

    ``segment_octets``: content stands in files of about this size; whole files are given up when the disk is full.
    ``reserve_octets``: kept free for events. ``last_octets``: of these not even events get; a full spool is opened in
    its next run with them, its log copied home (a megabyte, and what one commit takes) and what is delivered deleted.
    ``commit_seconds``/``commit_records``: content is written so long after
    the commit before, or when there is so much of it, by whichever comes first; an event does not wait.
    ``waiting_records``: content that may wait in memory for its commit; more is refused and declared.
    ``retry_seconds``: a full disk is tried again, and what was refused meanwhile is declared.
    ``idle_seconds``: numbering that is kept in memory since its last use. ``retain_seconds``: delivered product of an
    intercept that is over stays so long under its key; ``backlog_seconds``: so long what could not be delivered (0:
    until it is).
    """

    segment_octets: int = 64 << 20
    reserve_octets: int = 16 << 20
    last_octets: int = 2 << 20
    commit_seconds: float = 0.02
    commit_records: int = 8_192
    waiting_records: int = 131_072
    retry_seconds: float = 1.0
    idle_seconds: float = 600.0
    retain_seconds: float = 0.0
    backlog_seconds: float = 0.0


class LinkSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One destination: its connections and their timers (TS 102 232-1 6.3, typical values), in seconds.

    ``time1``: a keep-alive after so long without traffic; ``time2``: its answer is expected, a missing one is a
    fault; ``time3``: without an answer the connection is dropped and opened anew. ``time4``, ``time5``: the same
    for the answer to a request for acknowledgement; ``time6``: between such requests. ``proof_seconds`` and
    ``proof_pdus``: under load a keep-alive (or a request for acknowledgement) is sent behind the data after so
    long or so many PDUs, whichever comes first; its answer releases all before it. ``proof``: ``auto`` asks for the
    option pDUAcknowledgement, goes by keep-alives when it is declined, and by TCP's acknowledgement when the LEMF
    has never answered anything for ``silence`` s; the others fix one of them (``transport`` only by agreement, 6.4.3).
    ``connections``: one for both interfaces, or one for each. ``retry_first``/``retry_most``: pauses between
    attempts to connect, doubled each time and shortened at random by up to half. ``window_octets``: what may be
    under way without proof of receipt. ``answer_octets``: the longest PDU that a LEMF may send.
    ``answers``: PDUs nobody asked for that one connection may bring.
    """

    time1: float = 120.0
    time2: float = 30.0
    time3: float = 60.0
    silence: float = 20.0
    time4: float = 30.0
    time5: float = 60.0
    time6: float = 1.0
    proof_seconds: float = 1.0
    proof_pdus: int = 1_000
    proof: Literal["auto", "acknowledgement", "keep-alive", "transport"] = "auto"
    connections: Literal["one", "each"] = "one"
    connect_seconds: float = 10.0
    retry_first: float = 1.0
    retry_most: float = 30.0
    poll_seconds: float = 1.0
    window_octets: int = 32 << 20
    answer_octets: int = 64 << 10
    answers: int = 1_000

"""Timers and bounds of X2 and X3 links, in seconds, octets and PDUs; the timers' names are those of TS 103 221-2."""

from __future__ import annotations

from msgspec import Struct


class X2LinkSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One link, or all links of one server.

    ``time_p1``: a keepalive is sent after so long at the latest (6.2.4). ``time_p2``: without a valid answer for so
    long the POI's end drops the connection and opens it anew; the other end drops one that brought no whole PDU for so
    long. ``proof_seconds``, ``proof_pdus``: behind data a keepalive is sent after so long or so many PDUs, whichever
    comes first; its answer releases all before it.
    ``connect_seconds``: for connecting, and for the TLS handshake at either end. ``retry_first``, ``retry_most``: the
    shortest and the longest pause between attempts to connect, a quarter of the time that the link has been down,
    shortened at random by up to half. ``steady_seconds``: a connection that answered and stood so long is opened again
    at once.
    ``window_octets``: what may be under way without proof. ``answers``: PDUs that answer nothing and that one
    connection may bring all the same.
    ``buffer_octets``, ``buffer_seconds``: what is kept until it is proved, and for how long; beyond either the oldest
    PDUs are given up. ``row_octets``: PDUs that are kept, sealed and released together.
    ``pdu_octets``: the longest PDU that is sent or taken. ``connections``, ``connections_of_a_peer``: at once, at a
    server. ``read_octets``: handed on together at most, but for one PDU longer than that.
    """

    time_p1: float = 60.0
    time_p2: float = 180.0
    proof_seconds: float = 1.0
    proof_pdus: int = 1_000
    connect_seconds: float = 10.0
    retry_first: float = 0.1
    retry_most: float = 30.0
    steady_seconds: float = 1.0
    window_octets: int = 8 << 20
    answers: int = 1_000
    buffer_octets: int = 64 << 20
    buffer_seconds: float = 3_600.0
    row_octets: int = 64 << 10
    pdu_octets: int = 1 << 21
    connections: int = 256
    connections_of_a_peer: int = 8
    read_octets: int = 256 << 10

    def __post_init__(self) -> None:
        if not 0 < self.time_p1 < self.time_p2:
            raise ValueError("time_p1 is to be shorter than time_p2, or an idle link would be dropped")
        if not 0 < self.retry_first <= self.retry_most:
            raise ValueError("retry_first is to be above 0 and not longer than retry_most")
        if self.buffer_octets < self.pdu_octets:
            raise ValueError("buffer_octets is to have room for a PDU of pdu_octets")
        counts = (self.proof_pdus, self.window_octets, self.row_octets, self.read_octets, self.connections)
        if min(counts) < 1 or min(self.proof_seconds, self.connect_seconds, self.buffer_seconds) <= 0:
            raise ValueError("sizes and times are to be above 0")

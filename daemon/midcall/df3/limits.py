"""The bounds of what media can cost, and the rates that bound the search for a rollover counter."""

from __future__ import annotations

from msgspec import Struct

SECOND = 1_000_000_000


class Df3Limits(Struct, frozen=True, kw_only=True):
    """Counts, octets, times (ns) and packet rates (a second)."""

    # Streams that one destination may show, of those that proved, of those that did not, and of RTCP; with one more
    # of its kind the oldest is let go, so that forged SSRCs keep out only each other.
    streams_of_a_destination: int = 64
    # Sessions of one task that one destination may be claimed by: two are a call that moved. With one more the oldest
    # is let go of those whose media never proved to be theirs, so that feigned ones keep out only each other.
    claims_of_a_destination: int = 64
    # What may wait for keys at one destination: three minutes of ringing at 50 packets a second twice over.
    held_packets: int = 20_000
    held_octets: int = 16 << 20
    # The same over all destinations: a hostile session can name two thousand.
    held_octets_in_all: int = 256 << 20
    # Fastest packetisation that a rollover counter may have run up.
    audio_rate: int = 200
    video_rate: int = 2_000
    # Candidates for a rollover counter that one destination may try in all, and what each packet adds to it.
    search_budget: int = 65_536
    search_refill: int = 16
    # Packets still under way when their dialog ends or its media move; only streams already proved.
    linger: int = 1 * SECOND
    # Where keys have opened media, packets that none opens are tried again with keys that come so soon after them: a
    # new key may be in use a moment before the message that brought it was read. So many at one destination, and so
    # much in all.
    early: int = SECOND // 5
    early_packets: int = 64
    early_octets_in_all: int = 16 << 20
    # Packets that their stream's key does not open, among so many of its last: it is another key's stream then. A
    # forger would have to send twice what the sender does, and who hides that much is told of.
    lost_after: int = 50
    doubted_of: int = 75
    # Tags shorter than this many octets prove a searched counter only with a second packet.
    proof_octets: int = 8

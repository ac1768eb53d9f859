"""X2 and X3 on their way (TS 103 221-2 6): the POI's end, DF2's end, and content as DF3 takes it.

The same octets go over TLS between hosts and over a Unix stream on one host.
"""

from midcall.base.x2_link.client import X2Client
from midcall.base.x2_link.journal import Journal, JournalError
from midcall.base.x2_link.media import X3Counters, X3Packet, X3Reader
from midcall.base.x2_link.peers import TlsPeer, UnixPeer
from midcall.base.x2_link.server import X2Server
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import Batch, ClientCounters, SequenceGap, ServerCounters

__all__ = [
    "Batch",
    "ClientCounters",
    "Journal",
    "JournalError",
    "SequenceGap",
    "ServerCounters",
    "TlsPeer",
    "UnixPeer",
    "X2Client",
    "X2LinkSettings",
    "X2Server",
    "X3Counters",
    "X3Packet",
    "X3Reader",
]

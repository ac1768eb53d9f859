"""Capture files: pcap and pcapng, compressed or not, read as a stream; both written.

Memory stays flat however long the capture is: octets are read in chunks, records come in batches.
"""

from imswire.pcap.classic import file_header, record
from imswire.pcap.pcapng import packet as ng_packet
from imswire.pcap.pcapng import section as ng_section
from imswire.pcap.reader import Reader, is_capture
from imswire.pcap.values import CHUNK, MAX_FRAME, Batch, Numbered, PcapError, Record, Sieve

__all__ = [
    "CHUNK",
    "MAX_FRAME",
    "Batch",
    "Numbered",
    "PcapError",
    "Reader",
    "Record",
    "Sieve",
    "file_header",
    "is_capture",
    "ng_packet",
    "ng_section",
    "record",
]

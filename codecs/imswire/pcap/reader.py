"""Any capture file: classic pcap or pcapng, as it is or in gzip, told by its first octets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imswire.pcap.classic import FORMATS, ClassicReader
from imswire.pcap.compressed import MAGIC as GZIP_MAGIC
from imswire.pcap.compressed import Inflate
from imswire.pcap.pcapng import MAGIC as NG_MAGIC
from imswire.pcap.pcapng import NgReader
from imswire.pcap.values import Batch, PcapError, Read, Sieve, Sifted, up_to

MAGICS = frozenset((NG_MAGIC, *FORMATS))


def is_capture(head: bytes) -> bool:
    """Whether the first four octets are those of a capture file, compressed or not."""
    return head[:4] in MAGICS or head[:2] == GZIP_MAGIC


class Reader:
    """Reads a capture through ``read(n)``, which gives at most ``n`` octets and none at the end.

    The file header is read at once. PcapError: it is none of a capture.
    """

    def __init__(self, read: Read) -> None:
        self._inflate: Inflate | None = None
        head = up_to(read, 4)
        if head[:2] == GZIP_MAGIC:
            self._inflate = Inflate(head, read)
            read = self._inflate
            head = up_to(read, 4)
        make = NgReader if head == NG_MAGIC else ClassicReader
        try:
            self._reader: NgReader | ClassicReader = make(head, read)
        except PcapError:
            if self._inflate is not None and self._inflate.fault:
                raise PcapError(self._inflate.fault, 0, 0) from None
            raise

    @property
    def link_type(self) -> int:
        """The LINKTYPE_ number of the first interface."""
        return self._reader.link_type

    def batches(self) -> Iterator[Batch]:
        """The records in the order of the file, to be called once; those of a batch have one link type.

        PcapError: the file breaks off within a record or is corrupt; everything before was given.
        """
        with self._faults():
            yield from self._reader.batches()

    def sifted(self, sieve: Sieve) -> Iterator[Sifted]:
        """As :meth:`batches`, without the frames that ``sieve`` passes over, and with the numbers of the others.

        Each piece is to be read to its end before the next one is asked for; its last frame is given always.
        """
        with self._faults():
            yield from self._reader.sifted(sieve)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What is wrong with the compressed file says more than where its content breaks off."""
        try:
            yield
        except PcapError as error:
            if self._inflate is None or not self._inflate.fault:
                raise
            raise PcapError(self._inflate.fault, error.frame, error.offset) from None
        if self._inflate is not None and self._inflate.fault:
            raise PcapError(self._inflate.fault, self._reader.frames + 1, 0)

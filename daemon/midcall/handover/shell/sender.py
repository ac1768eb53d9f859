"""The sender of one destination: its spool, its connection or connections, its cursor. Nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from imswire import hi
from midcall.base.link_report import LinkEvent, LinkReport
from midcall.handover.settings import LinkSettings
from midcall.handover.shell import bell
from midcall.handover.shell.channel import Channel, Counters, Peer
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.reader import Reader
from midcall.handover.shell.tail import Tail
from midcall.handover.values import INTERFACES, Interface, Lost


class Sender:
    """Delivers what the spool in ``folder`` has, until it is stopped.

    ``keys`` is its own KeyStore object (or that of a spool in the same process and thread), ``operator`` and
    ``element`` name us in the link's own PDUs. ``report`` is told of each change of a link, ``lost`` of numbers that
    will not come; both are called in the loop's thread. ``tails`` are those of the spool, where this process writes it.
    """

    def __init__(
        self,
        folder: Path,
        destination: str,
        keys: KeyStore,
        peer: Peer,
        operator: str,
        element: str | None = None,
        *,
        settings: LinkSettings | None = None,
        report: Callable[[LinkEvent], None] | None = None,
        lost: Callable[[Lost], None] | None = None,
        tails: Mapping[Interface, Tail] | None = None,
    ) -> None:
        self.destination = destination
        self.settings = settings or LinkSettings()
        self._folder = Folder(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.cursor = Cursor(self._folder.cursor)
        cid = hi.CommunicationId(operator.encode(), None if element is None else element.encode())
        tell = report or (lambda _: None)
        readers = {
            each: Reader(self._folder, each, keys, self.cursor, lost or (lambda _: None), (tails or {}).get(each))
            for each in INTERFACES
        }
        groups: list[dict[Interface, Reader]] = (
            [readers] if self.settings.connections == "one" else [{each: reader} for each, reader in readers.items()]
        )
        self.channels = [
            Channel(peer, group, self.cursor, self.settings, cid, LinkReport(destination, "+".join(group), tell))
            for group in groups
        ]
        self._readers = readers
        self._bell = bell.listen(self._folder.bell)

    async def run(self) -> None:
        """Until :meth:`stop`, or until it is cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._bell.fileno(), self._rung)
        try:
            async with asyncio.TaskGroup() as group:
                for channel in self.channels:
                    group.create_task(channel.run())
        finally:
            loop.remove_reader(self._bell.fileno())
            self.close()

    def move(self, peer: Peer) -> None:
        """The destination is elsewhere from now on; what is not proved goes there."""
        for channel in self.channels:
            channel.move(peer)

    def stop(self, seconds: float) -> None:
        """Deliver what is there, for ``seconds`` at most; then :meth:`run` returns."""
        deadline = asyncio.get_running_loop().time() + seconds
        for channel in self.channels:
            channel.stop(deadline)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self.cursor.close()
        self._bell.close()
        with suppress(OSError):
            self._folder.bell.unlink()

    def counters(self) -> dict[str, Counters]:
        """By connection."""
        return {"+".join(channel.readers): channel.counters for channel in self.channels}

    def _rung(self) -> None:
        bell.answer(self._bell)
        for channel in self.channels:
            channel.wake()

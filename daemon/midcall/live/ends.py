"""The TLS ends of a role, each by its table in the configuration; their files are read anew all together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from midcall.base.frame import RoleError, key_of
from midcall.base.tls import Identity, PeerName, TlsError
from midcall.base.tls_end import TlsEnd
from midcall.config import DfConfig, PoiConfig, TlsTable

Config = PoiConfig | DfConfig
Make = Callable[[TlsTable, str], TlsEnd]


class Ends:
    """``role``: the name of the role's table, before those in it."""

    def __init__(self, role: str, config: Config) -> None:
        self._role = role
        self._config = config
        self._ends: dict[str, tuple[TlsEnd, Make]] = {}

    def server(self, path: str) -> TlsEnd:
        """The end of the listener whose table is at ``path``, such as ``hep.tls`` or ``x2_also.0``. RoleError."""
        return self._made(path, _server)

    def client(self, path: str) -> TlsEnd:
        """That of a sender. RoleError."""
        return self._made(path, _client)

    def stage(self, config: Config) -> Callable[[], int]:
        """Read the files that another configuration names; what is returned goes over to them, and gives how many
        connections ended. RoleError: everything stays as it is.

        A table that is there no more changes nothing: no door closes, no link ends before the next start.
        """
        fresh: list[tuple[TlsEnd, TlsEnd]] = []
        for path, (end, make) in self._ends.items():
            table = table_at(config, path)
            if table is not None:
                fresh.append((end, make(table, f"{self._role}.{path}")))
        return lambda: sum(end.renew(other) for end, other in fresh)

    def _made(self, path: str, make: Make) -> TlsEnd:
        table = table_at(self._config, path)
        assert table is not None, path
        end = make(table, f"{self._role}.{path}")
        self._ends[path] = end, make
        return end


def table_at(config: Config, path: str) -> TlsTable | None:
    """The table at a path, unless it is left out."""
    held: object = config
    for name in path.split("."):
        if isinstance(held, tuple):
            held = held[int(name)] if int(name) < len(held) else None
        else:
            held = None if held is None else getattr(held, name)
    assert held is None or isinstance(held, TlsTable)
    return held


def identity(table: TlsTable) -> Identity:
    return Identity(Path(table.certificate), Path(table.key), Path(table.ca), Path(table.crl) if table.crl else None)


def refused(error: TlsError, table: TlsTable, key: str) -> RoleError:
    """What is wrong with a file of a table, and the key that names the file."""
    return RoleError(str(error), key_of(str(error), table, key))


def _server(table: TlsTable, key: str) -> TlsEnd:
    try:
        return TlsEnd.server(identity(table), PeerName(*_peers(table)))
    except TlsError as error:
        raise refused(error, table, key) from None


def _client(table: TlsTable, key: str) -> TlsEnd:
    names = _peers(table)
    try:
        return TlsEnd.client(identity(table), PeerName(*names) if names else None)
    except TlsError as error:
        raise refused(error, table, key) from None


def _peers(table: TlsTable) -> tuple[str, ...]:
    """Names of who may be at the other end; a table without them leaves that to who opens the connection."""
    found: tuple[str, ...] = getattr(table, "peers", ())
    return found

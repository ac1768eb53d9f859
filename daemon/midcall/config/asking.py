"""Who asks the LI plane or the ADMF, and where: a small file of LI staff, or the daemon's, which has addresses."""

from __future__ import annotations

import tomllib
from typing import Annotated

from msgspec import Meta, Struct

from midcall.config.kinds import Filled
from midcall.config.process import DaemonConfig, daemon
from midcall.config.text import MAX_OCTETS, read

Urls = Annotated[tuple[Annotated[str, Meta(pattern=r"^https://[^/\s]+:[0-9]{1,5}$")], ...], Meta(max_length=256)]


class ExplainTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[explain]``: files (PEM) of who asks, and the elements (``https://host:port``).

    ``peers``: names in the elements' certificates; none: the host of each URL.
    """

    certificate: Filled
    key: Filled
    ca: Filled
    crl: str = ""
    poi: Urls = ()
    df: Urls = ()
    peers: tuple[Filled, ...] = ()


class WarrantsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[warrants]``: files (PEM) of who asks, and where the ADMF is asked.

    ``peers``: names in its certificate; none: the host of the URL.
    """

    url: Annotated[str, Meta(pattern=r"^https://[^/\s]+:[0-9]{1,5}$")]
    certificate: Filled
    key: Filled
    ca: Filled
    crl: str = ""
    peers: tuple[Filled, ...] = ()


class _Warrants(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    warrants: WarrantsTable


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    explain: ExplainTable


def asking(text: str) -> ExplainTable | DaemonConfig:
    """A file with the table ``explain``, or else one of the daemon. ConfigError."""
    try:
        is_small = len(text) <= MAX_OCTETS and "explain" in tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        is_small = False  # either reader says what is wrong, and where
    return read(text, _File).explain if is_small else daemon(text, DaemonConfig)


def warrants(text: str) -> WarrantsTable:
    """A file with the table ``warrants``. ConfigError."""
    return read(text, _Warrants).warrants

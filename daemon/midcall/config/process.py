"""The file of the daemon: the process, and one table a role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from msgspec import Struct, structs

from midcall.config.admf_tables import AdmfConfig, check_admf
from midcall.config.audit_tables import AuditConfig
from midcall.config.cscf_tables import CscfConfig, check_cscf
from midcall.config.kinds import Credential, Door, Seconds, Sink
from midcall.config.kms_tables import KmsConfig, check_kms
from midcall.config.live_tables import DfConfig, PoiConfig, TapConfig, check_live
from midcall.config.text import ConfigError, line_of, named, read

S = TypeVar("S", bound=Struct)
D = TypeVar("D", bound="DaemonConfig")


class ServiceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[service]``: the process that a role runs in.

    ``lab``: keys from files of a laboratory and ``--record`` are allowed, the log of the LI plane may stand in the
    operator's. ``credentials``: folder of the secrets where no service manager hands them over
    (``$CREDENTIALS_DIRECTORY``). ``stop_seconds``: how long a role may take to stop.
    """

    lab: bool = False
    credentials: str = ""
    stop_seconds: Seconds = 10.0


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[log]``: where the two planes write, as a file or ``fd:N`` for an open descriptor.

    ``operator``: empty is standard error. ``li``: what concerns interception; empty only in a laboratory.
    """

    level: Literal["info", "warning", "error"] = "info"
    operator: Sink = ""
    li: Sink = ""


class OperatorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[operator]``: where metrics and health are asked.

    ``listen``: an address, where instance N listens N - 1 ports further up; or ``unix:`` and the path of a socket,
    which is one in ``$RUNTIME_DIRECTORY`` when it does not begin with a slash.
    """

    listen: Door = "127.0.0.1:9464"


class DaemonConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of ``midcall run``: the process, and one table a role."""

    service: ServiceConfig = ServiceConfig()
    log: LogConfig = LogConfig()
    operator: OperatorConfig = OperatorConfig()
    cscf: CscfConfig | None = None
    kms: KmsConfig | None = None
    poi: PoiConfig | None = None
    df: DfConfig | None = None
    tap: TapConfig | None = None
    audit: AuditConfig | None = None
    admf: AdmfConfig | None = None


PROCESS = ("service", "log", "operator")
"""The tables that are no role's."""


def daemon(text: str, kind: type[D]) -> D:
    """Read the file of a daemon, as ``DaemonConfig`` or one with more roles; ConfigError names line and key."""
    found = read(text, kind)
    if not roles(found):
        raise ConfigError(0, "there is no role's table in it")
    if not found.log.li and not found.service.lab:
        raise ConfigError(line_of(text, "$.log"), "log.li: missing; only a laboratory (service.lab) does without")
    for path, name in _credentials(found, "$"):
        if "/" in name or name in (".", ".."):
            raise ConfigError(line_of(text, path), f"{named(path)}a path; secrets are given as names of credentials")
    check_live(text, found.poi, found.df)
    if found.cscf is not None:
        check_cscf(text, found.cscf)
    if found.admf is not None:
        check_admf(text, found.admf)
    if found.kms is not None:
        check_kms(text, found.kms)
        if found.kms.lab_keys and not found.service.lab:
            raise ConfigError(line_of(text, "$.kms.lab_keys"), "kms.lab_keys: only in a laboratory (service.lab)")
    return found


def roles(config: DaemonConfig) -> tuple[str, ...]:
    """The roles whose tables are there."""
    names = (name for name in config.__struct_fields__ if name not in PROCESS)
    return tuple(name for name in names if getattr(config, name) is not None)


def placed(config: S, place: Callable[[str], str]) -> S:
    """The same, with the paths that ``place`` knows for the names of credentials."""
    changes: dict[str, Any] = {}
    for field in structs.fields(config):
        held = getattr(config, field.name)
        if isinstance(held, Struct):
            changes[field.name] = placed(held, place)
        elif isinstance(held, tuple):
            changes[field.name] = tuple(placed(each, place) if isinstance(each, Struct) else each for each in held)
        elif field.type == Credential and held:
            changes[field.name] = place(held)
    return structs.replace(config, **changes)


def _credentials(value: Struct, path: str) -> Iterator[tuple[str, str]]:
    """Path and name of every credential in it."""
    for field in structs.fields(value):
        held, here = getattr(value, field.name), f"{path}.{field.name}"
        if isinstance(held, Struct):
            yield from _credentials(held, here)
        elif isinstance(held, tuple):
            for number, each in enumerate(held):
                if isinstance(each, Struct):
                    yield from _credentials(each, f"{here}[{number}]")
        elif field.type == Credential and held:
            yield here, held


def address(text: str) -> tuple[str, int]:
    """Host and port of an ``Address``."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)

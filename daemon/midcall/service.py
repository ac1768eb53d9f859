"""Runs roles: one process, one role instance; several in one process in laboratories.

A role is an entity behind ``async def run(config, frame, stop)``: it calls ``frame.ready()`` when its doors are open
and returns soon after ``stop`` is set. What it raises ends the process, after the others have stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from midcall import __version__
from midcall import config as config_file
from midcall.base import log as logs
from midcall.base import memory
from midcall.base.expiry import Expiry
from midcall.base.frame import RENEWED, Frame, RoleError
from midcall.base.metrics import Metrics, OperatorDoor
from midcall.base.sd_notify import Notifier
from midcall.config import PROCESS, ConfigError, DaemonConfig

Run = Callable[[Any, Frame, asyncio.Event], Awaitable[None]]
Loader = Callable[[], Run]
NAMES = ("cscf", "poi", "tap", "df", "kms", "admf", "audit", "lemf")
DONE, FAULT = 0, 1
# Roles that are given nothing that could be run again.
UNRECORDED = frozenset({"kms", "tap", "audit"})
FIRST = "audit"
"""Is there before the others of a process begin, and until they have ended, as its unit is on a host: they tell it what
they do.
"""

_log = logging.getLogger("midcall.service")
_li_log = logging.getLogger("midcall.li.service")


class Refused(Exception):
    """Why nothing was started: one line that names file, line, key or option."""


def _kms() -> Run:
    from midcall.kms import service

    async def run(config: Any, frame: Frame, stop: asyncio.Event) -> None:
        def ready(running: service.KmsService) -> None:
            async def reload(new: Any) -> None:
                with faults():
                    ended = running.renew(new)
                frame.log.info(RENEWED, extra={"connections_ended": ended})

            frame.on_reload(reload)
            frame.need(lambda: running.desk.audit.answers)
            frame.ready()

        with faults():
            await service.run(config, stop, ready, frame.instance)

    @contextlib.contextmanager
    def faults() -> Iterator[None]:
        try:
            yield
        except service.ServiceError as error:
            raise RoleError(str(error), error.key) from None

    return run


def _module(name: str) -> Loader:
    """A role that has ``midcall.NAME.service.run``."""

    def load() -> Run:
        found: Run = importlib.import_module(f"midcall.{name}.service").run
        return found

    return load


def _is_there(name: str) -> bool:
    return (Path(__file__).parent / name / "service.py").is_file()


def _live(name: str) -> Loader:
    """A role that joins several entities."""

    def load() -> Run:
        found: Run = getattr(importlib.import_module("midcall.live.roles"), name)
        return found

    return load


# Loaded when it runs, so that a process holds the code of its own role and no other.
ROLES: dict[str, Loader] = {name: _module(name) for name in NAMES if _is_there(name)} | {
    "kms": _kms,
    "poi": _live("poi"),
    "df": _live("df"),
    "tap": _live("tap"),
}


def roles(given: Sequence[str], config_path: Path, instance: str) -> tuple[str, ...]:
    """Those that would run. Refused."""
    path, _ = _own_file(config_path, instance)
    return tuple(given) or config_file.roles(_read(path, DaemonConfig)[0])


async def serve(
    roles: Sequence[str],
    config_path: Path,
    instance: str,
    stop: asyncio.Event,
    *,
    record: Path | None = None,
    registry: Mapping[str, Loader] = ROLES,
    kind: type[DaemonConfig] = DaemonConfig,
) -> int:
    """Run ``roles`` (none: those of the file) until ``stop``, SIGTERM or SIGINT; the exit status. Refused.

    ``instance``: which one of its role, a number or a name. One that has a file of its own runs with that.
    """
    config_path, number = _own_file(config_path, instance)
    config, text = _read(config_path, kind)
    chosen = _chosen(roles, config, registry, config_path)
    if record is not None and not config.service.lab:
        raise Refused("--record: what it writes is for laboratories; the file has to say service.lab = true")
    if record is not None and not set(chosen) - UNRECORDED:
        raise Refused(f"--record: nothing can be recorded of {', '.join(chosen)}")
    if len(chosen) > 1:
        said = f"{', '.join(chosen)} run in one process: for laboratories; in service each role has its own"
        print(f"midcall: {said}", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with logs.planes(config.log.level, config.log.operator, config.log.li, instance):
            with memory.uncollected():
                runs = {name: registry[name]() for name in chosen}
            # Code stays: the collector need not look at it when all doors are open, while others wait.
            gc.freeze()
            try:
                return await _Process(config, text, config_path, kind, number, stop, record).run(runs)
            finally:
                gc.unfreeze()
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None


def _own_file(path: Path, instance: str) -> tuple[Path, int]:
    """The file of an instance, and its number among those that share the file. Refused: a name without a file."""
    own = path.with_name(f"{path.stem}@{instance}{path.suffix}")
    if own.is_file():
        return own, 1
    if not instance.isdigit():
        raise Refused(f"{own}: not there; an instance with a name has a file of its own")
    return path, int(instance)


def _read(path: Path, kind: type[DaemonConfig]) -> tuple[DaemonConfig, str]:
    """A configuration, and its text."""
    try:
        with path.open("rb") as file:
            text = file.read(config_file.MAX_OCTETS + 1).decode()
        return config_file.daemon(text, kind), text
    except ConfigError as error:
        raise Refused(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or type(error).__name__}") from None


def _chosen(roles: Sequence[str], config: DaemonConfig, registry: Mapping[str, Loader], path: Path) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(roles)) or config_file.roles(config)
    for name in chosen:
        if name not in registry:
            raise Refused(f"role {name}: is not in this version; there are {', '.join(sorted(registry))}")
        if getattr(config, name, None) is None:
            raise Refused(f"{path}: has no table [{name}]")
    return chosen


def _credentials(config: DaemonConfig, path: Path) -> Callable[[str], str]:
    """Where secrets lie: in the folder of the service manager, or else of the file."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY") or config.service.credentials
    if not folder:
        raise Refused(f"{path}: service.credentials: missing, and no service manager has set CREDENTIALS_DIRECTORY")
    return lambda name: f"{folder}/{name}"


class _Process:
    """Roles of one process under supervision."""

    def __init__(
        self,
        config: DaemonConfig,
        text: str,
        path: Path,
        kind: type[DaemonConfig],
        instance: int,
        stop: asyncio.Event,
        record: Path | None,
    ) -> None:
        self._config = config
        self._text = text
        self._path = path
        self._kind = kind
        self._instance = instance
        self._stop = stop
        self._record = record
        self._notifier = Notifier()
        self._metrics = Metrics()
        self._frames: dict[str, Frame] = {}
        self._last = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._one_ready = asyncio.Event()
        self._all_ready = asyncio.Event()
        self._wanted = asyncio.Event()
        self._reloads = {"done": 0, "refused": 0}
        self._expiry = Expiry()
        self._status = DONE

    async def run(self, runs: Mapping[str, Run]) -> int:
        place = _credentials(self._config, self._path)
        recorded = [name for name in runs if name not in UNRECORDED]
        for name in runs:
            record = self._record
            if record is not None and len(recorded) > 1:
                record = record.with_name(f"{record.name}.{name}")
            self._frames[name] = Frame(name, self._instance, self._metrics, self._ready, record)
        self._show()
        door = OperatorDoor(self._metrics, self.health)
        try:
            await door.start(self._config.operator.listen, self._instance)
        except OSError as error:
            said = os.strerror(error.errno) if error.errno else type(error).__name__
            raise Refused(f"{self._path}: operator.listen: {said}") from None
        try:
            with self._signals():
                await self._supervise(runs, place)
        finally:
            await door.stop()
        _log.info("stopped", extra={"status": self._status})
        return self._status

    async def _supervise(self, runs: Mapping[str, Run], place: Callable[[str], str]) -> None:
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(each) for each in self._helpers()]
            for name in sorted(runs, key=lambda each: each != FIRST):
                config = config_file.placed(getattr(self._config, name), place)
                self._watch(name, config)
                stop = self._last if name == FIRST else self._stop
                self._tasks[name] = group.create_task(self._role(runs[name], config, self._frames[name], stop))
                if name == FIRST:
                    await self._until_ready()
                if self._stop.is_set():
                    break
            await self._stop.wait()
            self._notifier.stopping()
            _log.info("stopping")
            late = await self._ended(task for name, task in self._tasks.items() if name != FIRST)
            self._last.set()
            late += await self._ended(task for name, task in self._tasks.items() if name == FIRST)
            if late:
                self._status = FAULT
                _log.error("not stopped in time, and cut off", extra={"seconds": self._config.service.stop_seconds})
            for helper in helpers:
                helper.cancel()

    async def _ended(self, tasks: Iterable[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
        """Wait for the end of roles; those that had to be cut off."""
        ending = list(tasks)
        late = (await asyncio.wait(ending, timeout=self._config.service.stop_seconds))[1] if ending else set()
        for task in late:
            task.cancel()
        return list(late)

    async def _until_ready(self) -> None:
        """The first role is, or the process is to stop."""
        waits = [asyncio.create_task(each.wait()) for each in (self._one_ready, self._stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _helpers(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._reload()
        yield self._expiry.run()
        if self._notifier.pause is not None:
            yield self._live(self._notifier.pause)

    async def _role(self, run: Run, config: Struct, frame: Frame, stop: asyncio.Event) -> None:
        """No exception is lost, and none keeps the others from stopping as they should."""
        try:
            await run(config, frame, stop)
            if not self._stop.is_set():
                self._failed(frame, "ended by itself")
        except RoleError as error:
            self._failed(frame, self._said(error, self._text))
        except Exception as error:
            logs.tell(error)
            self._failed(frame, logs.fault(error))
        finally:
            self._stop.set()

    def _failed(self, frame: Frame, reason: str) -> None:
        self._status = FAULT
        frame.log.error(reason)
        _log.error("a role has failed; its log has the reason")

    def _ready(self) -> None:
        self._one_ready.set()
        if all(frame.is_ready for frame in self._frames.values()) and not self._all_ready.is_set():
            # What is there now stays, without what is nobody's any more: that may have been keys.
            gc.collect()
            gc.freeze()
            self._all_ready.set()
            self._notifier.ready()
            _log.info("ready", extra={"version": __version__})

    def health(self) -> str:
        if self._stop.is_set():
            return "stopping"
        if not self._all_ready.is_set():
            return "starting"
        if not all(frame.healthy() for frame in self._frames.values()):
            return "ill"
        return "ok" if all(frame.whole() for frame in self._frames.values()) else "degraded"

    def _show(self) -> None:
        started = time.time()
        self._metrics.gauge("info", "Version that runs.", lambda: {__version__: 1}, "version")
        self._metrics.gauge("start_time_seconds", "When the process started, since 1970.", lambda: started)
        self._metrics.gauge(
            "healthy", "1: all doors are open, and what it needs is there.", lambda: self.health() == "ok"
        )
        left = "Until the first certificate, CA or revocation list of this process runs out."
        self._metrics.gauge("certificates_seconds_left", left, self._expiry.seconds_left)
        self._metrics.counter("reloads", "Configurations that were read anew.", lambda: self._reloads, "outcome")

    async def _live(self, pause: float) -> None:
        """Signs of life, as long as loop and roles deserve them."""
        while True:
            if all(frame.healthy() for frame in self._frames.values()):
                self._notifier.alive()
            await asyncio.sleep(pause)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        former = loop.get_exception_handler()
        loop.set_exception_handler(logs.loop_fault(_li_log.error))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._wanted.set)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
            loop.set_exception_handler(former)

    def _end(self) -> None:
        """The first time politely."""
        if self._stop.is_set():
            self._status = FAULT
            for task in self._tasks.values():
                task.cancel()
        self._stop.set()

    async def _reload(self) -> None:
        await self._all_ready.wait()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._notifier.reloading()
            try:
                done = await self._reread()
            except Exception as error:
                logs.tell(error)
                done = False
            self._reloads["done" if done else "refused"] += 1
            self._notifier.ready()

    async def _reread(self) -> bool:
        """Nothing changes unless the whole file is good."""
        try:
            config, text = _read(self._path, self._kind)
            place = _credentials(config, self._path)
            for name in self._frames:
                if getattr(config, name) is None:
                    raise Refused(f"{self._path}: has no table [{name}] any more")
        except Refused as refused:
            _log.error("configuration kept as it was")
            _log.error("%s", refused)  # to the plane that may read the name of the key in it
            return False
        for table in PROCESS:
            if getattr(config, table) != getattr(self._config, table):
                _log.warning("[%s] has changed: that takes effect at the next start", table)
        good = True
        for name, frame in self._frames.items():
            for key in config_file.waiting(getattr(self._config, name), getattr(config, name), name):
                frame.log.warning("%s has changed: that takes effect at the next start", key)
            placed = config_file.placed(getattr(config, name), place)
            if await self._hand_over(frame, placed, text):
                self._watch(name, placed)
            else:
                good = False
        if good:
            _log.info("configuration read anew")
        return good

    def _watch(self, name: str, config: Struct) -> None:
        frame = self._frames[name]
        self._expiry.take(name, config, frame.log if name == "cscf" else frame.li_log)

    async def _hand_over(self, frame: Frame, config: Struct, text: str) -> bool:
        if frame.reload is None:
            return True
        try:
            await frame.reload(config)
        except RoleError as error:
            frame.log.error("configuration kept as it was")
            frame.log.error("%s", self._said(error, text))
            return False
        return True

    def _said(self, error: RoleError, text: str) -> str:
        """With the place in the file that leads to it."""
        if not error.key:
            return str(error)
        line = config_file.line_of(text, f"$.{error.key}")
        return f"{self._path}: {f'line {line}: ' if line else ''}{error.key}: {error}"

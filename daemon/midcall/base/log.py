"""Logs: one line of JSON an event, on two planes, without identities, numbers or keys.

The operator's plane has what a network without interception would say too; the LI plane has everything else. A line
goes to the operator only when its logger is one of ``OPERATOR`` and its text names nothing of interception. Of
messages of other libraries and of exceptions neither plane gets more than type and place: they may quote what they
stumbled over.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import faulthandler
import json
import logging
import logging.handlers
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from types import TracebackType
from typing import Any, TextIO

OPERATOR = ("midcall.service", "midcall.cscf", "midcall.kms", "midcall.https")
"""Loggers of what an operator without a warrant in the house has as well."""
LI_WORDS = re.compile(
    r"warrant|intercept|lawful|surveil|target|disclos|agency|liid|lemf|admf|mediation|get_keys"
    r"|\b(?:li|poi|tap|df[23]?|xid|xk|x[123]|hi[123]|iri)\b",
    re.IGNORECASE,
)
GONE = "[redacted]"
MAX_TEXT = 1_024
MAX_LEAVES = 4
"""Exceptions of a group that are named."""

# Over-eager by intention: a count of more than six digits belongs into a field of its own, as a number.
_IDENTITIES = re.compile(
    r"\b(?:sips?|tel|im|pres|mailto):[^\s\"'<>,;]+"
    r"|urn:(?:gsma|uuid|nid)[^\s\"'<>,;]*"
    r"|(?<![^\s\"'<>,;:(=])[^\s\"'<>,;:@/]+@[^\s\"'<>,;]+"  # no slash before it: names of units stand in paths
    r"|(?<![\w.-])(?!\d{4}-\d\d-\d\d(?!\d))\+?\d(?:-?\d){6,}(?![\w-])"
    r"|(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){12,}(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}={0,2}")
_MIXED = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]")))
_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def redacted(text: str) -> str:
    """Without what could be an identity, a number that can be called, or a key."""
    text = _IDENTITIES.sub(GONE, text[: 4 * MAX_TEXT])
    return _BASE64.sub(_key, text)[:MAX_TEXT]


def _key(found: re.Match[str]) -> str:
    """Keys in base64 have letters of both cases and digits; names of files and words do not."""
    return GONE if all(kind.search(found[0]) for kind in _MIXED) else found[0]


def fault(error: BaseException) -> str:
    """Type and place of an exception, never its text."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(fault(each) for each in error.exceptions[:MAX_LEAVES])
    return f"{type(error).__name__} at {_place(error.__traceback__)[1]}"


def tell(error: BaseException) -> None:
    """Log an exception that nobody expected, on the plane of the code that raised it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    logging.getLogger(_place(error.__traceback__)[0]).error("fault: %s", fault(error))


def _place(trace: TracebackType | None) -> tuple[str, str]:
    """The innermost module of ours, and the innermost line of all."""
    module, line = "midcall.li", "no known place"
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "?"))
        module = name if name.startswith("midcall.") else module
        line = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return module, line


class JsonLines(logging.Formatter):
    """A line of JSON: time, level, message, and what ``extra`` gave as text, number or truth."""

    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance: int | str = int(instance) if instance.isdigit() else instance

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "instance": self._instance,
            "message": message(record),
        }
        for name, value in record.__dict__.items():
            if name not in _USUAL and name not in line and isinstance(value, str | int | float | bool):
                line[name] = redacted(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1] is not None:
            line["fault"] = fault(record.exc_info[1])
        return json.dumps(line)


def message(record: logging.LogRecord) -> str:
    """The text of a record as it may be written."""
    if not record.name.startswith("midcall."):
        return f"{record.name} at {record.module}:{record.lineno}"
    try:
        return redacted(record.getMessage())
    except Exception:
        return f"a message of {record.module}:{record.lineno} that cannot be put together"


def for_operator(record: logging.LogRecord) -> bool:
    """Which of the two planes a record goes to."""
    if not any(record.name == name or record.name.startswith(f"{name}.") for name in OPERATOR):
        return False
    return LI_WORDS.search(message(record)) is None


class _Plane(logging.Filter):
    def __init__(self, operator: bool) -> None:
        super().__init__()
        self._operator = operator

    def filter(self, record: logging.LogRecord) -> bool:
        return for_operator(record) is self._operator


class _File(logging.handlers.WatchedFileHandler):
    """A file for its owner alone, which is opened anew when it was moved away."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A full disk stops no service; the library would print the record."""


class _Stream(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """As above."""


def _handler(where: str, default: TextIO | None) -> logging.Handler:
    """OSError."""
    if where.startswith("fd:"):
        return _Stream(open(int(where[3:]), "w", encoding="utf-8", buffering=1, closefd=False))
    return _File(where) if where else _Stream(default or sys.stderr)


@contextlib.contextmanager
def planes(level: str, operator: str, li: str, instance: str) -> Iterator[None]:
    """Both logs, and the hooks for what nobody catches; all as it was at the end. OSError: a file cannot be opened."""
    root, midcall = logging.getLogger(), logging.getLogger("midcall")
    former = root.handlers[:], root.level, midcall.level
    handlers = [_handler(operator, sys.stderr), _handler(li, sys.stderr)]
    for handler, for_its_operator in zip(handlers, (True, False), strict=True):
        handler.addFilter(_Plane(for_its_operator))
        handler.setFormatter(JsonLines(instance))
    root.handlers[:] = handlers
    root.setLevel(logging.WARNING)
    midcall.setLevel(level.upper())
    try:
        with _hooks():
            yield
    finally:
        root.handlers[:] = former[0]
        root.setLevel(former[1])
        midcall.setLevel(former[2])
        for handler in handlers:
            with contextlib.suppress(OSError):
                handler.close()


@contextlib.contextmanager
def _hooks() -> Iterator[None]:
    """Nothing prints the text of an exception or the values of a frame."""
    former = sys.excepthook, threading.excepthook, sys.unraisablehook
    crashes = not faulthandler.is_enabled()
    sys.excepthook = _uncaught
    threading.excepthook = lambda found: _told(found.exc_value)
    sys.unraisablehook = lambda found: _told(found.exc_value)
    if crashes:
        with contextlib.suppress(ValueError, OSError):
            faulthandler.enable(sys.__stderr__ or 2)  # places only; it shows no values
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = former
        if crashes:
            faulthandler.disable()


def _uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    tell(error)


def _told(error: BaseException | None) -> None:
    if error is not None:
        tell(error)


def loop_fault(tell_else: Callable[[str], None]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An exception handler for a loop; what came without an exception is told without its text."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            tell(error)
        else:
            tell_else("the loop reports a fault without an exception")

    return handle

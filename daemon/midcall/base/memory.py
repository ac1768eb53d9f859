"""What a process has let go of is overwritten: keys and names do not stay in memory that nobody owns any more.

Buffers that we own are wiped where they end. This is for all others, of libraries and of the interpreter: texts that a
key was read from, octets that TLS has decrypted. glibc overwrites what is freed, if it keeps none of it in caches of
threads; the interpreter is told to ask glibc for small objects too, which it otherwise keeps in pools of its own, or
these are swept when somebody's task has ended (:mod:`midcall.base.sweep`). What a connection leaves behind is
collected soon after its end (:mod:`midcall.base.collection`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
from collections.abc import Iterator, Mapping

HOLDERS = frozenset({"kms", "df", "poi", "admf"})
"""Roles whose memory has keys of others, or whom they are about."""
_TUNABLES = "GLIBC_TUNABLES"
_OVERWRITE = ("glibc.malloc.perturb=165", "glibc.malloc.tcache_count=0")
_ALLOCATOR = "PYTHONMALLOC"
_PLAIN = "malloc"
_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4  # MCL_*


def overwrites_freed(*, small: bool) -> bool:
    """Whether this process was begun so; ``small``: with objects of up to 512 octets too."""
    overwrites = set(_OVERWRITE) <= set(os.environ.get(_TUNABLES, "").split(":"))
    return overwrites and (not small or os.environ.get(_ALLOCATOR) == _PLAIN)


def is_own() -> bool:
    """Whether this process was begun for the command that it runs now, and for nothing else."""
    given = sys.argv[1:]
    return bool(given) and sys.orig_argv[-len(given) :] == given


def begin_overwriting(*, small: bool) -> None:
    """Begin this process anew so; it has done nothing yet.

    It is as isolated as it was: then no variable of the interpreter but this one is left, and neither the user's folder
    nor the script's is searched.
    """
    program, *arguments = sys.orig_argv
    environment = dict(os.environ)
    if sys.flags.isolated:
        environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
        arguments = [flag for each in arguments for flag in (("-P", "-s") if each == "-I" else (each,))]
    environment |= overwriting(environment, small=small)
    os.execve(sys.executable or program, [program, *arguments], environment)  # noqa: S606 - ourselves


def overwriting(environment: Mapping[str, str], *, small: bool) -> dict[str, str]:
    """The variables with which a process is begun so, beside those that are there: who sets them spares it to begin
    twice.
    """
    others = [each for each in environment.get(_TUNABLES, "").split(":") if each and each not in _OVERWRITE]
    return {_TUNABLES: ":".join([*others, *_OVERWRITE])} | ({_ALLOCATOR: _PLAIN} if small else {})


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Load code without the collector, which would look at all of it again and again and find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def lock() -> bool:
    """Keep all that this process has, and will have, out of swap; only where nothing limits that, or what is asked for
    later would fail. False: it stays as it is.
    """
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    return bool(ctypes.CDLL(None).mlockall(_CURRENT | _FUTURE | _ON_FAULT) == 0)

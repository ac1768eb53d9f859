"""A process that begins anew with memory that is overwritten when it is freed."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from midcall.base import collection, memory

_PROGRAM = """
import ctypes, json, os, sys
sys.path[:0] = {paths}
from midcall.base import memory
if not memory.overwrites_freed(small=True):
    memory.begin_overwriting(small=True)
kept = bytes(range(65, 97)) * 2
place, size = id(kept) + bytes.__basicsize__ - 1, len(kept)
del kept
print(json.dumps({{
    "arguments": sys.argv[1:], "own": memory.is_own(), "isolated": [sys.flags.safe_path, sys.flags.no_user_site],
    "hash_seed": os.environ.get("PYTHONHASHSEED"), "tunables": os.environ["GLIBC_TUNABLES"],
    "left": ctypes.string_at(place + 16, size - 32).count(bytes(range(70, 80))),
}}))
"""


@pytest.mark.parametrize("isolated", [True, False])
def test_what_is_freed_is_overwritten_and_all_else_is_as_it_was(isolated: bool) -> None:
    code = _PROGRAM.format(paths=[str(Path(memory.__file__).parents[2])])
    flags = ["-I"] if isolated else []
    environment = os.environ | {"PYTHONHASHSEED": "7", "GLIBC_TUNABLES": "glibc.malloc.arena_max=3"}
    done = subprocess.run(
        [sys.executable, *flags, "-c", code, "run", "--x"], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found.pop("tunables") == "glibc.malloc.arena_max=3:glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"
    assert found == {
        "arguments": ["run", "--x"],
        "own": True,
        "isolated": [isolated, int(isolated)],
        "hash_seed": None if isolated else "7",
        "left": 0,
    }


@pytest.mark.parametrize("role", ["poi", "df", "admf"])
def test_units_begin_it_so_and_it_does_not_begin_twice(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The KMS's does: its interpreter is isolated, and takes no variable for small objects before it has been asked."""
    unit = (Path(__file__).parents[3] / f"systemd/midcall-{role}@.service").read_text()
    (line,) = (each for each in unit.splitlines() if each.startswith("Environment="))
    assert line.removeprefix("Environment=") == "=".join(*memory.overwriting({}, small=False).items())
    monkeypatch.setenv("GLIBC_TUNABLES", line.partition("TUNABLES=")[2])
    assert memory.overwrites_freed(small=False)


def test_code_is_loaded_without_the_collector() -> None:
    with memory.uncollected():
        assert not gc.isenabled()
        with memory.uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_process_that_was_begun_for_something_else_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["midcall", "run", "--config", "x"])
    assert not memory.is_own()
    monkeypatch.setattr(sys, "argv", ["midcall"])
    assert not memory.is_own()


def test_what_holds_itself_is_collected_soon() -> None:
    class Held:
        pass

    async def test() -> None:
        soon, held = collection.Collection(), Held()
        held.__dict__["self"] = held
        gone = weakref.ref(held)
        del held
        gc.disable()
        try:
            soon.soon(0.01)
            soon.soon(0.01)
            while gone() is not None:
                await asyncio.sleep(0.01)
            soon.soon()
            soon.cancel()
        finally:
            gc.enable()

    asyncio.run(asyncio.wait_for(test(), 10))


def test_memory_is_locked_where_nothing_limits_it_and_not_otherwise() -> None:
    code = """
import resource, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from midcall.base import memory
for most in (1 << 23, resource.RLIM_INFINITY):
    resource.getrlimit = lambda _: (most, most)  # who may, may lock more than the limit says
    said = memory.lock()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(said, int(status["VmLck"].split()[0]) > 0)
"""
    folder = str(Path(memory.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    refused, locked = done.stdout.splitlines()
    assert refused == "False False"
    assert locked == "True True" or os.geteuid() != 0

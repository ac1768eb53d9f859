"""Small objects that were let go of are overwritten: looked for from outside, in the memory of another process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from midcall.base import sweep
from tests.midcall import inside

_PROGRAM = """
import asyncio, sys
sys.path[:0] = {paths}
from midcall.base import sweep
kept = [("nobody%05d" % number) * many for number in range(2_000) for many in (1, 2, 5, 10, 20, 30)]
live = [bytes(400 + number % 100) for number in range(20_000)]
print("there", flush=True)
sys.stdin.readline()
del kept
print("gone", flush=True)
sys.stdin.readline()
sweep.SOON_SECONDS = sweep.AGAIN_SECONDS = 0.01
async def main():
    swept = sweep.Sweep()
    swept.soon()
    await swept._task
    swept.cancel()
asyncio.run(main())
print("swept", flush=True)
sys.stdin.readline()
"""
CANARY = b"nobody" + b"0"
LARGE = {"GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="looks into another process")
def test_no_small_object_that_was_let_go_of_is_left() -> None:
    code = _PROGRAM.format(paths=[str(Path(sweep.__file__).parents[2])])
    environment = os.environ | LARGE
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None and program.stdout is not None
        found: dict[str, int] = {}
        for word in ("there", "gone", "swept"):
            assert program.stdout.readline() == f"{word}\n"
            found[word] = inside.found(program.pid, [CANARY])
            program.stdin.write("\n")
            program.stdin.flush()
    assert found["there"] >= 2_000 * 68
    assert found["gone"] > 1_000, "what is let go of stays, or there is nothing to do here"
    assert found["swept"] * 1_000 < found["gone"], "but for what the ends of pools may hide"


def test_where_all_that_is_freed_is_overwritten_or_nothing_is_there_is_nothing_to_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def swept() -> bool:
        made = sweep.Sweep()
        made.soon()
        begun = made._task is not None
        made.cancel()
        return begun

    begun = {}
    for name, variables in {
        "as any process": {},
        "large": LARGE,
        "all": LARGE | {"PYTHONMALLOC": "malloc"},
    }.items():
        for each in ("GLIBC_TUNABLES", "PYTHONMALLOC"):
            monkeypatch.delenv(each, raising=False)
        for each, value in variables.items():
            monkeypatch.setenv(each, value)
        begun[name] = asyncio.run(swept())
    assert begun == {"as any process": False, "large": True, "all": False}


def test_objects_fill_their_places() -> None:
    for size in sweep._SIZES:
        (one, *_) = sweep._objects(size, 2)
        assert size - 16 < sys.getsizeof(one) <= size

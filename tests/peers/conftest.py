"""Foreign programs: found on the machine, or the test is skipped; in CI a missing one is a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def peer() -> Callable[[str], Path]:
    """``peer("tshark")`` is the path of the program."""

    def find(program: str) -> Path:
        found = shutil.which(program)
        if found is not None:
            return Path(found)
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")

    return find

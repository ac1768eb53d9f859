"""Spools of the short form stand in memory where there is a place: a killed process does not know the difference.

What only a disk can show, that a commit waits for it, is the business of SQLite (``synchronous=FULL``, tested once).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


def in_memory() -> Path | None:
    """Where short-lived spools may stand (None: only on a disk)."""
    return MEMORY if os.access(MEMORY, os.W_OK) and not os.environ.get("MIDCALL_PROOF") else None


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    place = in_memory()
    if place is None:
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="midcall-", dir=place))
    yield made
    shutil.rmtree(made)

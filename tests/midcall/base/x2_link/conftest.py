"""Buffers of the short form stand in memory where there is a place: a killed process does not know the difference."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.midcall.base.x2_link.world import Pki

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """With a path that is short enough for a socket."""
    place = MEMORY if os.access(MEMORY, os.W_OK) and not os.environ.get("MIDCALL_PROOF") else None
    made = Path(tempfile.mkdtemp(prefix="midcall-", dir=place))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))

from __future__ import annotations

from pathlib import Path

import pytest

from tests.midcall.base.x1_element import lab


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates."""
    return lab.pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def at(tmp_path: Path, files: Path) -> lab.Place:
    return lab.Place(tmp_path, files)

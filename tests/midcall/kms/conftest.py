"""What the tests of the KMS as a service share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.midcall.kms.place import Lab, make_pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lab's certificates."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def made(tmp_path: Path, pki: Path) -> Lab:
    """Users, and the files of a KMS that a test has for itself."""
    return Lab(tmp_path, pki, ("alice", "bob", "carol"))

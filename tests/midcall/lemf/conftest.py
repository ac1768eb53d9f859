"""Certificates that all tests of the receiver share."""

from __future__ import annotations

from pathlib import Path

import pytest

from midcall.base.lab_pki import LabPki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("df", "lemf", "kms"))
    LabPki(folder / "other").make(("df",))
    return folder

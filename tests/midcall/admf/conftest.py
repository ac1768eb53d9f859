from __future__ import annotations

from pathlib import Path

import pytest

from midcall.base.lab_pki import LabPki
from tests.midcall.admf.lab import PEOPLE


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of elements, of people, and of strangers."""
    folder = tmp_path_factory.mktemp("admf-pki")
    LabPki(folder).make(("admf", "poi", "df", "kms", "eve", *PEOPLE))
    return folder

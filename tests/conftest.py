"""What holds for all tests: Hypothesis profiles, and the coverage gates that ``--gates`` switches on."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.gates import pytest_addoption, pytest_runtest_protocol, pytest_sessionfinish, pytest_terminal_summary

__all__ = ["pytest_addoption", "pytest_runtest_protocol", "pytest_sessionfinish", "pytest_terminal_summary"]

# Folders of tests that wait for other programs: they begin first, so that no worker is left alone with them at the end.
_LONG = ("tests/peers/", "tests/midcall/live/", "tests/midcall/cli/", "tests/midcall/test_")

_PROOF = bool(os.environ.get("MIDCALL_PROOF"))
# What is measured in the short form; the long form measures all, at three times the time (tests/gates.py).
_MEASURED = "tests/imswire/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same order in all workers; files stay together."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
    for item in items:
        if not _PROOF and not item.nodeid.startswith(_MEASURED):
            item.add_marker(pytest.mark.no_cover)


# The short form gives the same verdict in every run; a busy machine is no finding.
settings.register_profile("short", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "proof", deadline=None, max_examples=10_000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("proof" if _PROOF else "short")

"""What holds for all tests: Hypothesis profiles, and the coverage gates that ``--gates`` switches on."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.gates import (
    pytest_addoption,
    pytest_runtest_call,
    pytest_runtest_protocol,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "pytest_addoption",
    "pytest_runtest_call",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

# Folders of tests that wait for other programs: they begin first, so that no worker is left alone with them at the end.
_LONG = ("tests/peers/", "tests/midcall/live/", "tests/midcall/cli/", "tests/midcall/test_")

# These run often what others run once. That is not measured: it would take three times as long.
_REPEATS = (
    "tests/midcall/admf/test_doors.py",
    "tests/midcall/admf/test_sharing.py",
    "tests/midcall/base/tap/test_taps.py",
    "tests/midcall/base/test_redaction_growth.py",
    "tests/midcall/base/test_redaction_proofs.py",
    "tests/midcall/base/test_warrant_value.py",
    "tests/midcall/base/x1_element/test_machine.py",
    "tests/midcall/base/x2_link/test_client.py",
    "tests/midcall/base/x2_link/test_kills.py",
    "tests/midcall/cli/test_deliver.py",
    "tests/midcall/cli/test_deliver_full.py",
    "tests/midcall/cli/test_demo.py",
    "tests/midcall/cscf/test_abuse.py",
    "tests/midcall/cscf/test_fuzz_live.py",
    "tests/midcall/handover/test_disk_full.py",
    "tests/midcall/handover/test_kills.py",
    "tests/midcall/handover/test_sender.py",
    "tests/midcall/handover/test_spool_machine.py",
    "tests/midcall/kms/test_public_key.py",
    "tests/midcall/lemf/test_familiar.py",
    "tests/midcall/lemf/test_media_together.py",
    "tests/midcall/lemf/test_numbers.py",
    "tests/midcall/lemf/test_outliers.py",
    "tests/midcall/lemf/test_restart.py",
    "tests/midcall/lemf/test_short_way.py",
    "tests/midcall/lemf/test_tampering.py",
    "tests/midcall/lemf/test_turns.py",
    "tests/midcall/live/test_outlets.py",
    "tests/midcall/live/test_restarts.py",
    "tests/midcall/live/test_system.py",
    "tests/midcall/test_delivery.py",
    "tests/midcall/test_shipped.py",
    "tests/peers/",
    "tests/scenarios/test_handover.py",
    "tests/test_",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same order in all workers; files stay together."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
    for item in items:
        if item.nodeid.startswith(_REPEATS):
            item.add_marker(pytest.mark.no_cover)


# The short form gives the same verdict in every run; a busy machine is no finding.
settings.register_profile("short", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "proof", deadline=None, max_examples=10_000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("proof" if os.environ.get("MIDCALL_PROOF") else "short")

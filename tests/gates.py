"""Coverage gates: ``pytest --gates --cov`` over the whole suite.

A module of ``imswire`` counts as covered by what *its own test file* runs (``sip/uri.py`` by
``tests/imswire/sip/test_uri.py``): what other tests touch by the way proves nothing about it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).parent.parent
CODECS = ROOT / "codecs"

# Percent of lines and branches together.
MODULE_FLOOR = 90.0
PACKAGE_FLOORS = {"codecs/imswire": 95.0, "daemon/midcall": 85.0}

_findings = pytest.StashKey[list[str]]()
_file = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gates", action="store_true", help="fail when coverage is below the floors of tests/gates.py")


def own_tests(module: Path) -> str:
    """The test file of a module of imswire, relative to the project."""
    place = module.relative_to(CODECS)
    return str("tests" / place.with_name(f"test_{place.name}"))


def modules() -> Iterator[Path]:
    """The modules of imswire that hold code; an ``__init__`` only names what its package offers."""
    return (path for path in sorted(CODECS.rglob("*.py")) if path.name != "__init__.py")


def percent(data: coverage.Coverage, files: list[Path], contexts: list[str] | None) -> float:
    """Covered share of the files, counting only what ran in ``contexts``."""
    return data.report(morfs=[str(each) for each in files], contexts=contexts, file=io.StringIO())


def findings() -> list[str]:
    """What is below its floor, one line each."""
    packages, own = [*PACKAGE_FLOORS], [*modules()]
    # Each reads files of its own.
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        whole = processes.map(_package_finding, packages)
        parts = processes.map(_module_findings, [own[half::2] for half in range(2)])
        return [line for lines in (*whole, *parts) for line in lines]


def _package_finding(package: str) -> list[str]:
    share, floor = percent(_data(), sorted((ROOT / package).rglob("*.py")), None), PACKAGE_FLOORS[package]
    return [] if share >= floor else [f"{package}: {share:.1f} % covered, floor {floor:.0f} %"]


def _module_findings(own: list[Path]) -> list[str]:
    data, below = _data(), []
    for module in own:
        # Importing happens in no test's context: the empty one.
        share = percent(data, [module], ["^$", f"^{re.escape(own_tests(module))}$"])
        if share < MODULE_FLOOR:
            name = module.relative_to(ROOT)
            below.append(f"{name}: {share:.1f} % covered by {own_tests(module)}, floor {MODULE_FLOOR:.0f} %")
    return below


def _data() -> coverage.Coverage:
    data = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    data.load()
    return data


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What a test runs stands in the context of its file: to begin another one costs as much as many a test."""
    measured, file = coverage.Coverage.current(), item.nodeid.partition("::")[0]
    if measured is not None and item.config.getoption("--gates") and item.config.stash.get(_file, "") != file:
        item.config.stash[_file] = file
        measured.switch_context(file)
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """In a worker of xdist pytest-cov measures twice, and keeps one of the two: the other would go on here."""
    if hasattr(item.config, "workerinput") and item.get_closest_marker("no_cover"):
        while (beneath := coverage.Coverage.current()) is not None:
            beneath.stop()
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Runs after coverage data of all workers are combined; a finding fails a session that passed."""
    config = session.config
    if not config.getoption("--gates") or hasattr(config, "workerinput"):
        return
    config.stash[_findings] = findings()
    if config.stash[_findings] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    below = config.stash.get(_findings, None)
    if below is None:
        return
    terminalreporter.section("coverage gates")
    for line in below or ["all floors held"]:
        terminalreporter.write_line(line)

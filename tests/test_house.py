"""The house itself: what is promised about the repository as a whole."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import imswire
import midcall
from tests.gates import modules, own_tests

ROOT = Path(__file__).parent.parent
MAX_LINES = 500
VENDORED = ("LICENSE", "tests/data/")


def tracked() -> list[str]:
    """The files of the repository: those committed and those about to be."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", [imswire, midcall], ids=lambda package: package.__name__)
def test_both_packages_are_typed(package: Any) -> None:
    assert (Path(package.__file__).parent / "py.typed").is_file()


def test_no_file_names_a_machine_or_a_package_index() -> None:
    foreign = re.compile(rb"/(?:root|work|home|Users)/\w|pypi\.org|pythonhosted|--(?:extra-)?index-url|--find-links")
    named = {
        path: found[0]
        for path in tracked()
        if path != "tests/test_house.py" and not path.startswith(VENDORED)
        for found in [foreign.search((ROOT / path).read_bytes())]
        if found
    }
    assert named == {}


def test_the_version_stands_in_one_place() -> None:
    assert project()["project"]["dynamic"] == ["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.search(r"^## \[(\d+\.\d+\.\d+)\]", changes, re.MULTILINE)
    assert released is None or released[1] == midcall.__version__


def test_no_module_is_too_long_to_be_read() -> None:
    long = {
        path: count
        for path in tracked()
        if path.endswith(".py")
        for count in [len((ROOT / path).read_text(encoding="utf-8").splitlines())]
        if count >= MAX_LINES
    }
    assert long == {}


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.relative_to(ROOT).as_posix())
def test_every_codec_has_a_test_file_of_its_own(module: Path) -> None:
    assert (ROOT / own_tests(module)).is_file()


@pytest.mark.parametrize("path", ["scripts/demo", "scripts/test", ".ci/run"])
def test_the_commands_can_be_run(path: str) -> None:
    script = ROOT / path
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"scripts/demo", "scripts/test"} <= set(re.findall(r"^(scripts/\w+)", readme, re.MULTILINE))


@pytest.mark.parametrize("name", ["run", "dev", "build"])
def test_a_lock_file_pins_every_package_by_hash(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    pinned = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert pinned
    assert all(re.match(r"[\w.-]+==\S+ ", line) and "--hash=sha256:" in line for line in pinned)


def test_what_is_locked_for_running_is_what_the_project_asks_for() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements/run.txt").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {re.split(r"[=<>~]", requirement)[0] for requirement in project()["project"]["dependencies"]}
    assert wanted <= locked


def test_relative_links_lead_somewhere() -> None:
    """mkdocs checks docs/; this is for the files beside it."""
    for path in ROOT.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"

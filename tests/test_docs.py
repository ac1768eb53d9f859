"""Documentation that cannot go stale: its code runs, and the API page is that of the source."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct, structs

from midcall import config
from scripts import api_reference

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ["docs/explanation/key-derivation.md", "docs/reference/library.md"]


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    for block in blocks:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile("from __future__ import annotations\n" + block, page, "exec"), names)


def test_the_first_example_prints_what_the_page_says():
    text = (ROOT / "docs/reference/library.md").read_text()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(BLOCK.findall(text)[0], "first example", "exec"), {})
    said = text.split("prints\n\n```\n")[1].split("```")[0]
    assert out.getvalue() == said
    code = [line for line in BLOCK.findall(text)[0].splitlines() if line.strip() and not line.strip().startswith('"')]
    assert len(code) <= 12


def test_the_api_page_is_up_to_date():
    assert api_reference.PAGE.read_text() == api_reference.page(), "run scripts/api_reference.py"


def test_published_vectors_are_those_of_the_tests():
    for path in (ROOT / "docs/reference/vectors").glob("*.json"):
        assert path.read_bytes() == (ROOT / "tests/data/vectors" / path.name).read_bytes()


def keys(kind: type[Struct]) -> Iterator[str]:
    """Keys of a table and of all tables in it, but those of the hand-over, which have a page of their own."""
    for field in structs.fields(kind):
        yield field.name
        for inner in typing.get_args(field.type) or (field.type,):
            if isinstance(inner, type) and issubclass(inner, Struct) and "handover" not in inner.__module__:
                yield from keys(inner)


@pytest.mark.parametrize("role", ["cscf", "poi", "df", "tap", "admf", "audit"])
def test_the_reference_has_every_key_of_a_role(role):
    page = (ROOT / "docs/reference/configuration.md").read_text()
    kind = {
        "cscf": config.CscfConfig,
        "poi": config.PoiConfig,
        "df": config.DfConfig,
        "tap": config.TapConfig,
        "admf": config.AdmfConfig,
        "audit": config.AuditConfig,
    }[role]
    missing = {key for key in keys(kind) if not re.search(rf"[`.]{key}(`|\])", page)}
    assert missing == set()
    assert f"## `[{role}]`" in page


def slug(heading: str) -> str:
    """The anchor that a heading gets on a web page."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(each) for each in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda each: each.name
)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def edited(tmp_path: Path, page: str, heading: str, *names: str) -> Path:
    """Files of config/ as the ``sed`` lines of a section make them."""
    for name in names:
        (tmp_path / "config").mkdir(exist_ok=True)
        shutil.copy(ROOT / "config" / name, tmp_path / name)
        shutil.copy(ROOT / "config" / name, tmp_path / "config" / name)
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [each for each in section.splitlines() if each.startswith("sed -i ")]
    subprocess.run(["bash", "-ec", "\n".join(lines)], cwd=tmp_path, check=True)
    return tmp_path


def test_the_trial_on_one_host_edits_files_into_what_agrees(tmp_path):
    names = ["admf", "cscf", "df", "kms", "poi", "tap"]
    page, heading = "docs/how-to/install.md", "All roles on one host, for a trial"
    folder = edited(tmp_path, page, heading, *(f"{each}.toml" for each in names))
    admf, cscf, df, kms, poi, tap = (
        config.daemon((folder / f"{each}.toml").read_text(), config.DaemonConfig) for each in names
    )
    lab = "urn:midcall:lab:"
    assert (kms.kms.xk.clients, kms.kms.xk.placers) == ((lab + "df-1",), (lab + "admf-1",))
    assert (df.df.x2.peers, df.df.kms.peers, poi.poi.x2.peers) == ((lab + "poi-1",), (lab + "kms",), (lab + "df-1",))
    assert [each.peer for each in admf.admf.people.person] == [lab + each for each in ("lea", "ann", "ben", "audrey")]
    assert df.df.x1.admf_url == poi.poi.x1.admf_url == f"https://{admf.admf.x1.listen}"
    assert cscf.cscf.copies.to == (poi.poi.copies.socket,) and poi.poi.copies.users == ("midcall-cscf",)
    assert cscf.cscf.domains == ("example.com",) and cscf.cscf.peer[0].network == "127.0.0.0/8"
    assert poi.poi.tickets.keep and tap.tap.interfaces == ("lo",) and not tap.tap.promiscuous


def test_the_laboratory_gets_a_tap_and_keeps_keys_of_softphones(tmp_path):
    folder = edited(tmp_path, "docs/how-to/intercept-live.md", "In a laboratory, from nothing", "midcall.toml")
    found = config.daemon((folder / "config/midcall.toml").read_text(), config.DaemonConfig)
    assert found.df.tap.interfaces == ("lo",) and found.poi.keep_sdes

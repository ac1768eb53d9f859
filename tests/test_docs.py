"""Documentation that cannot go stale: its code runs, and the API page is that of the source."""

from __future__ import annotations

import contextlib
import io
import re
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

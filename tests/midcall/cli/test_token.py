"""Approvals with a key in a token (PKCS#11): by SoftHSM, where it and python-pkcs11 are."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from midcall.base import warrant as warrants_of
from midcall.base.warrant import Verified, envelope
from midcall.cli.fail import Failed
from midcall.cli.main import cli
from midcall.events import Instant
from tests.midcall import warrants
from tests.midcall.admf.lab import draft

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
pytestmark = pytest.mark.peer


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A token with the label of ``ann``; the file with its PIN."""
    if importlib.util.find_spec("pkcs11") is None or not MODULE.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("python-pkcs11 or softhsm2 is not installed")
    folder = tmp_path / "tokens"
    folder.mkdir()
    config = tmp_path / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    pins = ("--pin", "1234", "--so-pin", "56789")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "ann", *pins],
        check=True, capture_output=True, env=os.environ,
    )  # fmt: skip
    # One process opens a module once; it has to find the tokens of this test.
    import pkcs11

    pkcs11.lib(str(MODULE)).reinitialize()
    pin = tmp_path / "pin"
    pin.write_text("1234\n")
    pin.chmod(0o600)
    return pin


def midcall(*words: Any) -> Result:
    return CliRunner().invoke(cli, ["warrant", *map(str, words)], standalone_mode=False)


def held(pin: Path, label: str = "approval") -> tuple[Any, ...]:
    return "--module", MODULE, "--token", "ann", "--label", label, "--pin-file", pin


def test_a_key_is_made_in_a_token_and_approves_from_there(token: Path, tmp_path: Path) -> None:
    made = midcall("keygen", *held(token), "--person", "Ann", "--days", "1")
    assert made.exception is None and 'person = "Ann"' in made.output
    file = tmp_path / "W.json"
    file.write_bytes(draft(warrants.make()))
    done = midcall("approve", file, *held(token), "--yes")
    assert done.exception is None, done.exception
    other = midcall("approve", file, *held(token), "--yes")
    assert isinstance(other.exception, Failed) and "approved it already" in str(other.exception)
    file.write_bytes(envelope.write(envelope.sign(envelope.read(file.read_bytes()), warrants.key("Ben"))))
    entry = made.output.partition("[[approver]]")[2]
    entry = entry.replace(entry.partition("valid_from = ")[2].partition("\n")[0], "2026-01-01T00:00:00Z")
    listed = warrants_of.read_trust(warrants.trust_text(f"[[approver]]{entry}", warrants.entry("Ben")))
    outcome = warrants_of.verify(file.read_bytes(), listed, warrants.at(), "poi-1", {})
    assert isinstance(outcome, Verified) and isinstance(outcome.at, Instant)


def test_what_is_wrong_with_a_token_is_said_without_its_pin(token: Path, tmp_path: Path) -> None:
    file = tmp_path / "W.json"
    file.write_bytes(draft(warrants.make()))
    wrong = tmp_path / "wrong"
    wrong.write_text("9999")
    wrong.chmod(0o600)
    for words, said in (
        (held(token), "no such key"),
        (held(wrong), "PinIncorrect"),
        (("--module", MODULE, "--token", "ben", "--pin-file", token), "NoSuchToken"),
        (("--module", tmp_path / "none.so", "--token", "ann", "--pin-file", token), "--module"),
        (("--module", MODULE), "needs --token"),
        ((*held(token), "--key", "x"), "either --key"),
    ):
        done = midcall("approve", file, *words, "--yes")
        assert isinstance(done.exception, Failed), done.exception
        assert said in str(done.exception) and "9999" not in str(done.exception), done.exception
    token.chmod(0o644)
    assert "chmod 600" in str(midcall("approve", file, *held(token), "--yes").exception)


def test_a_label_is_used_once(token: Path) -> None:
    assert midcall("keygen", *held(token), "--person", "Ann").exception is None
    assert "has something of that name" in str(midcall("keygen", *held(token), "--person", "Ann").exception)

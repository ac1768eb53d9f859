"""midcall run as a user and as a service manager starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from midcall.base.lab_pki import LabPki
from tests.midcall.cli.test_commands import midcall

WAIT = 60


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The folder of a laboratory with a KMS."""
    LabPki(tmp_path).make(("kms",))
    (tmp_path / "kms.seal").write_text("5a" * 32)
    (tmp_path / "kms.seal").chmod(0o600)
    (tmp_path / "midcall.toml").write_text(
        f'[service]\nlab = true\ncredentials = "{tmp_path}"\n[log]\nli = "{tmp_path}/li.log"\n'
        f'[operator]\nlisten = "unix:{tmp_path}/operator"\n'
        f'[kms]\nidentity = "sip:kms.example.com"\nelement = "kms-1"\nstore = "{tmp_path}/kms.db"\nseal = "kms.seal"\n'
        f'[kms.users]\nlisten = "127.0.0.1:0"\ncertificate = "{tmp_path}/kms.pem"\nkey = "kms.key"\n'
    )
    return tmp_path


@contextlib.contextmanager
def running(lab: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """The command, and the socket of its service manager, whose first message was that it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(lab / "notify"))
        manager.settimeout(WAIT)
        command = [sys.executable, "-c", "from midcall.cli.main import main; main()", "run"]
        command += ["--config", str(lab / "midcall.toml"), *map(str, options)]
        environment = os.environ | {"NOTIFY_SOCKET": str(lab / "notify")}
        environment.pop("CREDENTIALS_DIRECTORY", None)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            try:
                yield process, manager
            finally:
                process.kill()


def test_from_start_to_end(lab):
    with running(lab, "--role", "kms", "--instance", 2) as (process, manager):
        assert manager.recv(1_024) == b"READY=1"
        process.send_signal(signal.SIGHUP)
        assert manager.recv(1_024).startswith(b"RELOADING=1\n") and manager.recv(1_024) == b"READY=1"
        process.send_signal(signal.SIGTERM)
        assert manager.recv(1_024) == b"STOPPING=1"
        out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0 and out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["message"] for line in lines][::3] == ["ready", "stopping"]
    assert {line["instance"] for line in lines} == {2}
    assert not (lab / "operator").exists()


def test_a_role_that_cannot_start(lab):
    (lab / "kms.seal").chmod(0o644)
    with running(lab) as (process, _):
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert f"{lab}/kms.seal: others than its owner have access" in err and "5a5a" not in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--role", "lemf"], "role lemf: is not in this version"),
        (["--role", "audit"], "has no table [audit]"),
        (["--role", "nobody"], "role nobody: is not in this version"),
        (["--role", "kms", "--record", "trace"], "--record: "),
        (["--instance", "0"], "--instance"),
        (["--config", "nothing.toml"], "nothing.toml: No such file or directory"),
    ],
)
def test_nothing_is_started(lab, options, said):
    text = (lab / "midcall.toml").read_text()
    (lab / "midcall.toml").write_text(text.replace("lab = true", "lab = false"))
    done = midcall("run", "--config", lab / "midcall.toml", *options)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_broken_file_is_named_with_its_line(lab):
    text = (lab / "midcall.toml").read_text()
    (lab / "midcall.toml").write_text(text + "colour = 1\n")
    done = midcall("run", "--config", lab / "midcall.toml")
    assert done.returncode == 2
    line = len(text.splitlines()) + 1
    assert done.stderr == (
        f"midcall: {lab}/midcall.toml: line {line}: kms.users: Object contains unknown field `colour`\n"
    )

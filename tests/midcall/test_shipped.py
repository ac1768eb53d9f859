"""Each role of production starts with its file of config/, as a service manager starts it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from midcall.base.tap import NotPermitted, Source, Tap
from midcall.cli.checks import beside
from midcall.cli.checks.finding import State
from tests.midcall.base.tap.conftest import unable
from tests.midcall.installation import CERTIFICATES, ROLES, ROOT, Installation

WAIT = 60
INSTALL = ROOT / "docs/how-to/install.md"


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@contextlib.contextmanager
def started(place: Installation, role: str, instance: str = "1") -> Iterator[subprocess.Popen[str]]:
    """The service of a role, which has told that it is ready."""
    runtime = place.folder / "run/midcall" / f"{role}-{instance}"
    runtime.mkdir(parents=True, exist_ok=True)
    notify = place.folder / f"notify-{role}-{instance}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notify))
        manager.settimeout(WAIT)
        command = [sys.executable, "-c", "from midcall.cli.main import main; main()", "run"]
        command += ["--config", str(place.file(role)), "--role", role, "--instance", instance]
        environment = os.environ | {
            "NOTIFY_SOCKET": str(notify),
            "CREDENTIALS_DIRECTORY": str(place.handed_over(role)),
            "RUNTIME_DIRECTORY": str(runtime),
        }
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            try:
                said = manager.recv(1_024)
                assert said == b"READY=1", (process.communicate(timeout=WAIT)[1], li_log(place, role))
                yield process
            finally:
                process.kill()


def li_log(place: Installation, role: str) -> str:
    return Path(place.config(role).log.li).read_text()


def stop(process: subprocess.Popen[str]) -> list[str]:
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    return [json.loads(line)["message"] for line in err.splitlines()]


def permitted() -> None:
    try:
        Tap(Source(("lo",))).open().close()
    except NotPermitted as why:
        unable(why)


@pytest.mark.parametrize("role", [role for role in ROLES if role not in ("tap", "df")])
def test_a_role_starts_with_its_file(place, role):
    with started(place, role) as process:
        assert stop(process)[0] == "ready"


def test_a_mediation_function_without_a_tap_of_its_host(place):
    """What a host has on which media come by X3 alone."""
    place.edit("df", ("[df.tap]\n", ""), (f'door = "{place.folder}/run/midcall/tap-1/door"\n', ""))
    with started(place, "df") as process:
        assert stop(process)[0] == "ready"


def test_tap_and_mediation_functions_find_each_other(place):
    permitted()
    with started(place, "tap") as tap, started(place, "df") as df:
        assert "a tap of kind media was given" in li_log(place, "tap")
        # What it was given stays with it.
        stop(tap)
        assert df.poll() is None
        stop(df)


@pytest.mark.proof
def test_a_point_of_interception_takes_the_mirror_of_the_tap(place):
    permitted()
    door = place.folder / "run/midcall/tap-1/door"
    text = place.file("poi").read_text()
    text = text.replace("# [poi.mirror]", "[poi.mirror]")
    place.file("poi").write_text(re.sub(r"^# door = .*$", f'door = "{door}"', text, flags=re.MULTILINE))
    with started(place, "tap") as tap, started(place, "poi") as poi:
        assert "a tap of kind mirror was given" in li_log(place, "tap")
        stop(poi)
        stop(tap)


# What the how-to says


def commands(heading: str) -> list[str]:
    """The first ones under a heading."""
    section = INSTALL.read_text().split(f"## {heading}\n")[1]
    block = re.search(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert block is not None
    return block[1].splitlines()


@pytest.mark.proof
@pytest.mark.parametrize("role", [pytest.param("poi", marks=pytest.mark.proof), "df"])
def test_a_second_one_of_a_role_runs_beside_the_first(place, role):
    """Made as the page says; who looks at it finds what was left to be edited, and then nothing."""
    if role == "df":
        place.edit("df", ("[df.tap]\n", ""), (f'door = "{place.folder}/run/midcall/tap-1/door"\n', ""))
    cd, chosen, *making = commands("Several of one role")
    assert (cd, chosen) == ("cd /etc/midcall", "role=df name=a")
    done = subprocess.run(["bash", "-euc", "\n".join((f"role={role} name=a", *making))], cwd=place.etc, check=True)
    assert done.returncode == 0
    second, number = place.etc / f"{role}@a.toml", CERTIFICATES[role].replace("1", "2")
    assert {each.subject for each in beside.findings(second, place.config(f"{role}@a"))} >= {f"{role}.x1.ne"}
    place.edit(f"{role}@a", (f'"{role}-1"', f'"{number}"'))
    if role == "poi":
        place.edit("poi@a", ('"sip-1"', '"sip-2"'))
    place.second(role, "a", number)
    assert [each.state for each in beside.findings(second, place.config(f"{role}@a"))] == [State.GOOD]
    with started(place, role) as one, started(place, role, "a") as other:
        assert {line["instance"] for line in lines(place, role)} == {1}
        assert {line["instance"] for line in lines(place, f"{role}@a")} == {"a"}
        stop(one)
        stop(other)


def lines(place: Installation, file: str) -> list[dict[str, object]]:
    """Of the log of its LI plane."""
    return [json.loads(line) for line in Path(place.config(file).log.li).read_text().splitlines()]


def test_the_laboratory_of_the_how_to_runs(tmp_path):
    """As the page says, in a folder of its own, with ports that nobody has."""
    *making, running = commands("A laboratory")
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for path, code in (
        ("scripts/lab-pki", "import sys; from midcall.base.lab_pki import main; sys.exit(main())"),
        (".venv/bin/midcall", "from midcall.cli.main import main; main()"),
    ):
        (tmp_path / path).write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$@\"\n")
        (tmp_path / path).chmod(0o755)
    made = subprocess.run(
        ["bash", "-euc", "\n".join(making)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert running == ".venv/bin/midcall run --config config/midcall.toml"
    (tmp_path / "config").mkdir()
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(socket.socket()) for _ in range(12)]
        for each in ports:
            each.bind(("127.0.0.1", 0))
        free = [str(each.getsockname()[1]) for each in ports]
    text = (ROOT / "config/midcall.toml").read_text()
    used = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text)))
    for port, other in zip(used, free, strict=False):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{other}")
    (tmp_path / "config/midcall.toml").write_text(text)
    environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    environment.pop("CREDENTIALS_DIRECTORY", None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT)
        with subprocess.Popen(
            running.split(), cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            try:
                assert manager.recv(1_024) == b"READY=1"
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=WAIT)
            finally:
                process.kill()
    assert process.returncode == 0, err
    assert err.startswith("midcall: cscf, kms, poi, df, audit, admf run in one process: for laboratories")

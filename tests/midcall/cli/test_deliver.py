"""midcall replay --deliver beside midcall lemf: real processes, real TLS, on loopback."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from imswire import hi
from midcall.base import lab_pki
from midcall.kms import keyfile
from midcall.ue import lab
from tests.scenarios.world import TPK_ID, World, truth

MIDCALL = [sys.executable, "-c", "from midcall.cli.main import main; main()"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A capture of one call, its KEYS.toml, certificates of a laboratory."""
    folder = tmp_path_factory.mktemp("deliver")
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(3)
    call.hang_up()
    (folder / "calls.pcap").write_bytes(lab.write_capture(world.wire))
    users = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in world.users.values()]
    (folder / "KEYS.toml").write_text(keyfile.example(lab.KMS_IDENTITY, {TPK_ID.decode(): world.tpk}, users))
    (folder / "config.toml").write_text("[delivery]\ngive_up_seconds = 3\n[profile]\nhi1 = true\n")
    lab_pki.main([str(folder / "pki")])
    lab_pki.main([str(folder / "other-pki")])
    return folder, call


def midcall(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MIDCALL, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)


def tls(folder, name: str, ca: str = "pki") -> list[object]:
    pki = folder / ca
    return ["--cert", pki / f"{name}.pem", "--key", pki / f"{name}.key", "--ca", pki / "ca.pem"]


def replay(folder, out, *options: object) -> subprocess.CompletedProcess[str]:
    keys = ("--kms-keys", folder / "KEYS.toml", "--config", folder / "config.toml", "--out", out)
    return midcall("replay", folder / "calls.pcap", "--target", "sip:alice@example.com", *keys, *options)


@contextmanager
def lemf(folder, out, *options: object):
    """An LEMF of its own process; gives its address, and ends it."""
    command = [*MIDCALL, "lemf", "--listen", "127.0.0.1:0", "--out", out, *tls(folder, "lemf"), *options]
    process = subprocess.Popen([str(each) for each in command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"listening on (\S+)", process.stdout.readline())
        assert found is not None
        yield found[1]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (0, 4)


def data(path) -> list[bytes]:
    """PS-PDUs of a file that carry product."""
    return [
        each for each in hi.Splitter().feed(path.read_bytes()) if isinstance(hi.parse(each).payload, tuple | hi.Hi1)
    ]


def test_what_is_delivered_is_what_the_files_would_hold(made, tmp_path):
    folder, call = made
    assert replay(folder, tmp_path / "files", "--activate-at", 1).returncode == 0
    with lemf(folder, tmp_path / "lemf") as address:
        done = replay(folder, tmp_path / "out", "--activate-at", 1, "--deliver", address, *tls(folder, "df"))
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "out").glob("hi*.ber")) and not list((tmp_path / "out").glob(".spool*"))
    for name in ("hi1.ber", "hi2.ber", "hi3.ber"):
        received = data(tmp_path / "lemf" / "liid-LAB-1" / name)
        assert received == data(tmp_path / "files" / name) and received
    handed = json.loads((tmp_path / "out" / "report.json").read_text())["handover"]
    assert handed["hi3"]["observed"] == handed["hi3"]["delivered"] == len(truth(call, 1.0))
    assert handed["hi1"] == {"observed": 1, "delivered": 1, "queued": 0, "refused": {}}
    assert handed["faults"] == [] and (tmp_path / "lemf" / "findings.jsonl").read_text() == ""


def test_an_lemf_that_is_not_there(made, tmp_path):
    folder, _ = made
    done = replay(folder, tmp_path / "out", "--deliver", "127.0.0.1:9", *tls(folder, "df"))
    assert done.returncode == 4 and "were not delivered to 127.0.0.1:9" in done.stderr
    handed = json.loads((tmp_path / "out" / "report.json").read_text())["handover"]
    assert handed["hi3"]["delivered"] == 0 and handed["hi3"]["queued"] == handed["hi3"]["observed"] > 0
    assert not list((tmp_path / "out").glob(".spool*"))


def test_a_receiver_of_another_ca_gets_nothing(made, tmp_path):
    folder, _ = made
    with lemf(folder, tmp_path / "lemf") as address:
        done = replay(folder, tmp_path / "out", "--deliver", address, *tls(folder, "df", "other-pki"))
    assert done.returncode == 4 and "were not delivered" in done.stderr
    assert not list((tmp_path / "lemf").glob("liid-*"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (lambda f: ["--deliver", "127.0.0.1:1"], "--cert is missing"),
        (lambda f: ["--cert", f / "pki" / "df.pem"], "--cert: goes with --deliver"),
        (lambda f: ["--deliver", "nowhere", *tls(f, "df")], "'nowhere' is not HOST:PORT"),
        (lambda f: ["--deliver", "127.0.0.1:1", *tls(f, "none")], "none.pem"),
        (lambda f: ["--deliver", "127.0.0.1:1", *tls(f, "df")[:2], *tls(f, "lemf")[2:]], "key"),
    ],
)
def test_wrong_use(made, tmp_path, options, says):
    done = replay(made[0], tmp_path / "out", *options(made[0]))
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()

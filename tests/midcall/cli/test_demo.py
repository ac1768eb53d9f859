"""midcall demo: the live system on loopback, what it prints, what it leaves, and that it leaves no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imswire.hi import eps
from midcall.base.tap import NotPermitted
from midcall.cli import demo as command
from midcall.cli import lab_live
from midcall.cli.lab_lemf import Received
from tests.midcall.cli.test_commands import midcall
from tests.midcall.cli.test_results import RESULTS, VOICES, mode, names

START, SIP = 4, 1  # IMSevent


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Shorter calls than a listener would want."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lab_live, "TALK_BEFORE", 0.5)
        patched.setattr(lab_live, "TALK_AFTER", 0.5)
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One run with two calls, by somebody whose files others could read."""
    out = tmp_path_factory.mktemp("run") / "made" / "demo"
    former = os.umask(0)
    try:
        return out, midcall("demo", "--out", out, "--calls", 2)
    finally:
        os.umask(former)


def figures(text: str, before: str) -> list[float]:
    """The milliseconds behind some words."""
    return [float(each) for each in re.findall(rf"{re.escape(before)}(\d+\.\d) ms", text)]


def test_it_tells_what_happens_and_how_long_it_took(done):
    _, told = done
    assert told.returncode == 0 and told.stderr == "", told.stdout + told.stderr
    steps = (
        "KMS, POI, DF, audit, CSCF and LEMF begin",
        "sip:alice0@example.com and sip:bob0@example.com register at the proxy",
        "Ticket Request to the KMS over HTTPS",
        "sip:alice0@example.com calls sip:bob0@example.com",
        "Ticket Resolve to the KMS over HTTPS",
        "approved by the keys",
        "X1: df: ActivateTask",
        "X1: poi: CreateDestination",
        "start of interception",
        "sip:alice0@example.com hangs up",
        "X1: poi: DeactivateTask",
        "findings: none",
        "octet for octet what was said from then on, and no other",
        "1 intercepted",
    )
    places = [told.stdout.index(each) for each in steps]
    assert places == sorted(places)
    begun = figures(told.stdout, "ActivateTask -> start of interception at the LEMF: ")
    heard = figures(told.stdout, "ActivateTask -> first decrypted RTP at the LEMF: ")
    assert 0 < begun[0] < heard[0], "the event never waits for keys or content"


def test_the_kms_is_asked_for_the_call_of_the_target_alone(done):
    _, told = done
    assert "calls: 2; questions to the KMS for session keys: 1" in told.stdout


def test_the_agency_has_the_events_and_the_second_half_of_the_call(done):
    out, _ = done
    hi2, hi3 = (Received(out / "lemf", lab_live.LIID, each) for each in ("hi2", "hi3"))
    hi2.look()
    # The BYE as it came to the proxy, and as it left it.
    assert [eps.parse(each).event for each in hi2.contents()] == [START, SIP, SIP, SIP]
    assert len(hi3.look()) >= 2 * 50 * lab_live.TALK_AFTER
    assert len(list(hi3.path.parent.glob("*.wav"))) == 3


def test_the_replay_of_the_same_call_lies_beside_it(done):
    out, told = done
    assert names(out) >= RESULTS | {"calls.pcap", "KEYS.toml", "lemf", "pki", "site"}
    assert names(out / "audio") == VOICES
    report = json.loads((out / "report.json").read_text())
    assert report["authority"] == report["warrant"]["id"] and len(report["warrant"]["approvals"]) == 2
    first, second = sorted(report["dialogs"], key=lambda each: each["call_id"])
    assert (first["intercepted"], first["mid_call"], first["errors"]) == (True, True, [])
    assert second["intercepted"] is False
    live = Received(out / "lemf", lab_live.LIID, "hi3")
    live.look()
    assert f"the replay has the {len(live.rtp())} packets that the LEMF got live, octet for octet" in told.stdout


def test_the_warrant_can_be_shown(done):
    out, _ = done
    shown = midcall("warrant", "show", out / "site" / "warrant.json", "--trust", out / "site" / "trust.toml")
    assert shown.returncode == 0 and "verified:      yes" in shown.stdout


def test_a_user_goes_on_by_hand(done, tmp_path):
    """As the tutorial does."""
    out, _ = done
    given = ("--target", "sip:bob1@example.com", "--activate-at", 0.7, "--kms-keys", out / "KEYS.toml")
    other = midcall("replay", out / "calls.pcap", *given, "--out", tmp_path)
    assert other.returncode == 0 and "2 dialogs, 1 intercepted" in other.stdout


def test_it_leaves_nothing_to_others(done):
    out, _ = done
    assert {mode(out / each) for each in (*RESULTS, "calls.pcap", "KEYS.toml") if (out / each).is_file()} == {0o600}
    folders = (out.parent, out, *(out / each for each in ("audio", "lemf", "pki", "site")))
    assert {mode(each) for each in folders} == {0o700}


@pytest.mark.proof
def test_where_nobody_may_tap_media_come_by_x3_and_a_second_run_begins_anew(done, monkeypatch):
    class Forbidden:
        def __init__(self, _: object) -> None:
            raise NotPermitted("making a map", "CAP_BPF")

    out, _ = done
    monkeypatch.setattr(command, "Tap", Forbidden)
    told = midcall("demo", "--out", out, "--calls", 1)
    assert told.returncode == 0 and told.stderr == "", told.stdout + told.stderr
    assert "media come by X3 instead: making a map is not permitted: CAP_BPF is missing" in told.stdout
    assert "octet for octet what was said from then on, and no other" in told.stdout
    assert "[df.tap]" not in (out / "site" / "df.toml").read_text()
    assert {each["call_id"] for each in json.loads((out / "report.json").read_text())["dialogs"]} == {
        "demo-1@example.com"
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.proof)])
def test_told_to_stop_it_leaves_no_process_behind(tmp_path, number):
    code = "from midcall.cli.main import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", code, "demo", "--out", tmp_path / "demo", "--calls", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with running:
        assert running.stdout is not None
        said = "Ticket Request" if number is signal.SIGINT else "begin"
        assert any(said in line for line in running.stdout)
        running.send_signal(number)
        rest = running.stdout.read()
    assert running.returncode in (130, 143) and "Traceback" not in rest, rest
    end = time.monotonic() + 20
    while processes(str(tmp_path)) and time.monotonic() < end:
        time.sleep(0.1)  # one that was just beginning looks whose it is first
    assert processes(str(tmp_path)) == []


def processes(argument: str) -> list[str]:
    """The command lines of those that run with ``argument`` somewhere in them."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if argument in line and int(each.parent.name) != os.getpid():
                found.append(line)
    return found


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    told = midcall("demo", "--out", tmp_path / "file" / "demo")
    assert told.returncode == 2 and len(told.stderr.splitlines()) == 1


def test_a_folder_too_deep_for_the_socket_of_the_copies(tmp_path):
    told = midcall("demo", "--out", tmp_path / ("d" * 90))
    assert told.returncode == 2 and "File name too long" in told.stderr and len(told.stderr.splitlines()) == 1

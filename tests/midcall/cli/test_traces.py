"""midcall replay of traces: what it wants, what it refuses, what it says."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from imswire import x2x3
from midcall.config import Integrity
from midcall.events import Instant, SipSeen
from midcall.live import trace
from tests.midcall.cli.test_commands import midcall

DF = trace.DfBegun("0", 1, Integrity())
POI = trace.PoiBegun("0", "poi-1", "sip-1", bytes(32), None, True, (), ())
SEEN = SipSeen(b"", "192.0.2.1:5060", "192.0.2.2:5060", Instant(1, 1))


def written(path: Path, begun: trace.Begun, *those: trace.Record) -> Path:
    into = trace.TraceWriter(path, begun)
    for each in those:
        into.write(each)
    into.close()
    return path


@pytest.fixture
def df(tmp_path) -> Path:
    return written(tmp_path / "df.trace", DF, trace.Committed("lemf", 1, 0, 0, (), True))


def test_a_trace_needs_nothing_but_a_folder(tmp_path, df):
    done = midcall("replay", df, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert done.stderr.startswith("midcall: a trace of a laboratory: no authority is checked")
    assert done.stdout == f"{df}: df, 2 records, PDUs: hi2 0, hi3 0 -> {tmp_path / 'out'}\n"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    counts = {"hi2_pdus": 0, "hi3_pdus": 0}
    told = {"trace": str(df), "role": "df", "records": 2, "x2_pdus": 0, "waiting": 0, "destinations": {"lemf": counts}}
    assert report == {"traces": [told], "errors": []}
    made = {each.relative_to(tmp_path / "out").as_posix() for each in (tmp_path / "out").rglob("*.*")}
    assert made == {"lemf/hi2.ber", "lemf/hi3.ber", "x2.bin", "report.json"}
    for name in made:
        assert stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "option",
    [
        ("--target", "sip:alice@example.com"),
        ("--kms-keys", "KEYS.toml"),
        ("--activate-at", "1"),
        ("--warrant", "warrant.json"),
        ("--config", "replay.toml"),
        ("--deliver", "127.0.0.1:1"),
    ],
)
def test_what_a_capture_needs_is_refused_beside_a_trace(tmp_path, df, option):
    done = midcall("replay", df, *option, "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stderr.startswith(f"midcall: {option[0]}: not with a trace")
    assert not (tmp_path / "out").exists()


def test_results_of_others_are_not_mixed_in(tmp_path, df):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "hi2.ber").touch()
    done = midcall("replay", df, "--out", tmp_path / "out")
    assert done.returncode == 2 and "is not empty" in done.stderr


def test_a_capture_still_needs_target_and_keys(tmp_path):
    (tmp_path / "a.pcap").touch()
    for given, missing in ((), "--target"), (("--target", "sip:a@example.com"), "--kms-keys"):
        done = midcall("replay", tmp_path / "a.pcap", *given, "--out", tmp_path / "out")
        assert done.returncode == 2 and f"Missing option '{missing}'" in done.stderr
    done = midcall("replay", tmp_path / "a.pcap", tmp_path / "a.pcap", "--out", tmp_path / "out")
    assert done.returncode == 2 and "one capture at a time" in done.stderr


def test_x2_that_the_poi_does_not_make_is_told(tmp_path):
    octets = x2x3.build(x2x3.Pdu(x2x3.PduType.X2, x2x3.PayloadFormat.SIP, x2x3.Direction.UNKNOWN, bytes(16)))
    df = written(tmp_path / "df.trace", DF, trace.Taken("poi", [octets]), trace.Told(Instant(1, 1)))
    assert midcall("replay", df, "--out", tmp_path / "alone").returncode == 0
    poi = written(tmp_path / "poi.trace", POI, trace.Sent([]))
    done = midcall("replay", df, poi, "--out", tmp_path / "out")
    assert done.returncode == 4
    folders = sorted(each.name for each in (tmp_path / "out").iterdir())
    assert folders == ["1", "2", "report.json"]
    assert "X2: of 1 PDUs that the DF took 1 are not among those that the POI makes" in done.stderr


def test_a_trace_that_breaks_off_is_done_with_errors(tmp_path):
    path = written(tmp_path / "poi.trace", POI, trace.Seen(SEEN), trace.Seen(SEEN))
    path.write_bytes(path.read_bytes()[:-3])
    done = midcall("replay", path, "--out", tmp_path / "out")
    assert done.returncode == 4
    (error,) = json.loads((tmp_path / "out" / "report.json").read_text())["errors"]
    assert error.startswith(f"{path}: octet ") and "the trace is cut" in error
    assert f"midcall: {error}" in done.stderr
    assert done.stdout.startswith(f"{path}: poi, 2 records, X2 PDUs: 0")


def test_a_trace_of_another_version_cannot_be_read(tmp_path):
    (tmp_path / "trace").write_bytes(trace.MAGIC[:-2] + b"9\n")
    done = midcall("replay", tmp_path / "trace", "--out", tmp_path / "out")
    assert done.returncode == 3 and "one of another version" in done.stderr


def test_a_folder_that_cannot_be_made(tmp_path, df):
    (tmp_path / "out").touch()
    done = midcall("replay", df, "--out", tmp_path / "out")
    assert done.returncode == 3 and f"{tmp_path / 'out'}: " in done.stderr

"""The command line: what it writes, its exit statuses, one line for each error, no traceback, no key."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from imswire import inet, pcap
from midcall.cli.main import main
from midcall.kms import keyfile
from midcall.ue import lab
from tests.scenarios.world import World, truth


def midcall(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, as the entry point would."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    former, sys.argv = sys.argv, ["midcall", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = former
    return subprocess.CompletedProcess(sys.argv, status, out.getvalue(), err.getvalue())


def test_as_a_program():
    code = "from midcall.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "inspect", "A"], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stderr.startswith("midcall: ") and "Traceback" not in done.stderr


def test_no_traceback_reaches_a_user(monkeypatch, tmp_path):
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("midcall.cli.inspect.mikey_message", broken)
    done = midcall("inspect", "AQAA")
    assert done.returncode == 70 and "RuntimeError" in done.stderr and "secret" not in done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A capture of one call, its KEYS.toml, and the call."""
    folder = tmp_path_factory.mktemp("made")
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(2)
    call.hang_up()
    (folder / "a.pcap").write_bytes(lab.write_capture(world.wire))
    users = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in world.users.values()]
    (folder / "KEYS.toml").write_text(keyfile.example(lab.KMS_IDENTITY, {"tpk-1": world.tpk}, users))
    return folder, call, world


def replay(folder: Path, out: Path, *options: object, capture: Path | None = None):
    base = ("replay", capture or folder / "a.pcap", "--kms-keys", folder / "KEYS.toml", "--out", out)
    return midcall(*base, *(("--target", "sip:alice@example.com") if "--target" not in options else ()), *options)


def payloads(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        reader = pcap.Reader(file.read)
        return [inet.decode(reader.link_type, frame).payload for batch in reader.batches() for _, frame, _ in batch]


def test_replay(made, tmp_path):
    folder, call, world = made
    done = replay(folder, tmp_path / "out", "--activate-at", 1)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "midcall: no warrant given: no authority was checked (lab use only)\n"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["authority"] == "none (lab)"
    (dialog,) = report["dialogs"]
    assert dialog["mid_call"] and dialog["errors"] == [] and len(dialog["streams"]) == 2
    assert payloads(tmp_path / "out" / "media.pcap") == truth(call, 1.0)
    assert all((tmp_path / "out" / name).stat().st_size > 44 for name in report["audio"]) and len(report["audio"]) == 3
    everything = "".join(path.read_bytes().hex() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert world.tpk.hex() not in everything


def test_a_target_that_no_argument_names(made, tmp_path, monkeypatch):
    """From a file, and from standard input; the product is the same."""
    folder, call, _ = made
    (tmp_path / "targets").write_text("# of the order\n\nsip:nobody@example.com\nsip:alice@example.com\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("sip:alice@example.com\n"))
    for name, target in (("file", f"@{tmp_path / 'targets'}"), ("stdin", "-")):
        done = replay(folder, tmp_path / name, "--target", target, "--activate-at", 1)
        assert done.returncode == 0, done.stderr
        assert payloads(tmp_path / name / "media.pcap") == truth(call, 1.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sip:a@example.com\nsecret name\n", "line 2: no SIP, TEL or URN identity"),
        ("# none\n", "no identity in it"),
        (None, "No such file"),
    ],
)
def test_a_file_that_names_no_target(made, tmp_path, text, says):
    folder, _, _ = made
    if text is not None:
        (tmp_path / "targets").write_text(text)
    done = replay(folder, tmp_path / "out", "--target", f"@{tmp_path / 'targets'}")
    assert done.returncode == 2 and says in done.stderr and "secret" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_two_runs_leave_the_same_octets(made, tmp_path):
    folder, _, _ = made
    for name in ("one", "two"):
        assert replay(folder, tmp_path / name, "--activate-at", 0.7, "--deactivate-at", 1.5).returncode == 0
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 7
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("--activate-at", -1), 2, "--activate-at"),
        (("--activate-at", "nan"), 2, "--activate-at"),
        (("--activate-at", 2, "--deactivate-at", 1), 2, "--deactivate-at: not after"),
        (("--target", "nobody"), 2, "no SIP, TEL or URN identity"),
        (("--warrant", "w.json"), 2, "--warrant and --trust go together"),
        (("--no-such-option",), 2, "No such option"),
    ],
)
def test_wrong_use(made, tmp_path, options, status, says):
    done = replay(made[0], tmp_path / "out", *options)
    assert done.returncode == status and says in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [("[kms]\nidentity = 5\n", "line 2: kms.identity"), ("nonsense", "line 1: no TOML"), (b"\xff", "not UTF-8")],
)
def test_wrong_keys(made, tmp_path, text, says):
    keys = tmp_path / "K.toml"
    keys.write_bytes(text if isinstance(text, bytes) else text.encode())
    target = ("--target", "sip:a@b")
    done = midcall("replay", made[0] / "a.pcap", "--kms-keys", keys, "--out", tmp_path / "o", *target)
    assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    missing = midcall("replay", made[0] / "a.pcap", "--kms-keys", tmp_path / "no", "--out", tmp_path / "o", *target)
    assert missing.returncode == 2 and "No such file" in missing.stderr


@pytest.mark.parametrize(("octets", "says"), [(b"", "pcap"), (b"GIF89a" * 10, "pcap"), (None, "No such file")])
def test_unreadable_captures(made, tmp_path, octets, says):
    capture = tmp_path / "x.pcap"
    if octets is not None:
        capture.write_bytes(octets)
    done = replay(made[0], tmp_path / "o", capture=capture)
    assert done.returncode == 3 and says in done.stderr and str(capture) in done.stderr


def test_a_folder_is_no_capture(made, tmp_path):
    done = replay(made[0], tmp_path / "o", capture=tmp_path)
    assert done.returncode == 3 and "is a folder" in done.stderr


def test_a_capture_that_breaks_off_is_processed_as_far_as_it_goes(made, tmp_path):
    folder, call, _ = made
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((folder / "a.pcap").read_bytes()[:-20_000])
    done = replay(folder, tmp_path / "out", capture=cut)
    assert done.returncode == 4 and "the capture ends here" in done.stderr
    found = payloads(tmp_path / "out" / "media.pcap")
    assert found and found == truth(call)[: len(found)]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["errors"][0]["frame"] == report["capture"]["frames"]


def test_nothing_but_a_broken_record_is_unreadable(made, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((made[0] / "a.pcap").read_bytes()[:30])
    assert replay(made[0], tmp_path / "out", capture=cut).returncode == 3


def test_control_characters_of_a_capture_do_not_reach_the_terminal(made, tmp_path):
    world = World()
    call = world.call(call_id="evil\x1b[2J@lab")
    call.request("INVITE", call.caller, "v=0\r\nrubbish\r\n", initial=True)
    capture = tmp_path / "evil.pcap"
    capture.write_bytes(lab.write_capture(world.wire))
    done = replay(made[0], tmp_path / "out", capture=capture)
    assert done.returncode == 4 and "evil" in done.stderr and "\x1b" not in done.stderr
    shown = midcall("inspect", capture)
    assert "\x1b" not in shown.stdout + shown.stderr and shown.returncode == 4


def test_inspect_a_capture(made):
    folder, call, _ = made
    done = midcall("inspect", folder / "a.pcap")
    assert done.returncode == 0 and "TRANSFER_INIT" in done.stdout and "200 OK (BYE)" in done.stdout
    as_json = json.loads(midcall("inspect", "--json", folder / "a.pcap").stdout)
    (dialog,) = as_json["dialogs"]
    assert dialog["call_id"] == call.call_id and len(dialog["messages"]) == 7


def test_inspect_a_message(made, tmp_path):
    _, call, _ = made
    bundle = call.bundles[0]
    from base64 import b64encode

    text = b64encode(bundle.init).decode()
    for what in (text, f"a=key-mgmt:mikey {text}"):
        done = midcall("inspect", what)
        assert done.returncode == 0 and "MIKEY TRANSFER_INIT" in done.stdout and "DEFGHNO" in done.stdout
    (tmp_path / "raw").write_bytes(bundle.response)
    (tmp_path / "text").write_text(text)
    assert "TRANSFER_RESP" in midcall("inspect", tmp_path / "raw").stdout
    as_json = json.loads(midcall("inspect", "--json", tmp_path / "text").stdout)
    csb_id = next(field for field in as_json["payloads"][0]["fields"] if field["name"] == "csb_id")
    assert csb_id["offset"] == 4 and f"{csb_id['value']:08x}" == as_json["csb_id"]
    assert as_json["type"] == "TRANSFER_INIT" and any("TPK 'tpk-1'" in need for need in as_json["missing"])


@pytest.mark.parametrize("what", ["no such thing", "AAAA", "", "Z" * 5000, "\x00"])
def test_inspect_what_is_nothing(what):
    if "\x00" in what:
        return
    done = midcall("inspect", what)
    assert done.returncode in (2, 3) and done.stderr.startswith("midcall: ") and len(done.stderr.splitlines()) == 1


def test_version_and_help():
    assert midcall("--version").stdout.startswith("midcall, version ")
    for command in ("replay", "inspect", "demo"):
        assert midcall(command, "--help").returncode == 0
    assert midcall("nonsense").returncode == 2


def test_inspect_shows_what_was_handed_over(made, tmp_path):
    folder, _, _ = made
    assert replay(folder, tmp_path / "out", "--activate-at", 0.7).returncode == 0
    done = midcall("inspect", tmp_path / "out" / "hi2.ber")
    assert done.returncode == 0 and "startOfInterceptionForIMSEstablishedSession(4)" in done.stdout
    told = midcall("inspect", tmp_path / "out" / "hi3.ber", "--json")
    records = json.loads(told.stdout)
    assert told.returncode == 0 and records[0]["what"].startswith("CC ") and records[-1]["what"] == "IntegrityCheck"
    (tmp_path / "cut.ber").write_bytes((tmp_path / "out" / "hi2.ber").read_bytes()[:-3])
    cut = midcall("inspect", tmp_path / "cut.ber")
    assert cut.returncode == 4 and "cut short" in cut.stderr
    (tmp_path / "none.ber").write_bytes(b"\x30\x84")
    assert json.loads(midcall("inspect", tmp_path / "none.ber", "--json").stdout) == []


def test_why_nothing_was_intercepted(made, tmp_path):
    folder, _, _ = made
    nobody = midcall(
        *("replay", folder / "a.pcap", "--target", "sip:nobody@example.com"),
        *("--kms-keys", folder / "KEYS.toml", "--out", tmp_path / "out"),
    )
    assert nobody.returncode == 0 and "nothing was intercepted: no dialog of a target in its time" in nobody.stderr
    late = replay(folder, tmp_path / "out", "--activate-at", 1000)
    assert late.returncode == 0 and "before the interception was to begin" in late.stderr
    empty = midcall("inspect", tmp_path / "out" / "hi2.ber")
    assert empty.returncode == 3 and "hi2.ber: is empty" in empty.stderr

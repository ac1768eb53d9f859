"""The folder of a replay's results: its owner's alone, and of one replay only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from midcall.base import lab_pki
from midcall.kms import keyfile
from midcall.ue import lab
from tests.midcall.cli.test_commands import midcall, payloads
from tests.midcall.cli.test_deliver import lemf, tls
from tests.scenarios.world import TPK_ID, World, truth

IRI = '[warranted]\nscope = "iri"\n'
KEYS_TO_LEMF = '[warranted]\nkeys = "keys-to-lemf"\n'
RESULTS = {"audio", "hi2.ber", "hi3.ber", "media.pcap", "report.json"}
VOICES = {"dialog-001-callee.wav", "dialog-001-caller.wav", "dialog-001-mix.wav"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A capture of one call, its KEYS.toml, configurations, certificates; and the call."""
    folder = tmp_path_factory.mktemp("results")
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(1)
    call.hang_up()
    (folder / "a.pcap").write_bytes(lab.write_capture(world.wire))
    users = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in world.users.values()]
    (folder / "KEYS.toml").write_text(keyfile.example(lab.KMS_IDENTITY, {TPK_ID.decode(): world.tpk}, users))
    (folder / "iri.toml").write_text(IRI)
    (folder / "keys.toml").write_text(KEYS_TO_LEMF)
    lab_pki.main([str(folder / "pki")])
    return folder, call


def replay(folder: Path, out: Path, *options: object, capture: Path | None = None):
    base = ("replay", capture or folder / "a.pcap", "--target", "sip:alice@example.com")
    return midcall(*base, "--kms-keys", folder / "KEYS.toml", "--out", out, *options)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture
def open_umask():
    former = os.umask(0)
    yield
    os.umask(former)


# Who may read them


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("config", ["iri.toml", "keys.toml", None])
def test_results_are_their_owners_alone(made, tmp_path, config):
    folder, _ = made
    options = () if config is None else ("--config", folder / config)
    assert replay(folder, tmp_path / "made" / "out", *options).returncode == 0
    found = sorted((tmp_path / "made").rglob("*"))
    assert names(tmp_path / "made" / "out") == RESULTS
    assert {mode(each) for each in found if each.is_file()} == {0o600}
    assert {mode(each) for each in (tmp_path / "made", *found) if each.is_dir()} == {0o700}


@pytest.mark.usefixtures("open_umask")
def test_a_folder_that_is_there_keeps_its_mode_and_files_that_others_could_read_are_replaced(made, tmp_path):
    folder, _ = made
    out = tmp_path / "out"
    out.mkdir(mode=0o750)
    (out / "hi2.ber").write_bytes(b"old")
    reading = (out / "hi2.ber").open("rb")
    assert replay(folder, out).returncode == 0
    assert mode(out) == 0o750 and mode(out / "hi2.ber") == 0o600
    with reading:
        assert reading.read() == b"old"


# What the agency decrypts


def test_what_the_agency_decrypts_is_left_in_no_file_in_clear(made, tmp_path):
    folder, call = made
    done = replay(folder, tmp_path / "out", "--config", folder / "keys.toml")
    assert done.returncode == 0 and f", {len(truth(call))} packets of content" in done.stdout
    assert payloads(tmp_path / "out" / "media.pcap") == [] and names(tmp_path / "out" / "audio") == set()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["audio"] == [] and report["handover"]["hi3_pdus"] > 0
    everything = b"".join(each.read_bytes() for each in (tmp_path / "out").rglob("*") if each.is_file())
    assert not any(clear[12:] in everything for clear in truth(call))


# Of one replay only


def test_nothing_of_a_former_replay_stays_beside_a_later_one(made, tmp_path):
    folder, _ = made
    out = tmp_path / "out"
    assert replay(folder, out).returncode == 0 and names(out / "audio") == VOICES
    (out / "audio" / ".dialog-002-silence.wav").touch()
    assert replay(folder, out, "--config", folder / "iri.toml").returncode == 0
    assert names(out) == RESULTS and names(out / "audio") == set()
    assert payloads(out / "media.pcap") == [] and (out / "hi3.ber").read_bytes() == b""


def test_after_a_delivery_no_former_product_lies_there(made, tmp_path):
    folder, _ = made
    out = tmp_path / "out"
    assert replay(folder, out).returncode == 0
    with lemf(folder, tmp_path / "lemf") as address:
        assert replay(folder, out, "--deliver", address, *tls(folder, "df")).returncode == 0
    assert names(out) == RESULTS - {"hi2.ber", "hi3.ber"}


def test_what_is_no_result_stays(made, tmp_path):
    folder, _ = made
    out = tmp_path / "out"
    (out / "audio" / "dialog-001").mkdir(parents=True)
    others = ["calls.pcap", "hi4.ber", "media.pcap.bak", "dialog-001-mix.wav", "audio/notes.txt"]
    others += ["audio/dialog-1-mix.wav", "audio/dialog-001-mix.wav.md5", "audio/dialog-001/dialog-001-mix.wav"]
    for each in others:
        (out / each).write_text("mine")
    assert replay(folder, out, "--config", folder / "iri.toml").returncode == 0
    assert all((out / each).read_text() == "mine" for each in others)


def test_a_link_goes_and_what_it_leads_to_stays(made, tmp_path):
    folder, _ = made
    out = tmp_path / "out"
    (out / "audio").mkdir(parents=True)
    places = [out / "media.pcap", out / "report.json", out / "audio" / "dialog-001-mix.wav"]
    for place in places:
        (tmp_path / place.name).write_text("mine")
        place.symlink_to(tmp_path / place.name)
    assert replay(folder, out).returncode == 0
    assert all((tmp_path / each.name).read_text() == "mine" and not each.is_symlink() for each in places)


@pytest.mark.parametrize("name", ["hi2.ber", "report.json", "audio/dialog-007-caller.wav"])
def test_a_folder_by_the_name_of_a_result_is_refused_and_all_stays(made, tmp_path, name):
    folder, _ = made
    out = tmp_path / "out"
    (out / name).mkdir(parents=True)
    (out / "media.pcap").write_text("former")
    done = replay(folder, out)
    assert done.returncode == 2 and f"{name}: is a folder where a result has to go; nothing was done" in done.stderr
    assert (out / name).is_dir() and (out / "media.pcap").read_text() == "former"


@pytest.mark.parametrize("kind", ["link", "file"])
def test_audio_elsewhere_is_refused_and_all_stays(made, tmp_path, kind):
    folder, _ = made
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for each in (out, elsewhere):
        each.mkdir()
    (elsewhere / "dialog-001-mix.wav").write_text("mine")
    (out / "hi2.ber").write_text("former")
    if kind == "link":
        (out / "audio").symlink_to(elsewhere)
    else:
        (out / "audio").touch()
    done = replay(folder, out)
    assert done.returncode == 2 and "audio: a link or no folder; nothing was done" in done.stderr
    assert (elsewhere / "dialog-001-mix.wav").read_text() == "mine" and (out / "hi2.ber").read_text() == "former"


def test_the_capture_itself_is_no_former_result(made, tmp_path):
    folder, _ = made
    assert replay(folder, tmp_path / "out").returncode == 0
    media = tmp_path / "out" / "media.pcap"
    before = media.read_bytes()
    done = replay(folder, tmp_path / "out", capture=media)
    assert done.returncode == 2 and "media.pcap: is the capture itself" in done.stderr and media.read_bytes() == before


def test_a_capture_that_is_none_costs_no_former_result(made, tmp_path):
    folder, _ = made
    assert replay(folder, tmp_path / "out").returncode == 0
    (tmp_path / "none.pcap").write_bytes(b"nothing of the kind")
    assert replay(folder, tmp_path / "out", capture=tmp_path / "none.pcap").returncode == 3
    assert names(tmp_path / "out") == RESULTS and names(tmp_path / "out" / "audio") == VOICES

"""What laboratories are made of: processes that say why they do not start, calls that say why they failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from midcall.cli.fail import Failed
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_lemf import LabLemf, Received
from midcall.cli.lab_site import LabSite
from midcall.kms import Kms, keyfile


@pytest.fixture
def agent() -> Iterator[HepAgent]:
    """Its copies go to a socket that nobody reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somewhere:
        somewhere.bind(("127.0.0.1", 0))
        with closing(HepAgent(somewhere.getsockname()[1], b"key")) as made:
            yield made


def test_a_role_that_does_not_start_says_why(tmp_path):
    (tmp_path / "KEYS.toml").write_text(Users(1).key_file())
    site = LabSite(tmp_path / "site", tmp_path / "pki", tmp_path / "KEYS.toml")
    site.trust.unlink()
    with (
        site.role("poi") as role,
        pytest.raises(Failed, match=r"poi .* did not start: .*trust\.toml: No such"),
    ):
        role.wait()
    assert role.status == 1


def test_a_role_whose_file_is_wrong_says_why(tmp_path):
    (tmp_path / "KEYS.toml").write_text("[kms]\n")
    site = LabSite(tmp_path / "site", tmp_path / "pki", tmp_path / "KEYS.toml")
    (site.folder / "kms.toml").write_text("[nothing]\n")
    with site.role("kms") as role, pytest.raises(Failed, match="did not start: midcall: .*kms.toml: line 1"):
        role.wait()
    assert role.status == 2


def test_a_lemf_that_does_not_start_says_why(tmp_path):
    (tmp_path / "lemf").write_text("no folder")
    lemf = LabLemf(tmp_path / "lemf", tmp_path / "pki", lambda _: None)
    with lemf, pytest.raises(Failed, match=r"the LEMF did not start: .*lemf: File exists"):
        lemf.address  # noqa: B018 - asking is what waits


def test_nothing_is_received_before_there_is_a_file(tmp_path):
    assert Received(tmp_path, "LI-1", "hi3").look() == []


def test_a_call_by_steps(agent):
    """Real datagrams: each is received, and both ends have the keys."""
    users = Users(1)
    kms = Kms(keyfile.read(users.key_file()))
    draw, told = users.draw, []
    call = LiveCall(
        0, users.pairs[0], lambda octets: kms.answer(octets, call.call.now, draw), agent, threading.Event(), told.append
    )
    with closing(call):
        call.connect()
        call.talk(0.1)
        call.hang_up()
    assert len(call.media()) == 10 and call.wire.pause > 0
    assert [each.split()[1] for each in told if each.startswith("Ticket")] == ["Request", "Resolve"]
    assert len(call.wire.frames) == 10 + 7, "INVITE, 100, 180, 200, ACK, BYE, 200"


def test_a_call_whose_kms_is_gone_has_failed(agent):
    def gone(_: bytes) -> bytes:
        raise ConnectionRefusedError("nobody listens")

    with closing(LiveCall(0, Users(1).pairs[0], gone, agent, threading.Event())) as call:
        call.begin(0)
        call.until_talk()
        call.join()
    assert isinstance(call.failed, ConnectionRefusedError) and call.media() == []


def test_calls_that_are_told_to_stop_are_no_failures(agent):
    stop = threading.Event()
    with closing(LiveCall(0, Users(1).pairs[0], lambda octets: octets, agent, stop)) as call:
        call.begin(3_600)
        stop.set()
        call.join()
    assert call.failed is None and call.wire.frames == []

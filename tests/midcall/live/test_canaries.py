"""What a site leaves of keys and of whom it is about: in its files, in what others see of its processes, in memory."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import time
from pathlib import Path

import pytest

from imswire import srtp
from midcall.admf.roles import Command
from midcall.base import sweep
from midcall.base.warrant import Revocation
from midcall.cli import activate
from midcall.cli.lab_calls import Users
from midcall.ue import call as ue_call
from midcall.ue import lab
from tests.midcall import inside
from tests.midcall.live.admf_site import AdmfSite
from tests.midcall.live.live_site import LiveSite, until

LIID = "LIID-CANARY-1"
SETTLE_SECONDS = 3.0
"""In which idle connections end, and what they leave is collected."""
LAB_INPUTS = {"KEYS.toml", "warrant.toml"}
pytestmark = [pytest.mark.proof, pytest.mark.skipif(os.geteuid() != 0, reason="looks into other processes")]


def texts(octets: bytes) -> set[bytes]:
    """An octet string as it stands in memory, in JSON and in files."""
    return {octets, base64.b64encode(octets)[: len(octets)], octets.hex().encode()}


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Master keys that the users' own ends have derived."""
    found: list[bytes] = []
    real = ue_call.srtp_key

    def remembered(keys: object) -> tuple[srtp.Policy, srtp.MasterKey]:
        policy, master = real(keys)
        found.append(bytes(master.key))
        return policy, master

    monkeypatch.setattr(ue_call, "srtp_key", remembered)
    return found


def test_no_role_keeps_what_it_has_let_go_of(tmp_path: Path, derived: list[bytes]) -> None:
    with contextlib.ExitStack() as stack:
        users = Users(2)
        live = LiveSite(tmp_path, stack, users)
        calls = [live.call(number) for number in range(2)]
        order = live.activate(calls[0].call.caller.uri, LIID)
        content = live.received(LIID, "hi3")
        calls[0].talk(1)
        until(lambda: bool(content.look()), "content under the keys")
        media_keys, others_keys = derived[:2], derived[2:]
        persons = {uri.encode() for pair in users.pairs for uri in (pair[0].uri, pair[1].uri)}
        secrets = {each.psk for pair in users.pairs for each in pair} | {users._tpk}
        for call in calls:
            call.hang_up()
        assert asyncio.run(activate.end(order)) == 0
        time.sleep(SETTLE_SECONDS)

        def seen(role: str, wanted: set[bytes]) -> int:
            forms = set(itertools.chain.from_iterable(map(texts, wanted)))
            return inside.found(live.roles[role].pid, forms)

        assert seen("kms", secrets), "the search finds what is there"
        session_keys = {*media_keys, *others_keys}
        assert {role: seen(role, session_keys) for role in live.roles} == {"kms": 0, "df": 0, "poi": 0}
        assert seen("df", secrets) == seen("poi", secrets) == 0
        never = set(itertools.chain.from_iterable(map(texts, {*session_keys, *secrets})))
        hidden = never | persons | {LIID.encode()}
        for role in live.roles.values():
            for name in ("cmdline", "environ"):
                octets = Path(f"/proc/{role.pid}/{name}").read_bytes()
                assert not [each for each in hidden if each in octets]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in LAB_INPUTS and "lemf" not in path.parts:
            octets = path.read_bytes()
            assert not [each for each in hidden if each in octets], path


NUMBER = "zq4915550142xw"
"""Of a target: a name that nothing else has."""
NAMED = {NUMBER.encode(), *inside.base64_forms(NUMBER.encode())}
LATER = sweep.SOON_SECONDS + sweep.AGAIN_SECONDS + 4


class Ordered:
    """A site with its ADMF, under which a target of that name was intercepted, or just looked for."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, calls: bool) -> None:
        users = Users(1)
        if calls:
            users.pairs[0] = (lab.user(NUMBER, users.draw), users.pairs[0][1])
        self.live = LiveSite(folder, stack, users, tap=False)
        self.admf = AdmfSite(self.live)
        self.warrant = self.admf.warrant(f"sip:{NUMBER}@example.com", LIID)
        self.admf.approved(self.warrant)
        self.admf.act(Command.ACTIVATE, self.warrant.id)
        self.admf.until(self.warrant.id, "Active")

    def end(self) -> None:
        """For good, by two persons, and what it left has had its time to go."""
        revoked = Revocation(id=self.warrant.id, version=2, supersedes=1, reference="2 LAB 1")
        self.admf.approved(revoked)
        until(lambda: self.admf.status(self.warrant.id) == "Cancelled", "the end")
        until(lambda: self.admf.held() == [], "nothing is held")
        time.sleep(LATER)

    def seen(self, forms: set[bytes] = NAMED) -> dict[str, int]:
        processes = {name: role.pid for name, role in self.live.roles.items()} | {"admf": self.admf.role.pid}
        return {name: inside.found(pid, forms) for name, pid in processes.items()}


def test_whom_a_task_was_for_is_nowhere_when_it_has_ended(tmp_path: Path) -> None:
    """Of somebody who never called: what an order brings in is all there is of him."""
    with contextlib.ExitStack() as stack:
        site = Ordered(tmp_path, stack, calls=False)
        before = site.seen()
        assert before["poi"] and before["df"] and before["admf"], "the search finds what is there"
        site.end()
        # The book of the ADMF has the warrant, and keeps it for `keep_days`: signed octets, in base64.
        held = inside.base64_forms(NUMBER.encode())
        kept = site.seen(held)["admf"]
        assert site.seen() == {"kms": 0, "df": 0, "poi": 0, "admf": kept}


def test_a_draft_that_is_withdrawn_is_nowhere(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1), tap=False)
        admf = AdmfSite(live)
        warrant = admf.warrant(f"sip:{NUMBER}@example.com", LIID)
        admf.at("lea").draft(warrant)
        assert inside.found(admf.role.pid, NAMED)
        admf.act(Command.REVOKE, warrant.id)
        time.sleep(LATER)
        assert inside.found(admf.role.pid, NAMED) == 0


def test_of_a_target_that_has_called_the_df_keeps_nothing_and_the_poi_what_it_keeps_of_all(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        site = Ordered(tmp_path, stack, calls=True)
        call = site.live.call()
        call.wire.media_copy = stack.enter_context(site.live.site.media_node(site.warrant.targets[0].xid)).copy
        call.talk(1)
        hi3 = site.live.received(LIID, "hi3")
        until(lambda: len(hi3.look()) > 20, "content")
        call.hang_up()
        site.end()
        seen = site.seen()
        assert seen["df"] == 0
        # Hashes of header values that were seen lately, whoever sent them, are found by these values.
        other = {call.call.callee.uri.removeprefix("sip:").partition("@")[0].encode()}
        assert seen["poi"] <= site.seen(other)["poi"] + 2

"""What a site leaves of keys and of whom it is about: in its files, in what others see of its processes, in memory."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imswire import srtp
from midcall.cli import activate
from midcall.cli.lab_calls import Users
from midcall.ue import call as ue_call
from tests.midcall.live.live_site import LiveSite, until

LIID = "LIID-CANARY-1"
SETTLE_SECONDS = 3.0
"""In which idle connections end, and what they leave is collected."""
LAB_INPUTS = {"KEYS.toml", "warrant.toml"}
pytestmark = [pytest.mark.proof, pytest.mark.skipif(os.geteuid() != 0, reason="looks into other processes")]


def memory(pid: int) -> Iterator[bytes]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, rights, *_ = line.split()
        if "r" not in rights or "[v" in line:
            continue
        low, high = (int(each, 16) for each in where.split("-"))
        with contextlib.suppress(OSError), Path(f"/proc/{pid}/mem").open("rb", 0) as file:
            file.seek(low)
            yield file.read(high - low)


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
            return sum(piece.count(each) for piece in memory(live.roles[role].pid) for each in forms)

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

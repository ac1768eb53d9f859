"""midcall explain: whom it asks, what it prints, its exit statuses; and a whole site that is asked."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from midcall.base.tls_end import TlsEnd
from midcall.cli import activate
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_lemf import LabLemf
from midcall.cli.lab_site import ROLES, LabSite
from midcall.config import LiTable
from midcall.live.ladder import Fork, Reason, Rung, State, TaskLadder
from midcall.live.plane import LiPlane
from tests.midcall.cli.test_commands import midcall

XID = "00000000-0000-4000-8000-000000000009"
LIMIT = 60
GOOD = TaskLadder(XID, True, (Fork(1, (Rung("matched", State.DONE, "since now"),)),))
KEYS = Rung("keys", State.MISSING, "KMS: \x1b[31mno", Reason.KMS_REFUSED)
BAD = TaskLadder(XID, False, (Fork(1, (KEYS,)), Fork(2, (KEYS,))), "LI-1")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("poi", "df", "officer", "stranger"))
    return folder


class Planes:
    """A POI and a DF that know one call each."""

    def __init__(self, pki: Path, poi: TaskLadder, df: TaskLadder) -> None:
        self._pki = pki
        self._ladders = {"poi": poi, "df": df}
        self.urls: dict[str, str] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[Planes]:
        begun = threading.Event()

        async def serve() -> None:
            planes = [self._plane(role) for role in self._ladders]
            for role, each in zip(self._ladders, planes, strict=True):
                self.urls[role] = f"https://127.0.0.1:{(await each.start())[1]}"
            self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
            begun.set()
            await self.stop.wait()
            for each in planes:
                await each.stop()

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        begun.wait()
        try:
            yield self
        finally:
            self.loop.call_soon_threadsafe(self.stop.set)
            thread.join()

    def _plane(self, role: str) -> LiPlane:
        async def explain(call_id: str) -> tuple[TaskLadder, ...]:
            return (self._ladders[role],) if call_id == f"{role}@lab" or call_id == "both@lab" else ()

        async def stands() -> dict[str, Any]:
            return {}

        files = {name: str(self._pki / f"{role}.{kind}") for name, kind in (("certificate", "pem"), ("key", "key"))}
        table = LiTable(
            listen="127.0.0.1:0", ca=str(self._pki / "ca.pem"), peers=(uri("officer"),), burst=1_000, **files
        )
        own = tls.Identity(self._pki / f"{role}.pem", self._pki / f"{role}.key", self._pki / "ca.pem")
        return LiPlane(role, f"{role}-1", table, TlsEnd.server(own, tls.PeerName(*table.peers)), stands, explain)


def files(pki: Path, role: str = "officer") -> list[str]:
    return ["--cert", f"{pki}/{role}.pem", "--key", f"{pki}/{role}.key", "--ca", f"{pki}/ca.pem"]


@pytest.fixture(scope="module")
def planes(pki: Path) -> Iterator[Planes]:
    with Planes(pki, GOOD, BAD).running() as running:
        yield running


def options(planes: Planes, pki: Path, role: str = "officer") -> list[str]:
    return ["--poi", planes.urls["poi"], "--df", planes.urls["df"], *files(pki, role)]


def test_a_ladder_where_nothing_is_missing(planes, pki):
    done = midcall("explain", "poi@lab", "--poi", planes.urls["poi"], *files(pki))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines == [
        f"POI poi-1  {planes.urls['poi']}",
        f"  task {XID}, armed while it ran",
        "    done        matched      since now",
    ]


def test_what_is_missing_is_named(planes, pki):
    done = midcall("explain", "both@lab", *options(planes, pki))
    assert done.returncode == 4 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[3:6] == [f"DF df-1  {planes.urls['df']}", f"  task {XID}, LIID LI-1", "    fork 1"]
    assert lines[6] == r"    MISSING     keys         KMS: \x1b[31mno [kms-refused]"
    assert lines[-1] == "missing: kms-refused"


def test_a_call_that_nobody_explains(planes, pki):
    done = midcall("explain", "nobody@lab", *options(planes, pki))
    assert done.returncode == 4 and done.stdout.count("no call of this name is under a task") == 2
    done = midcall("explain", "poi@lab", *options(planes, pki))
    assert done.returncode == 0, "a POI of several knows the call, and nothing is missing there"


def test_json(planes, pki):
    done = midcall("explain", "both@lab", "--json", *options(planes, pki))
    found = json.loads(done.stdout)
    assert done.returncode == 4 and found["call_id"] == "both@lab"
    assert [each["role"] for each in found["elements"]] == ["poi", "df"]
    assert found["elements"][0]["explained"]["tasks"][0]["xid"] == XID
    assert found["missing"][0] == {"role": "df", "rung": "keys", "reason": "kms-refused", "said": KEYS.said}


def test_the_file_of_who_asks(planes, pki, tmp_path):
    path = tmp_path / "officer.toml"
    text = f'[explain]\ncertificate = "{pki}/officer.pem"\nkey = "{pki}/officer.key"\nca = "{pki}/ca.pem"\n'
    text += f'poi = ["{planes.urls["poi"]}"]\n'
    path.write_text(text)
    assert midcall("explain", "poi@lab", "--config", path).returncode == 0
    path.write_text(text + f'peers = ["{uri("poi")}"]\n')
    assert midcall("explain", "poi@lab", "--config", path).returncode == 0
    path.write_text(text + f'peers = ["{uri("df")}"]\n')
    done = midcall("explain", "poi@lab", "--config", path)
    assert done.returncode == 3 and "the peer is" in done.stderr
    path.write_text(text + 'colour = "red"\n')
    done = midcall("explain", "poi@lab", "--config", path)
    assert done.returncode == 2 and "line 6: explain: Object contains unknown field" in done.stderr
    path.write_text("[explain\n")
    done = midcall("explain", "poi@lab", "--config", path)
    assert done.returncode == 2 and "line 1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a@lab"], "nobody to ask"),
        (["a@lab", "--poi", "http://127.0.0.1:1"], "without a path"),
        (["a@lab", "--poi", "https://127.0.0.1:1/li"], "without a path"),
        (["a@lab", "--poi", "https://127.0.0.1:1"], "--cert is missing"),
        (["", "--poi", "https://127.0.0.1:1"], "CALL-ID"),
        (["x" * 2_000, "--poi", "https://127.0.0.1:1"], "CALL-ID"),
        (["\udcff", "--poi", "https://127.0.0.1:1"], "CALL-ID"),
    ],
)
def test_usage(arguments, said):
    done = midcall("explain", *arguments)
    assert done.returncode == 2 and said in done.stderr


def test_who_does_not_answer(planes, pki):
    nobody = ["--df", "https://127.0.0.1:1"]
    done = midcall("explain", "poi@lab", *nobody, *files(pki))
    assert done.returncode == 3 and "https://127.0.0.1:1 cannot be asked: Connection refused" in done.stderr
    done = midcall("explain", "poi@lab", "--poi", planes.urls["poi"], *nobody, *files(pki))
    assert done.returncode == 4 and "matched" in done.stdout
    done = midcall("explain", "poi@lab", *options(planes, pki, "stranger"))
    assert done.returncode == 3 and done.stderr.count("may not know this certificate") == 2


# A whole site


def until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
        time.sleep(0.1)


class AskedSite(LabSite):
    """A site whose roles have LI planes."""

    def open_planes(self) -> None:
        LabPki(self.pki).make(("officer",))
        for role in ("poi", "df"):
            path = self.folder / f"{role}.toml"
            table = f'[{role}.li]\nlisten = "127.0.0.1:{self._free()}"\npeers = ["{uri("officer")}"]\nburst = 1000\n'
            table += f'certificate = "{self.pki}/{role}.pem"\nkey = "{role}.key"\nca = "{self.pki}/ca.pem"\n'
            path.write_text(path.read_text() + table)

    @staticmethod
    def _free() -> int:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            return int(bound.getsockname()[1])

    def explain(self, role: str, call_id: str) -> tuple[int, dict[str, Any]]:
        path = self.folder / f"{role}.toml"
        done = midcall("explain", call_id, "--json", "--config", path, *files(self.pki))
        assert done.stderr == ""
        (found,) = json.loads(done.stdout)["elements"]
        return done.returncode, found["explained"]

    def stands(self, role: str) -> dict[str, Any]:
        own = tls.Identity(self.pki / "officer.pem", self.pki / "officer.key", self.pki / "ca.pem")
        context = tls.client_context(own)
        listen = tomllib.loads((self.folder / f"{role}.toml").read_text())[role]["li"]["listen"]
        connection = http.client.HTTPSConnection(listen, context=context, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request("GET", "/li/v1/status")
            answer = connection.getresponse()
            assert answer.status == 200
            found: dict[str, Any] = json.loads(answer.read())
            return found


def rungs(explained: dict[str, Any]) -> dict[str, dict[str, Any]]:
    ((fork,),) = [task["forks"] for task in explained["tasks"]]
    return {each["name"]: each for each in fork["rungs"]}


@pytest.mark.proof
def test_a_site_says_how_it_stands_and_why_a_call_has_no_content(tmp_path):
    """Without a tap: keys are found, and no media come."""
    users = Users(1)
    (tmp_path / "KEYS.toml").write_text(users.key_file())
    site = AskedSite(tmp_path / "site", tmp_path / "pki", tmp_path / "KEYS.toml", tap=False)
    site.open_planes()
    with contextlib.ExitStack() as stack:
        lemf = stack.enter_context(LabLemf(tmp_path / "lemf", tmp_path / "pki", lambda _: None))
        roles = [stack.enter_context(site.role(name)) for name in ROLES]
        for role in roles:
            role.wait()
        agent = stack.enter_context(contextlib.closing(HepAgent(site.hep, site.agent)))
        call = LiveCall(0, users.pairs[0], site.kms(), agent, threading.Event())
        stack.callback(call.close)
        call.connect()
        call_id = call.call.call_id
        until(lambda: site.stands("poi")["calls"] == 1, "the call in the cache")
        assert [site.explain(role, call_id) for role in ("poi", "df")] == [(4, None), (4, None)]
        assert site.stands("poi")["tasks"] == site.stands("df")["tasks"] == []

        path, warrant = site.draft(call.call.caller.uri, "LI-1", lemf.address)
        site.approve(path)
        order = site.order(path)
        assert asyncio.run(activate.begin(order)) == 0

        def keyed() -> bool:
            found = site.explain("df", call_id)[1]
            return found is not None and rungs(found)["keys"]["state"] == "done"

        until(keyed, "the keys")
        until(lambda: site.stands("df")["intercepts"][0]["completeness"][0]["delivered"] == 1, "its event delivered")
        status, found = site.explain("poi", call_id)
        assert status == 0 and {each["state"] for each in rungs(found).values()} == {"done"}
        status, found = site.explain("df", call_id)
        assert status == 4 and found["tasks"][0]["liid"] == "LI-1"
        assert {name: each.get("reason", each["state"]) for name, each in rungs(found).items()} == {
            "events": "done",
            "session": "done",
            "keys": "done",
            "armed": "no-tap",
            "packets": "no-packets",
            "handed over": "done",
        }
        assert rungs(found)["handed over"]["counts"]["hi2_delivered"] == 1

        poi, df = site.stands("poi"), site.stands("df")
        (target,) = warrant.targets
        for each in (poi, df):
            (task,) = each["tasks"]
            assert (task["xid"], task["state"]) == (target.xid, "armed") and task["start"] and task["end"]
            assert each["admf_heard"] and all(link["is_up"] and not link["fault"] for link in each["links"])
        assert df["tasks"][0]["liids"] == ["LI-1"] and df["tap"] is None and df["kms"] == {"attempts": 1, "open": 0}
        assert poi["x2"]["up"] and poi["x2"]["counters"]["kept"] >= 2
        (equation,) = [each["completeness"] for each in df["intercepts"]]
        assert [each["interface"] for each in equation] == ["hi2", "hi3", "hi1"] and all(
            each["holds"] for each in equation
        )
        nothing = {"pdus": 0, "octets": 0, "oldest_seconds": None}
        until(
            lambda: site.stands("df")["destinations"][0]["backlog"]["hi2"] == nothing, "the check of the event proved"
        )
        assert "alice" not in json.dumps([poi, df]) and "bob" not in json.dumps([poi, df])

        assert asyncio.run(activate.end(order)) == 0
        assert [site.explain(role, call_id) for role in ("poi", "df")] == [(4, None), (4, None)]
    assert [role.status for role in roles] == [0, 0, 0]
    for name in ("poi", "df"):
        log = site.li_log(name).read_text()
        assert '"explained"' in log and '"not explained"' in log and call_id not in log and "alice" not in log

"""midcall warrant activate and revoke against elements on loopback: their order, their answers, their failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from midcall.base.x1_element import Armed, DestinationGone, DestinationSet, Disarmed, Follow
from tests.midcall import warrants
from tests.midcall.base.x1_element import lab
from tests.midcall.base.x1_element.lab import Place
from tests.midcall.base.x1_element.world import OTHER_XID, XID, signed
from tests.midcall.cli.test_commands import midcall

IMEI = "urn:gsma:imei:35123456-789012-0"
TARGETS = [
    {"liid": "LI-1", "xid": XID, "identity": "sip:alice@example.com"},
    {"liid": "LI-2", "xid": OTHER_XID, "identity": "tel:+4930123"},
    {"liid": "LI-3", "xid": "0a000000-0000-4000-8000-000000000003", "identity": IMEI},
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.pki(tmp_path_factory.mktemp("pki"))


class Lab:
    """A POI and a DF; ``told`` is what both were told, in its order."""

    def __init__(self, folder: Path, files: Path) -> None:
        self.files = files
        self.told: list[tuple[str, Follow]] = []
        self.poi = Place(folder / "poi", files)
        self.df = Place(folder / "df", files, role="df", ne="df", element="df2-1")
        for each in (self.poi, self.df):
            each.follow = lambda told, name=each.settings.ne: self.told.append((name, told))  # type: ignore[method-assign,misc]
        self.warrant = folder / "W.json"
        self.warrant.write_bytes(signed(targets=TARGETS))

    @contextmanager
    def running(self) -> Iterator[None]:
        begun = threading.Event()

        async def serve() -> None:
            services = [each.service() for each in (self.poi, self.df)]
            self.ports = [(await each.start())[1] for each in services]
            self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
            begun.set()
            await self.stop.wait()
            for each in services:
                await each.stop()

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        begun.wait()
        try:
            yield
        finally:
            self.loop.call_soon_threadsafe(self.stop.set)
            thread.join()

    def options(self, **changed: str) -> list[str]:
        poi, df = (f"https://127.0.0.1:{port}" for port in self.ports)
        given = {"admf": "admf", "cert": f"{self.files}/admf.pem", "key": f"{self.files}/admf.key"} | changed
        given = {"ca": f"{self.files}/ca.pem", "x2": "127.0.0.1:9992"} | given
        named = [word for name, value in given.items() if value for word in (f"--{name}", value)]
        elements = ["--element", poi, "--neid", "poi", "--role", "poi", "--element", df, "--neid", "df", "--role", "df"]
        return [str(self.warrant), *elements, *named]

    def kinds(self) -> list[tuple[str, type]]:
        return [(name, type(each)) for name, each in self.told]


@pytest.fixture
def place(tmp_path: Path, files: Path) -> Lab:
    return Lab(tmp_path, files)


def test_the_mediation_function_first_and_the_points_of_interception_last(place: Lab) -> None:
    with place.running():
        done = midcall("warrant", "activate", *place.options())
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["df"] * 4 + ["poi"] * 4
        assert all(line.endswith(": done") for line in done.stdout.splitlines())
        tasks = [("df", Armed)] * 3, [("poi", Armed)] * 3
        assert place.kinds() == [("df", DestinationSet), *tasks[0], ("poi", DestinationSet), *tasks[1]]
        armed = [each.order.task.targets[0] for _, each in place.told if isinstance(each, Armed)]
        assert armed == ["sip:alice@example.com", "tel:+4930123", IMEI] * 2
        again = midcall("warrant", "activate", *place.options())
        assert again.returncode == 0 and again.stdout.count("is there already") == 8
        place.told.clear()
        ended = midcall("warrant", "revoke", *place.options())
        assert (ended.returncode, ended.stderr) == (0, "")
        gone = [("poi", Disarmed)] * 3, [("df", Disarmed)] * 3
        assert place.kinds() == [*gone[0], ("poi", DestinationGone), *gone[1], ("df", DestinationGone)]
        again = midcall("warrant", "revoke", *place.options())
        assert again.returncode == 0 and again.stdout.count("was not there") == 8


def test_what_an_element_refuses_is_said_and_nothing_more_is_asked(place: Lab) -> None:
    place.warrant.write_bytes(signed(warrants.ANN, targets=TARGETS))
    with place.running():
        done = midcall("warrant", "activate", *place.options())
    assert done.returncode == 4 and "refused: 3000" in done.stderr and "approvals" in done.stderr
    assert place.kinds() == [("df", DestinationSet)]
    assert "alice" not in done.stderr + done.stdout


def test_revoking_goes_on_where_one_cannot_be_reached(place: Lab) -> None:
    with place.running():
        midcall("warrant", "activate", *place.options())
        place.told.clear()
        options = place.options()
        options[2] = "https://127.0.0.1:1"
        done = midcall("warrant", "revoke", *options)
        assert done.returncode == 4 and "not done" in done.stderr
        assert place.kinds()[:3] == [("df", Disarmed)] * 3


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"admf": "admf-2"}, 2), ({"x2": ""}, 2), ({"cert": "none.pem"}, 2), ({"ca": "none.pem"}, 2)],
)
def test_what_is_wrong_is_said_before_anybody_is_asked(place: Lab, changed: dict[str, str], status: int) -> None:
    place.ports = [1, 1]
    done = midcall("warrant", "activate", *place.options(**changed))
    assert done.returncode == status and len(done.stderr.splitlines()) == 1


def test_files_and_elements_that_are_none(place: Lab) -> None:
    place.ports = [1, 1]
    assert midcall("warrant", "activate", *place.options()[:-2]).returncode == 2
    options = place.options()
    for changed in (
        [*options, "--role", "poi"],
        ["none.json", *options[1:]],
        [*options[:2], "http://a:1", *options[3:]],
    ):
        assert midcall("warrant", "revoke", *changed).returncode in (2, 3)
    place.warrant.write_bytes(warrants.signed(warrants.revocation(2)))
    assert midcall("warrant", "revoke", *options).returncode == 2
    place.warrant.write_bytes(b"no warrant")
    assert midcall("warrant", "revoke", *options).returncode == 3

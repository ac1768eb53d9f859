"""Product of a task that is over: its data key goes when its time has passed, and never one that is still wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from imswire import hi
from midcall.base.seal import SealKey
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyGone, KeyStore
from midcall.handover.shell.retention import LOOK_NS
from midcall.handover.shell.spool import Spool
from tests.midcall.handover.test_spool import SMALL, Site
from tests.midcall.handover.world import NO_INTEGRITY, SECOND, T0, cc, intercept, iri, keys, streams, unavailable

HOUR = 3_600


class Place:
    """A spool whose tasks end; ``gone`` are LIIDs whose key was destroyed, and whether they had been delivered."""

    def __init__(self, folder: Path, **times: float) -> None:
        self.folder = folder
        self.keys = keys(folder / "keys")
        self.gone: list[tuple[str, bool]] = []
        self.lost: list[object] = []
        self.settings = replace(SMALL, retry_seconds=0.0, **times)
        self.now = T0
        self.spool = self.open()

    def open(self) -> Spool:
        return Spool(
            self.folder / "spool", "lemf", self.keys, (), unavailable, self.now, settings=self.settings,
            integrity=NO_INTEGRITY, destroyed=lambda liid, delivered: self.gone.append((liid, delivered)),
        )  # fmt: skip

    def pass_(self, nanoseconds: int) -> None:
        """Time goes by, with an idle writer's upkeep at its end."""
        self.now += nanoseconds
        assert self.spool.write_cc([], self.now)

    def task(self, liid: str) -> None:
        self.spool.add(intercept(liid))
        assert self.spool.write_iri([iri(0, liid=liid)], self.now)
        assert self.spool.write_cc(cc(streams(liid)[0], 50), self.now)

    def end(self, liid: str) -> None:
        assert self.spool.end(liid, self.now)
        self.spool.release(liid)

    read = Site.read

    def close(self) -> None:
        self.spool.close()
        self.keys.close()


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(tmp_path, **getattr(request, "param", {}))
    yield made
    made.close()


def test_what_is_delivered_goes_with_its_key_and_what_is_ordered_stays(place: Place) -> None:
    place.task("A")
    place.task("B")
    handle = place.keys.handle("A")
    place.end("A")
    for _ in range(5):
        place.pass_(LOOK_NS)
    assert place.gone == [], "nothing is delivered yet"
    assert place.read().count(hi.PayloadTag.CC, b"A") == 50
    for _ in range(3):
        place.pass_(LOOK_NS)
    assert place.gone == [("A", True)]
    other = KeyStore(place.folder / "keys" / "keys.db", SealKey(bytes(range(32))))
    with pytest.raises(KeyGone):
        other.key(handle)
    assert [liid for _, liid, _ in other.all()] == ["B"]
    other.close()
    place.task("A")
    assert place.keys.handle("A") != handle, "ordered anew it has a new one"
    for _ in range(5):
        place.pass_(LOOK_NS)
    assert place.read().count(hi.PayloadTag.CC, b"A") == 50 and place.gone == [("A", True)]


@pytest.mark.parametrize("place", [{"retain_seconds": HOUR}], indirect=True)
def test_it_is_kept_for_the_time_that_is_set_over_restarts_too(place: Place) -> None:
    place.task("A")
    place.end("A")
    place.read()
    place.pass_(LOOK_NS)
    place.pass_((HOUR - 20) * SECOND)
    place.spool.close()
    place.spool = place.open()
    place.pass_(LOOK_NS)
    assert place.gone == []
    place.pass_(2 * LOOK_NS)
    assert place.gone == [("A", True)]


@pytest.mark.parametrize("place", [{"backlog_seconds": HOUR}], indirect=True)
def test_what_cannot_be_delivered_goes_when_its_time_has_passed(place: Place) -> None:
    place.task("A")
    place.task("B")
    place.end("A")
    place.pass_(LOOK_NS)
    place.pass_(HOUR * SECOND - LOOK_NS)
    assert place.gone == []
    place.pass_(2 * LOOK_NS)
    assert place.gone == [("A", False)]
    ledger = place.read()
    assert ledger.count(hi.PayloadTag.CC, b"A") == 0 and ledger.count(hi.PayloadTag.CC, b"B") == 50


def test_a_key_of_another_master_stays(place: Place) -> None:
    foreign = KeyStore(place.folder / "keys" / "keys.db", SealKey(bytes(32)))
    foreign.handle("C")
    foreign.close()
    for _ in range(5):
        place.pass_(LOOK_NS)
    assert place.gone == []
    again = KeyStore(place.folder / "keys" / "keys.db", SealKey(bytes(32)))
    assert [liid for _, liid, _ in again.all()] == ["C"]
    again.close()


def test_one_that_is_ordered_again_in_time_is_not_over(place: Place) -> None:
    place.task("A")
    place.end("A")
    place.read()
    place.pass_(LOOK_NS)
    place.task("A")
    for _ in range(5):
        place.pass_(LOOK_NS)
    assert place.gone == []
    assert Folder(place.folder / "spool").events.exists()

"""Traces: cut, damaged, full, of runs that part; where and when a recording may begin."""

from __future__ import annotations

import asyncio
import io
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from midcall.base.frame import Frame, RoleError
from midcall.base.metrics import Metrics
from midcall.config import Integrity
from midcall.events import Instant, KeyAnswer, SipSeen
from midcall.live import recording, trace
from midcall.live.trace import TraceError, TraceReader, TraceWriter
from tests.midcall.live.recorded import (
    DF_BEGUN,
    DID,
    POI_BEGUN,
    Site,
    again,
    datagrams,
    one_call,
    records,
    thirds,
    written,
)

# Traces that are not as they should be


@pytest.fixture
def recorded(tmp_path) -> Path:
    """A folder with the traces of one call."""
    world = one_call(1)
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.say(before)
        site.activate()
        await site.settle()
        for each in rest:
            site.say(each)
            await site.settle()
        await site.deactivate()
        await site.stop()

    asyncio.run(run())
    return tmp_path


def places(path: Path) -> list[int]:
    """Where each record behind the first begins."""
    with path.open("rb") as file:
        reader = TraceReader(file)
        return [reader.at for _ in reader]


def assert_begins_the_same(folder: Path) -> None:
    for name in ("hi2.ber", "hi3.ber"):
        found = folder / "again" / DID / name
        if found.exists():
            assert (folder / "live" / name).read_bytes().startswith(found.read_bytes())


@pytest.mark.parametrize("cut", [1, 7, 23, 24, 30])
def test_a_trace_that_is_cut_is_replayed_up_to_there(recorded, cut):
    octets = (recorded / "df.trace").read_bytes()
    at = places(recorded / "df.trace")[-5]
    (recorded / "df.trace").write_bytes(octets[: at + cut])
    found = again(recorded / "df.trace", recorded / "again")
    assert len(found.errors) == 1 and found.errors[0].startswith(f"octet {at}: the trace is cut")
    assert (recorded / "again" / DID / "hi3.ber").stat().st_size > 0
    assert_begins_the_same(recorded)


def test_a_trace_that_ends_between_two_records_is_none_that_is_cut(recorded):
    octets = (recorded / "df.trace").read_bytes()
    committed = [
        at for at, each in zip(places(recorded / "df.trace"), records(recorded / "df.trace"), strict=True)
        if isinstance(each, trace.Committed)
    ]  # fmt: skip
    (recorded / "df.trace").write_bytes(octets[: committed[-1]])
    assert again(recorded / "df.trace", recorded / "again").errors == []
    assert_begins_the_same(recorded)


@pytest.mark.parametrize("offset", [4, 8, 16, 24, 30])
def test_a_flipped_bit_is_found_and_placed(recorded, offset):
    octets = bytearray((recorded / "df.trace").read_bytes())
    at = places(recorded / "df.trace")[10]
    octets[at + offset] ^= 1
    (recorded / "df.trace").write_bytes(octets)
    found = again(recorded / "df.trace", recorded / "again")
    assert found.errors == [f"octet {at}: the trace is damaged: a record has not the CRC that it says"]
    assert found.records == 11
    assert_begins_the_same(recorded)


def test_a_size_beyond_all_bounds_is_not_believed(recorded):
    octets = bytearray((recorded / "df.trace").read_bytes())
    at = places(recorded / "df.trace")[3]
    octets[at : at + 4] = b"\xff\xff\xff\xff"
    (recorded / "df.trace").write_bytes(octets)
    (error,) = again(recorded / "df.trace", recorded / "again").errors
    assert error.startswith(f"octet {at}: the trace is damaged")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "octet 0: not 'midcall trace 1'"),
        (trace.MAGIC[:-2] + b"2\n", "octet 0: not 'midcall trace 1'"),
        (trace.MAGIC, "octet 16: the record that says whose"),
    ],
)
def test_no_trace_at_all(octets, reason):
    with pytest.raises(TraceError, match=reason):
        TraceReader(io.BytesIO(octets))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (trace.Woken(), "an alarm that nobody has set"),
        (trace.Told(Instant(1, 1)), "Told is no input of a DF"),
        (trace.Seen(SipSeen(b"", "", "", Instant(1, 1))), "Seen is no input of a DF"),
        (trace.Answered(KeyAnswer(7, ())), "an answer of the KMS to what nobody has asked"),
        (trace.Committed(DID, 1, 1, 0, (), True), "the live run wrote 1 events and 0 packets, of which 0 and 0 came"),
        (trace.Committed(DID, 1, 0, 0, (), False), "did not take everything"),
        (trace.Committed("../lemf", 1, 0, 0, (), True), "a name that is no folder's"),
        (trace.Taken("poi", [b"x"]), "no X2 or X3 PDUs"),
        (trace.Taken("poi", [], [], [(0, 1, 1, b"")]), "no X2 or X3 PDUs"),
        (trace.Full(), "the trace was full"),
    ],
)
def test_where_the_runs_part_is_said(tmp_path, record, reason):
    path = written(tmp_path / "df.trace", record)
    (error,) = again(path, tmp_path / "again").errors
    assert reason in error
    assert not (tmp_path / "lemf").exists()


def test_a_clock_that_was_not_asked(recorded):
    """Records are left out as a fault of a later version would."""
    kept = [each for each in records(recorded / "df.trace") if not isinstance(each, trace.Told)]
    (error,) = again(written(recorded / "other.trace", *kept), recorded / "again").errors
    assert "asks for the time where it did not" in error


@pytest.mark.parametrize("role", ["poi", "df"])
def test_another_trace_behind_the_first(tmp_path, role):
    begun = POI_BEGUN if role == "poi" else DF_BEGUN
    (error,) = again(written(tmp_path / "trace", DF_BEGUN, begun=begun), tmp_path / "again").errors
    assert "another trace begins here" in error


def test_a_poi_that_makes_other_x2_is_found_out(recorded):
    kept = list(records(recorded / "poi.trace"))
    place = next(place for place, each in enumerate(kept) if isinstance(each, trace.Sent))
    kept[place] = trace.Sent([b"something else"])
    (error,) = again(written(recorded / "other.trace", *kept, begun=POI_BEGUN), recorded / "again").errors
    assert "other X2 than it made" in error


# Bounds


def test_a_recording_ends_at_its_bound_and_the_service_goes_on(tmp_path):
    world = one_call(1)
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world, most=20_000)
        site.say(before)
        site.activate()
        await site.settle()
        for each in rest:
            site.say(each)
            await site.settle()
        await site.stop()
        assert site.told == ["the recording ends here: it has reached its bound"]

    asyncio.run(run())
    assert (tmp_path / "df.trace").stat().st_size <= 20_000
    found = again(tmp_path / "df.trace", tmp_path / "again")
    assert any("the trace was full" in each for each in found.errors)
    assert_begins_the_same(tmp_path)


def test_a_full_disk_ends_the_recording_alone(tmp_path):
    told: list[str] = []
    into = TraceWriter(tmp_path / "trace", DF_BEGUN, told.append)
    into._file.close()  # type: ignore[union-attr]
    with Path("/dev/full").open("wb") as full:
        into._file = full
        into.write(trace.Woken())
        into.write(trace.Woken())
    assert told == ["the recording ends here: No space left on device"]


def test_content_that_the_disk_did_not_take_ends_the_replay(tmp_path):
    world = one_call(1)
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.say(before)
        site.activate()
        await site.settle()
        site.spool.room = False
        for each in rest:
            site.say(each)
        await site.stop()

    asyncio.run(run())
    (error,) = again(tmp_path / "df.trace", tmp_path / "again").errors
    assert "the disk of the live run did not take everything" in error


# Roles


def frame(record: Path | None) -> Frame:
    return Frame("df", 1, Metrics(), lambda: None, record)


class Config:
    """What of the table [df] a recording looks at."""

    integrity = Integrity()
    x2 = SimpleNamespace(foreign=("urn:other",))

    def __init__(self, spool: Path) -> None:
        spool.mkdir()
        self.spool = str(spool)


def test_a_recording_begins_with_an_empty_spool(tmp_path):
    config = Config(tmp_path / "spool")
    (tmp_path / "spool" / "cins").write_text("100001")
    inputs = recording.df_inputs(frame(tmp_path / "trace"), config, 100_001)  # type: ignore[arg-type]
    inputs.close()
    with (tmp_path / "trace").open("rb") as file:
        assert TraceReader(file).begun == trace.DfBegun(trace_version(), 100_001, Integrity(), ("urn:other",))
    (tmp_path / "spool" / "intercepts.db").touch()
    with pytest.raises(RoleError, match="an empty spool"):
        recording.df_inputs(frame(tmp_path / "trace"), config, 1)  # type: ignore[arg-type]
    inputs = recording.df_inputs(frame(None), config, 1)  # type: ignore[arg-type]
    assert type(inputs) is recording.DfInputs
    inputs.close()


def trace_version() -> str:
    from midcall import __version__

    return __version__


def test_a_recording_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(RoleError, match="--record: .*folder"):
        recording.df_inputs(frame(tmp_path / "folder"), Config(tmp_path / "spool"), 1)  # type: ignore[arg-type]


def test_a_recording_is_said_to_be_one(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        recording.df_inputs(frame(tmp_path / "trace"), Config(tmp_path / "spool"), 1).close()  # type: ignore[arg-type]
    assert "for laboratories" in caplog.text


def test_keys_do_not_show(recorded):
    shown = [repr(each) for each in records(recorded / "df.trace") if isinstance(each, trace.Answered)]
    assert shown == ["Answered(1, <redacted>)"]

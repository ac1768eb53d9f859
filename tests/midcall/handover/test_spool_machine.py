"""Any order of writing, sending, crashing and time: every record once, in order, none lost (Hypothesis)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from imswire import hi
from midcall.handover import Lost
from midcall.handover.rows import split
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.reader import Item, Reader
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.status import completeness
from midcall.handover.values import INTERFACES, Interface
from tests.midcall.handover.conftest import in_memory
from tests.midcall.handover.ledger import Ledger
from tests.midcall.handover.world import SECOND, T0, cc, intercept, iri, keys, streams, unavailable

SETTINGS = SpoolSettings(segment_octets=100_000, reserve_octets=0, retry_seconds=0.0, idle_seconds=20.0)
CALLS = (1, 2)


class SpoolAndCursor(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="midcall-", dir=in_memory()))
        self.life = 0
        self.now = T0
        self.ledger = Ledger()
        self.key = 0
        self.content = dict.fromkeys(CALLS, 0)
        self.streams = {cin: streams(cin=cin)[0] for cin in CALLS}
        self.sent: dict[Interface, list[Item]] = {each: [] for each in INTERFACES}

    @initialize(same_process=st.booleans())
    def begin(self, same_process: bool) -> None:
        """``same_process``: the sender has what is written from memory, where it can."""
        self.same_process = same_process
        self.open()

    @property
    def folder(self) -> Path:
        return self.root / str(self.life)

    def open(self) -> None:
        self.keys = keys(self.folder / "keys")
        self.spool = Spool(
            self.folder / "spool", "lemf", self.keys, [intercept()], unavailable, self.now, settings=SETTINGS
        )
        self.cursor = Cursor(Folder(self.folder / "spool").cursor)
        where = Folder(self.folder / "spool")
        tails = self.spool.files.tails if self.same_process else {}
        self.readers = {
            each: Reader(where, each, self.keys, self.cursor, self.lost, tails.get(each)) for each in INTERFACES
        }
        self.sent = {each: [] for each in INTERFACES}

    def lost(self, lost: Lost) -> None:
        raise AssertionError(f"lost: {lost}")

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()
        self.cursor.close()
        self.spool.close()
        self.keys.close()

    @rule(count=st.integers(1, 5), again=st.booleans())
    def write_events(self, count: int, again: bool) -> None:
        first = max(self.key - 2, 0) if again else self.key
        assert self.spool.write_iri([iri(n) for n in range(first, self.key + count)], self.now)
        self.key += count

    @rule(cin=st.sampled_from(CALLS), count=st.integers(1, 300))
    def write_content(self, cin: int, count: int) -> None:
        assert self.spool.write_cc(cc(self.streams[cin], count, self.content[cin]), self.now)
        self.content[cin] += count

    @rule(seconds=st.sampled_from([0, 1, 2, 30, -5]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND
        assert self.spool.write_iri([], self.now)
        assert self.spool.write_cc([], self.now)

    @rule(interface=st.sampled_from(INTERFACES), octets=st.integers(1, 200_000))
    def send(self, interface: Interface, octets: int) -> None:
        items = self.readers[interface].read(octets)
        for item in items:
            self.ledger.take(split(item.octets, item.pdus))
        self.sent[interface] += items

    @rule(interface=st.sampled_from(INTERFACES), share=st.floats(0, 1))
    def prove(self, interface: Interface, share: float) -> None:
        count = round(len(self.sent[interface]) * share)
        items, self.sent[interface] = self.sent[interface][:count], self.sent[interface][count:]
        for item in items:
            self.cursor.settle({interface: item.row}, [(tag, interface, n) for tag, n in item.seen], item.counts)

    @rule(interface=st.sampled_from(INTERFACES))
    def lose_the_connection(self, interface: Interface) -> None:
        self.readers[interface].rewind()
        self.sent[interface] = []

    @rule()
    def crash(self) -> None:
        """What stands on the disk at this moment is all there is."""
        before = self.folder
        self.life += 1
        shutil.copytree(before, self.folder, ignore=shutil.ignore_patterns("bell", "*-shm"))
        self.close()
        shutil.rmtree(before)
        self.open()

    @invariant()
    def nothing_is_doubled_and_nothing_skipped(self) -> None:
        assert (self.ledger.doubled, self.ledger.gaps, self.ledger.unproved) == ([], [], 0)

    def teardown(self) -> None:
        self.spool.end("LAB-1", self.now)
        for interface in INTERFACES:
            self.lose_the_connection(interface)
            while (before := self.readers[interface].after) is not None:
                self.send(interface, 1 << 20)
                self.prove(interface, 1.0)
                if self.readers[interface].after == before:
                    break
        try:
            self.ledger.assert_whole()
            assert self.ledger.count(hi.PayloadTag.IRI) == self.key
            assert self.ledger.count(hi.PayloadTag.CC) == sum(self.content.values())
            for found in completeness(Folder(self.folder / "spool"), self.keys, "LAB-1"):
                assert found.holds
                assert found.queued == 0
                assert found.refused == {}
            checked = {DATA[check.data]: 0 for _, check in self.ledger.checks}
            for _, check in self.ledger.checks:
                checked[DATA[check.data]] += len(check.numbers)
            assert checked.get("iri", 0) == self.key, "every event is covered by one hash"
            assert checked.get("cc", 0) == sum(self.content.values())
        finally:
            self.close()
            shutil.rmtree(self.root)


DATA = {int(hi.DataType.IRI): "iri", int(hi.DataType.CC): "cc", None: "none"}
long = bool(os.environ.get("MIDCALL_PROOF"))
TestSpoolAndCursor = SpoolAndCursor.TestCase
TestSpoolAndCursor.settings = settings(
    max_examples=500 if long else 15, stateful_step_count=40 if long else 15, deadline=None
)

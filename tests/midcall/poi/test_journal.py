"""The durable ticket cache: a restart in the middle of calls loses no ticket, and what is removed is gone."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing

import pytest
from msgspec import structs

from imswire import pcap
from midcall.base.capture import FrameSorter
from midcall.base.seal import SealKey
from midcall.events import Instant, SessionReport, SipSeen, StartOfInterception, Task
from midcall.poi import PointOfInterception
from midcall.poi.shell import journal as j
from midcall.poi.shell.journal import SipJournal
from midcall.ue import lab
from tests.scenarios.world import BEGIN, World

ALICE = Task("x", ("sip:alice@example.com",))


def seen(world: World) -> list[SipSeen]:
    """The SIP messages on the wire."""
    sorter, found = FrameSorter(1), []
    for batch in pcap.Reader(io.BytesIO(lab.write_capture(world.wire)).read).batches():
        for number, (time, frame, _) in enumerate(batch):
            found += [each for each in sorter.sort(time, frame, number + 1) if isinstance(each, SipSeen)]
    return found


def poi(journal: SipJournal | None = None, **options) -> PointOfInterception:
    return PointOfInterception(bytes(32), bytes(32), journal=journal, **options)


@pytest.fixture
def master():
    return SealKey(bytes(range(32)))


def established(count: int = 1) -> World:
    world = World()
    for number in range(count):
        call = world.call(call_id=f"call-{number}@lab")
        call.establish(world.held())
    return world


def reports(events):
    return [each for each in events if isinstance(each, SessionReport)]


def restarted(path, master, now: Instant, **options):
    journal = SipJournal(path, master)
    cache = poi(journal, **options)
    events = []
    for number, messages in journal.calls(now):
        call, found = cache.recall(messages, now)
        journal.adopt(number, call, messages)
        events += found
    return journal, cache, events


def test_a_restart_in_the_middle_of_a_call_keeps_its_tickets(tmp_path, master):
    messages = seen(established())
    journal = SipJournal(tmp_path / "cache.db", master)
    first = poi(journal)
    for place, message in enumerate(messages):
        first.sip_seen(structs.replace(message, authenticated=place > 0))
    now = Instant(BEGIN + 5_000_000_000, 77)
    expected = reports(first.arm(ALICE, now))
    journal.close()
    again, second, _ = restarted(tmp_path / "cache.db", master, now)
    (found,) = reports(second.arm(ALICE, now))
    assert found.exchanges == tuple(
        type(e)(e.media, e.initiator, *(_moved(k, now) for k in (e.init, e.response)), e.updates)
        for e in expected[0].exchanges
    )
    assert found.offer.octets == expected[0].offer.octets and found.target == expected[0].target
    assert (found.offer.authenticated, found.answer.authenticated) == (False, True)
    again.close()


def test_who_a_proxy_asserts_is_known_after_a_restart(tmp_path, master):
    """And what the message asserts in vain counts for no more than before it."""
    messages = seen(established())
    claim = b"P-Asserted-Identity: <sip:carol@example.com>\r\nCall-ID:"
    claiming = structs.replace(messages[0], octets=messages[0].octets.replace(b"Call-ID:", claim), asserted="sip:dan@x")
    journal = SipJournal(tmp_path / "cache.db", master)
    first = poi(journal)
    for message in (claiming, *messages[1:]):
        first.sip_seen(message)
    journal.close()
    now = Instant(BEGIN + 5_000_000_000, 77)
    again, second, _ = restarted(tmp_path / "cache.db", master, now)
    for cache in (first, second):
        for target, found in (("sip:carol@example.com", 0), ("sip:dan@x", 1)):
            assert len(reports(cache.arm(structs.replace(ALICE, xid=target, targets=(target,)), now))) == found
    again.close()


def _moved(kept, now):
    return type(kept)(kept.octets, Instant(kept.at.wall, now.mono - (now.wall - kept.at.wall)), kept.frame)


def test_tasks_armed_before_the_cache_is_back_find_its_calls(tmp_path, master):
    journal = SipJournal(tmp_path / "cache.db", master)
    first = poi(journal)
    for message in seen(established()):
        first.sip_seen(message)
    journal.close()
    now = Instant(BEGIN + 5_000_000_000, 5_000_000_000)
    journal, cache = SipJournal(tmp_path / "cache.db", master), poi()
    assert cache.arm(ALICE, now) == []
    ((number, messages),) = journal.calls(now)
    call, events = cache.recall(messages, now)
    assert call is not None and number == 1
    assert [type(each) for each in events] == [StartOfInterception, SessionReport]
    journal.close()


def test_an_ended_call_leaves_nothing(tmp_path, master):
    world = World()
    call = world.call()
    call.establish(world.held())
    call.hang_up()
    journal = SipJournal(tmp_path / "cache.db", master)
    cache = poi(journal)
    for message in seen(world):
        cache.sip_seen(message)
        journal.flush()
    journal.flush()
    assert list(journal.calls(Instant(BEGIN, 0))) == []
    journal.close()
    assert b"example.com" not in (tmp_path / "cache.db").read_bytes()


def test_what_is_on_the_disk_tells_nothing_and_opens_for_nobody_else(tmp_path, master):
    messages = seen(established())
    journal = SipJournal(tmp_path / "cache.db", master)
    cache = poi(journal)
    for message in messages:
        cache.sip_seen(message)
    journal.close()
    for path in tmp_path.iterdir():
        assert b"alice" not in path.read_bytes() and b"mikey" not in path.read_bytes()
    stranger, _, _ = restarted(tmp_path / "cache.db", SealKey(bytes(32)), Instant(BEGIN, 0))
    assert stranger.lost > 0
    stranger.close()


def test_rotation_keeps_live_rows_and_destroys_the_old_keys(tmp_path, master, monkeypatch):
    monkeypatch.setattr(j, "ROTATED_TOGETHER", 3)
    path = tmp_path / "cache.db"
    journal = SipJournal(path, master)
    cache = poi(journal)
    for message in seen(established(3)):
        cache.sip_seen(message)
    journal.flush()
    with sqlite3.connect(path) as copy:
        before = copy.execute("SELECT sealed FROM messages").fetchall()
        old = copy.execute("SELECT id FROM epochs").fetchall()
    copy.close()
    journal.rotate(groups=3)
    while journal.rotating:
        journal.flush()
    with sqlite3.connect(path) as copy:
        assert not {e for (e,) in copy.execute("SELECT id FROM epochs")} & {e for (e,) in old}
        assert not {r for (r,) in copy.execute("SELECT sealed FROM messages")} & {r for (r,) in before}
    copy.close()
    journal.close()
    octets = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert not any(sealed in octets for (sealed,) in before)
    again, second, _ = restarted(path, master, Instant(BEGIN, 0))
    assert len(second) == 3
    again.close()


def test_a_rotation_takes_a_share_with_each_group_and_calls_go_on_meanwhile(tmp_path, master, monkeypatch):
    monkeypatch.setattr(j, "ROTATED_TOGETHER", 2)
    path = tmp_path / "cache.db"
    journal = SipJournal(path, master)
    cache = poi(journal)
    messages = seen(established(5))
    for message in messages[:-4]:
        cache.sip_seen(message)
    journal.flush()
    with closing(sqlite3.connect(path)) as copy:
        (rows,), (former,) = (
            copy.execute(f"SELECT {what}").fetchone() for what in ("count(*) FROM messages", "id FROM epochs")
        )
    journal.rotate(groups=4)
    for each in messages[-4:]:
        cache.sip_seen(each)
    journal.flush()
    with closing(sqlite3.connect(path)) as copy:
        (left,) = copy.execute("SELECT count(*) FROM messages WHERE epoch = ?", (former,)).fetchone()
        assert left == rows - -(-rows // 4) and copy.execute("SELECT count(*) FROM epochs").fetchone() == (2,)
    # A restart in its middle opens the rows of both epochs.
    copied = tmp_path / "copied.db"
    copied.write_bytes(path.read_bytes())
    path.with_name("copied.db-wal").write_bytes(path.with_name("cache.db-wal").read_bytes())
    again, second, _ = restarted(copied, master, Instant(BEGIN, 0))
    assert len(second) == 5 and again.lost == 0
    again.close()
    for _ in range(4):
        journal.flush()
    assert not journal.rotating
    journal.close()


def test_a_restart_reads_on_behind_a_rotation(tmp_path, master, monkeypatch):
    monkeypatch.setattr(j, "READ_TOGETHER", 2)
    path = tmp_path / "cache.db"
    journal = SipJournal(path, master)
    cache = poi(journal)
    for message in seen(established(3)):
        cache.sip_seen(message)
    journal.close()
    journal, cache, now = SipJournal(path, master), poi(), Instant(BEGIN, 0)
    for number, messages in journal.calls(now):
        journal.adopt(number, cache.recall(messages, now)[0], messages)
        journal.rotate()
        journal.flush()
    assert len(cache) == 3 and journal.lost == 0
    journal.close()


def test_old_keys_that_a_disk_keeps_are_destroyed_later(tmp_path, master):
    path = tmp_path / "cache.db"
    journal = SipJournal(path, master)
    cache = poi(journal)
    for message in seen(established()):
        cache.sip_seen(message)
    journal.flush()
    journal._database.execute("CREATE TEMP TRIGGER full BEFORE DELETE ON epochs BEGIN SELECT RAISE(ABORT, 'full'); END")
    journal.rotate()
    journal.flush()
    assert journal.rotating and journal.waiting == 0
    journal._database.execute("DROP TRIGGER full")
    journal.flush()
    assert not journal.rotating
    journal.close()


def test_one_call_is_bounded(tmp_path, master, monkeypatch):
    monkeypatch.setattr(j, "MESSAGES_OF_A_CALL", 2)
    journal = SipJournal(tmp_path / "cache.db", master)
    cache = poi(journal)
    for message in seen(established()):
        cache.sip_seen(message)
    assert journal.waiting == 2 and journal.lost > 0
    journal.close()


def test_keys_of_descriptions_never_reach_the_disk_nor_the_cache(tmp_path, master):
    world = World()
    call = world.call()
    call.establish_sdes(world.draw, "AES_CM_128_HMAC_SHA1_80", "")
    journal = SipJournal(tmp_path / "cache.db", master)
    cache = poi(journal, sdes=False)
    for message in seen(world):
        cache.sip_seen(message)
    waits = [each if isinstance(each, SipSeen) else each.seen for _, _, each in journal._fresh]
    assert waits and not any(b"inline:" in each.octets for each in waits)
    (report,) = reports(cache.arm(ALICE, Instant(BEGIN, 0)))
    assert b"inline:" not in report.offer.octets and b"m=audio" in report.offer.octets
    journal.close()


def test_rows_of_a_former_version_are_read(tmp_path, master):
    messages = seen(established())
    journal = SipJournal(tmp_path / "cache.db", master)
    for place, each in enumerate(messages):
        plain = j._encode(j._row(each))
        sealed = journal._key.seal(plain, j._place(7))
        row = (7 << j._PLACES | place, journal._epoch, sealed)
        journal._database.execute("INSERT INTO messages(id, epoch, sealed) VALUES(?, ?, ?)", row)
    journal.close()
    again, cache, _ = restarted(tmp_path / "cache.db", master, Instant(BEGIN, 0))
    (report,) = reports(cache.arm(ALICE, Instant(BEGIN, 0)))
    assert report.exchanges and again.lost == 0
    again.close()


def test_what_comes_of_a_call_between_two_groups_is_one_row_and_what_ends_between_them_none(tmp_path, master):
    world = World()
    call = world.call()
    call.establish(world.held())
    begun = len(seen(world))
    call.hang_up()
    messages = seen(world)
    journal = SipJournal(tmp_path / "cache.db", master)
    cache = poi(journal)
    for each in messages[:begun]:
        cache.sip_seen(each)
    journal.flush()
    (rows,) = journal._database.execute("SELECT count(*) FROM messages").fetchone()
    other = poi(journal)
    for each in messages:
        other.sip_seen(each)
    assert rows == 1 and journal._gone == []
    journal.flush()
    assert journal._database.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    for each in messages[begun:]:
        cache.sip_seen(each)
    journal.flush()
    assert journal._database.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    journal.close()


def test_calls_that_follow_each_other_are_removed_together():
    assert list(j._ranges([])) == []
    assert list(j._ranges([9, 3, 4, 5])) == [(3 << 8, 5 << 8 | 255), (9 << 8, 9 << 8 | 255)]


def test_a_disk_that_does_not_write_is_tried_again(tmp_path, master):
    journal = SipJournal(tmp_path / "cache.db", master)
    cache = poi(journal)
    for message in seen(established()):
        cache.sip_seen(message)
    waiting = journal.waiting
    journal._database.execute("PRAGMA query_only=ON")
    with pytest.raises(sqlite3.Error):
        journal.flush()
    assert journal.waiting == waiting
    journal._database.execute("PRAGMA query_only=OFF")
    journal.flush()
    assert journal.waiting == 0
    journal.close()

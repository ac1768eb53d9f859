"""HI1 of a DF: what X1 orders is told to the agency it concerns, once, and so is what ended while nobody was here."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec import structs

from imswire import hi
from imswire.hi import hi1
from imswire.x1 import DeliveryType, DestinationDetails, Uri
from midcall.base.seal import SealKey
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element import Armed, Changed, DestinationSet, Disarmed, Order
from midcall.base.x1_element.values import Mediated, Reason
from midcall.config import Network, Profile
from midcall.df2 import Agency, Communication
from midcall.events import DialogId, Instant, SessionReport, Side, Task, Terms
from midcall.handover.rows import split
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.reader import Reader
from midcall.handover.shell.spool import FULL, Left
from midcall.handover.values import Gap
from midcall.live import df as df_module
from midcall.live import orders as orders_module
from midcall.live import outlets as outlets_module
from midcall.live.clock import now
from midcall.live.df import DfService
from midcall.live.intercepts import InterceptJournal
from midcall.live.notices import Notices, Owner
from midcall.live.orders import DfOrders
from midcall.live.outlets import OutletError, Outlets
from midcall.live.recording import DfInputs
from tests.midcall.base.x1_element import world
from tests.midcall.handover.world import MASTER, cc, streams
from tests.midcall.live.test_endings import Config

XID, OTHER_XID = world.XID, world.OTHER_XID
DID, ELSEWHERE = world.DID, world.OTHER_DID
BEGUN, ENDED, CHANGED = hi1.NotificationKind.ACTIVATED, hi1.NotificationKind.DEACTIVATED, hi1.NotificationKind.MODIFIED
SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not delivered is not waited for."""
    monkeypatch.setattr(outlets_module, "CLOSING_SECONDS", 0.0)


class Wanting(Config):
    """What of the table [df] orders and outlets look at, with HI1."""

    profile = Profile(hi1=True)


def place(did: str = DID) -> DestinationDetails:
    return world.place(did, "127.0.0.1", 1)


def order(liid: str = "LAB-1", xid: str = XID, did: str = DID, **terms: object) -> Order:
    mediated = Mediated(Terms(liid, **terms), (), (place(did),), (None,))  # type: ignore[arg-type]
    return Order(Task(xid, ("sip:alice@example.com",)), DeliveryType.X2_AND_X3, (place(did),), (mediated,), b"signed")


def over(xid: str = XID) -> Disarmed:
    return Disarmed(xid, now(), Reason.ORDERED)


class Df:
    """Orders of a mediation function, its service and its outlets; nobody is at the destinations."""

    def __init__(self, folder: Path, profile: Profile, journal: InterceptJournal | None = None) -> None:
        config = Wanting(folder)
        config.profile = profile
        end = TlsEnd(ssl.create_default_context(), None)
        self.outlets = Outlets(
            config,  # type: ignore[arg-type]
            MASTER,
            end,
            lambda _: lambda gap: self.service.unavailable(gap),
            alarm=lambda gap, at: self.service.alarm(gap, at),
        )
        self.service = DfService(None, self.outlets, journal=journal)  # type: ignore[arg-type]
        self.orders = DfOrders(config, self.service, self.outlets, DfInputs())  # type: ignore[arg-type]

    def start(self, *armed: Order, dids: tuple[str, ...] = (DID,)) -> None:
        """As after a restart: destinations, then tasks."""
        for did in dids:
            self.orders.follow(DestinationSet(place(did)))
        for each in armed:
            self.orders.follow(Armed(each))
        self.orders.start()

    async def close(self) -> None:
        await self.service.commits.done()
        await self.service.close()
        await self.orders.close()
        await self.outlets.close()


def run(
    folder: Path, test: Callable[[Df], Awaitable[None]], profile: Profile = Wanting.profile, start: bool = True
) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30):
            df = Df(folder, profile)
            if start:
                df.start()
            try:
                await test(df)
            finally:
                await df.close()

    asyncio.run(whole())


def pdus(folder: Path, did: str = DID) -> list[hi.PsPdu]:
    """What waits for a destination on HI1 and HI2."""
    spool = Folder(folder / "spool" / did)
    cursor, keys = Cursor(folder / "cursor.db"), KeyStore(folder / "keys" / f"{did}.db", SealKey(MASTER))
    reader = Reader(spool, "hi2", keys, cursor, lambda _: None)
    items = reader.read(1 << 20)
    found = [hi.parse(each) for item in items for each in split(item.octets, item.pdus)]
    reader.close()
    cursor.close()
    keys.close()
    (folder / "cursor.db").unlink()
    return found


def told(folder: Path, did: str = DID) -> list[tuple[str, int, int]]:
    """Notifications: LIID, number, kind."""
    found = []
    for pdu in pdus(folder, did):
        if isinstance(pdu.payload, hi.Hi1):
            operation = hi1.parse(pdu.payload.contents)
            kind = operation.kind if isinstance(operation, hi1.Notification) else 4
            assert not isinstance(operation, hi1.NationalHi1) and operation.liid == pdu.header.liid
            found.append((pdu.header.liid.decode(), pdu.header.sequence, kind))
    return found


# Orders


def test_a_task_that_begins_changes_and_ends(tmp_path):
    began = time.time_ns()

    async def test(df: Df) -> None:
        df.orders.follow(Armed(order()))
        df.orders.follow(Changed(order(location=False), order()))
        df.orders.follow(over())

    run(tmp_path, test)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, CHANGED), ("LAB-1", 2, ENDED)]
    first = pdus(tmp_path)[0]
    assert isinstance(first.payload, hi.Hi1) and first.header.cid.cin is None
    notification = hi1.parse(first.payload.contents)
    assert isinstance(notification, hi1.Notification) and notification.target is None and notification.national is None
    assert first.header.time is not None and began // 1_000 <= first.header.time // 1_000 <= time.time_ns() // 1_000
    assert notification.time == first.header.time // SECOND * SECOND
    assert notification.communication == hi1.Hi1Communication(hi1.NetworkId(b"99999"))


def test_who_does_not_want_them_gets_none(tmp_path):
    async def test(df: Df) -> None:
        df.orders.follow(Armed(order()))
        df.orders.follow(Changed(order(location=False), order()))
        df.orders.follow(over())

    run(tmp_path, test, Profile())
    assert pdus(tmp_path) == []


def test_a_task_that_goes_elsewhere_ends_here_and_begins_there(tmp_path):
    async def test(df: Df) -> None:
        df.orders.follow(DestinationSet(place(ELSEWHERE)))
        df.orders.follow(Armed(order()))
        df.orders.follow(Changed(order(did=ELSEWHERE), order()))

    run(tmp_path, test)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]
    assert told(tmp_path, ELSEWHERE) == [("LAB-1", 0, BEGUN)]


def test_a_task_that_gets_another_liid_ends_under_the_one_and_begins_under_the_other(tmp_path):
    async def test(df: Df) -> None:
        df.orders.follow(Armed(order()))
        df.orders.follow(Changed(order("LAB-2"), order()))

    run(tmp_path, test)
    assert sorted(told(tmp_path)) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED), ("LAB-2", 0, BEGUN)]


def test_a_change_that_cannot_be_carried_out_is_an_end(tmp_path):
    nowhere = world.place(ELSEWHERE, address=Uri("https://lemf.example.com:443"))

    async def test(df: Df) -> None:
        df.orders.follow(Armed(order()))
        broken = order()
        mediated = structs.replace(broken.mediated[0], destinations=(nowhere,))
        with pytest.raises(OutletError):
            df.orders.follow(Changed(structs.replace(broken, mediated=(mediated,)), order()))
        df.orders.follow(over())  # a terminating fault

    run(tmp_path, test)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]


# Restarts


def test_a_restart_is_no_new_beginning_and_numbers_go_on(tmp_path):
    async def nothing(df: Df) -> None:
        """Runs, and is stopped."""

    async def restart(df: Df) -> None:
        df.start(order())

    async def end(df: Df) -> None:
        df.start(order())
        df.orders.follow(over())

    run(tmp_path, restart, start=False)
    run(tmp_path, restart, start=False)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN)]
    run(tmp_path, end, start=False)
    run(tmp_path, nothing)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]


def test_what_ended_while_nobody_was_here_is_told_at_the_next_start(tmp_path):
    async def two(df: Df) -> None:
        df.start(order(), order("LAB-2", OTHER_XID))

    async def one(df: Df) -> None:
        df.start(order("LAB-2", OTHER_XID))

    async def back(df: Df) -> None:
        df.start(order("LAB-2", OTHER_XID))
        df.orders.follow(Armed(order()))

    run(tmp_path, two, start=False)
    run(tmp_path, one, start=False)
    of_one = [each for each in told(tmp_path) if each[0] == "LAB-1"]
    assert of_one == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]
    run(tmp_path, back, start=False)
    assert sorted(told(tmp_path)) == [*of_one, ("LAB-1", 2, BEGUN), ("LAB-2", 0, BEGUN)]


def test_what_was_told_stays_told_when_the_profile_says_otherwise_for_a_time(tmp_path):
    async def go_on(df: Df) -> None:
        df.start(order())

    async def gone(df: Df) -> None:
        df.start()

    run(tmp_path, go_on, start=False)
    run(tmp_path, gone, Profile(), start=False)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN)]
    run(tmp_path, gone, start=False)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]


def test_a_destination_that_comes_back_later_is_told_then(tmp_path):
    async def begin(df: Df) -> None:
        df.start(order())

    async def later(df: Df) -> None:
        df.start(dids=())
        df.orders.follow(DestinationSet(place()))

    run(tmp_path, begin, start=False)
    run(tmp_path, later, start=False)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]


def test_a_disk_that_takes_nothing_keeps_nobody_from_stopping(tmp_path, monkeypatch):
    for module in (df_module, orders_module):
        monkeypatch.setattr(module, "CLOSING_SECONDS", 0.05)

    async def whole() -> None:
        async with asyncio.timeout(30):
            df = Df(tmp_path, Wanting.profile)
            df.start(order())
            await df.service.commits.done()
            ((_, outlet),) = df.outlets.all()
            outlet.spool.take_iri = lambda records, _: Left([*records], FULL)
            df.orders.follow(over())
            await df.service.close()
            await df.orders.close()
            await df.outlets.close()

    asyncio.run(whole())
    assert told(tmp_path) == [("LAB-1", 0, BEGUN)]

    async def again(df: Df) -> None:
        df.start()

    run(tmp_path, again, start=False)
    assert told(tmp_path) == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED)]


# What is missing


def test_content_that_is_given_up_is_declared_and_an_alarm_also_of_a_task_that_is_over(tmp_path):
    async def test(df: Df) -> None:
        df.orders.follow(Armed(order()))
        ((_, outlet),) = df.outlets.all()
        assert await outlet.writer.cc(cc(streams()[0], 1)), "something that waits"
        df.orders.follow(over())
        await df.service.commits.done()
        outlet.writer._settings = SpoolSettings(waiting_records=2)
        assert not await outlet.writer.cc(cc(streams()[0], 3))

    run(tmp_path, test)
    assert [kind for _, _, kind in told(tmp_path)] == [BEGUN, ENDED, 4]
    assert sum(isinstance(each.payload, tuple) for each in pdus(tmp_path)) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_content_of_a_task_that_is_over_is_given_up_in_its_words(tmp_path, restarted):
    """Also when the task was changed since, and when a later run has another order, and knows the task no more."""

    async def begin(df: Df) -> None:
        df.start()
        df.orders.follow(Armed(order()))
        ((_, outlet),) = df.outlets.all()
        assert await outlet.writer.cc(cc(streams()[0], 20))
        df.orders.follow(Changed(order("LAB-2"), order()))
        await df.service.commits.done()
        await df.orders.close()
        if not restarted:
            give_up(df)

    async def later(df: Df) -> None:
        df.start(order("LAB-2"))
        give_up(df)

    def give_up(df: Df) -> None:
        ((_, outlet),) = df.outlets.all()
        assert outlet.spool._make_room("hi3", time.time_ns())

    run(tmp_path, begin, start=False)
    if restarted:
        run(tmp_path, later, start=False)
    of_one = [each for each in told(tmp_path) if each[0] == "LAB-1"]
    assert of_one == [("LAB-1", 0, BEGUN), ("LAB-1", 1, ENDED), ("LAB-1", 2, 4)]
    found = [each for each in pdus(tmp_path) if isinstance(each.payload, tuple)]
    assert [each.header.liid for each in found] == [b"LAB-1"]
    contents = found[0].payload[0].contents
    assert b"disk full: 20 records, numbers 0-19" in contents


def test_what_may_be_missing_since_a_restart_is_one_alarm_of_the_task(tmp_path):
    correlation, former = b"c" * 8, Instant(time.time_ns() - SECOND, 0)
    dialogs = [DialogId("call-1", "a", tag) for tag in ("b", "c")]

    async def whole() -> None:
        journal = InterceptJournal(tmp_path / "intercepts.db", tmp_path / "intercepts.keys", SealKey(MASTER))
        journal.communication(XID, Communication(correlation, 7, True, False, "sip:alice@example.com", Side.CALLER))
        for dialog in dialogs:
            ends = "sip:alice@example.com", correlation, dialog, former, former, Side.CALLER, Side.CALLER
            journal.report(SessionReport(XID, *ends, None, None, ()))
            journal.counters(XID, dialog, {b"stream": 1})
        journal.alive(former.wall)
        await journal.flush()
        df = Df(tmp_path, Wanting.profile, journal)
        df.start(order())
        assert df.service.recall(now()) == 2
        await df.close()
        await journal.close()

    asyncio.run(whole())
    found = [each.payload for each in pdus(tmp_path) if not isinstance(each.payload, hi.IntegrityCheck)]
    assert [isinstance(each, hi.Hi1) for each in found] == [True, False, False, True]
    alarm = hi1.parse(found[3].contents)
    assert isinstance(alarm, hi1.AlarmIndicator) and alarm.liid == b"LAB-1"
    assert alarm.information.startswith(b"mediation was restarted, content may be missing, from 1")


# Alone


class Still:
    """A clock that stands."""

    def __init__(self) -> None:
        self.asked = 0

    def now(self) -> Instant:
        self.asked += 1
        return Instant(7 * SECOND, 7 * SECOND)


def agency(liid: str = "LAB-1", wants: bool = True) -> Agency:
    return Agency(Terms(liid), Profile(hi1=wants), Network())


def kinds(records: list) -> list[tuple[str, int, int]]:
    return [(each.outlet, each.kind, each.at) for each in records]


def test_what_no_window_covers_is_not_told_nor_its_end():
    notices = Notices(Still())  # type: ignore[arg-type]
    assert notices.ordered(XID, agency(), "a", lambda at: at < 7 * SECOND) == []
    assert notices.ended(XID, 8 * SECOND) == []


def test_a_change_into_a_window_that_is_over_is_an_end():
    notices = Notices(Still())  # type: ignore[arg-type]
    assert kinds(notices.ordered(XID, agency(), "a", lambda _: True)) == [("a", BEGUN, 7 * SECOND)]
    assert notices.ended(XID, 7 * SECOND, changed=True) == []
    assert kinds(notices.ordered(XID, agency(), "a", lambda _: False)) == [("a", ENDED, 7 * SECOND)]
    assert notices.ended(XID, 8 * SECOND) == []


def test_the_clock_is_not_asked_for_who_wants_nothing():
    clock = Still()
    notices = Notices(clock)  # type: ignore[arg-type]
    assert notices.ordered(XID, agency(wants=False), "a", lambda _: True) == []
    assert notices.missing(agency(wants=False), "x", 0) == []
    gap = Gap("LAB-1", 1, "disk full", (), 1, 0, 0)
    assert notices.gap(structs.replace(gap, about=Owner(XID, agency(wants=False)).encode()), 0) == []
    with pytest.raises(ValueError, match="truncated"):
        notices.gap(gap, 0)
    assert clock.asked == 0

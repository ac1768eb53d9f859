"""One POI and several mediation functions: what a task gives goes to the one that it names, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import pytest

from imswire import x1, x2x3
from midcall.base.link_report import LinkEvent
from midcall.base.x1_element import Order, Refusal, spelt
from midcall.base.x1_element.destinations import check
from midcall.base.x2_link import UnixPeer, X2Client
from midcall.events import Task
from midcall.live.link_book import LinkBook
from midcall.live.x2_routes import Route, X2Routes
from tests.midcall.base.x1_element import world

ONE, TWO, STRANGE = (f"0000000{n}-0000-4000-8000-000000000001" for n in (1, 2, 3))
PLACES = {"df-1": ("192.0.2.1", 9_992), "df-2": ("2001:DB8::1", 9_993)}


def destination(name: str, host: str = "", port: int = 0) -> x1.DestinationDetails:
    address, number = PLACES.get(name, (host, port))
    where = x1.IpAddressAndPort(ip_address(address), x1.TcpPort(number))
    return x1.DestinationDetails(name, x1.DeliveryType.X2_ONLY, where)


def order(xid: str, name: str = "df-1", *more: Any) -> Order:
    return Order(Task(xid, ("sip:a@example.com",)), x1.DeliveryType.X2_ONLY, (destination(name, *more),))


def pdu(xid: str, text: bytes = b"") -> bytes:
    form, way = x2x3.PayloadFormat.SIP, x2x3.Direction.FROM_TARGET
    return x2x3.build(x2x3.Pdu(x2x3.PduType.X2, form, way, x2x3.xid_octets(xid), bytes(8), payload=b"SIP " + text))


def run(test: Callable[[X2Routes, LinkBook], Awaitable[None]], tmp_path, names=("df-1", "df-2")) -> None:
    """``routes`` to functions that are not there: what is put waits."""

    async def main() -> None:
        book = LinkBook()
        found = []
        for name in names:
            client = X2Client(UnixPeer(tmp_path / name, frozenset()), name, report=book.told)
            found.append(Route(name, spelt(*PLACES[name]), client))
        await test(X2Routes(found, book), book)

    asyncio.run(main())


def waiting(routes: X2Routes) -> list[int]:
    return [each.client.queued for each in routes.routes]


def test_each_pdu_goes_where_its_task_says(tmp_path):
    async def test(routes: X2Routes, book: LinkBook) -> None:
        routes.lead(order(ONE, "df-1"))
        routes.lead(order(TWO, "df-2"))
        routes.put([pdu(ONE), pdu(TWO, b"longer"), pdu(ONE)])
        assert waiting(routes) == [2 * len(pdu(ONE)), len(pdu(TWO, b"longer"))]
        routes.put([pdu(STRANGE)])
        assert routes.astray == {STRANGE: 1} and sum(waiting(routes)) == 2 * len(pdu(ONE)) + len(pdu(TWO, b"longer"))
        routes.end(ONE)
        routes.put([pdu(ONE)])
        assert routes.astray[ONE] == 1
        stands = routes.stands(lambda oldest: None if oldest is None else 1.0)
        assert stands["astray"] == 2 and stands["queued_octets"] == sum(waiting(routes)) and not stands["up"]
        assert [each["link"] for each in stands["to"]] == ["df-1", "df-2"] and stands["oldest_seconds"] == 1.0
        assert stands["counters"]["kept"] == 3

    run(test, tmp_path)


def test_the_only_one_gets_all_whatever_it_is_called(tmp_path):
    async def test(routes: X2Routes, book: LinkBook) -> None:
        assert routes.places == ()
        routes.lead(order(ONE, "elsewhere", "198.51.100.7", 1))
        routes.put([pdu(ONE), pdu(STRANGE)])
        assert waiting(routes) == [len(pdu(ONE)) + len(pdu(STRANGE))] and not routes.astray
        assert routes.stays(order(ONE), order(ONE, "elsewhere", "198.51.100.7", 1))
        assert routes.stands(lambda _: None).keys() == {"up", "queued_octets", "oldest_seconds", "counters"}
        made = [destination("elsewhere", "198.51.100.7", 1)]
        assert routes.named(LinkEvent("df-1", "connection", "down", "", 0), made) == ["elsewhere"]

    run(test, tmp_path, ("df-1",))


def test_a_link_that_fails_is_told_of_its_own_destination(tmp_path):
    async def test(routes: X2Routes, book: LinkBook) -> None:
        made = [destination("df-1"), destination("df-2"), destination("gone", "192.0.2.9", 9_992)]
        assert routes.named(LinkEvent("df-2", "connection", "fault", "refused", 0), made) == ["df-2"]
        heard: list[LinkEvent] = []
        book.tell(heard.append)
        routes.tell_astray(made)
        assert [(each.link, each.state) for each in heard] == [("gone", "fault")]
        assert routes.named(heard[0], made) == ["gone"]
        routes.lead(order(ONE, "df-2"))
        book.told(LinkEvent("df-2", "connection", "fault", "refused", 0))
        assert (routes.state(ONE).fault, routes.state(ONE).is_up) == ("refused", False)
        assert "no way to" in routes.state(STRANGE).fault

    run(test, tmp_path)


def test_a_task_moves_when_it_names_another_one(tmp_path):
    async def test(routes: X2Routes, book: LinkBook) -> None:
        assert routes.stays(order(ONE, "df-1"), order(ONE, "df-1"))
        assert not routes.stays(order(ONE, "df-2"), order(ONE, "df-1"))
        routes.lead(order(ONE, "df-1"))
        routes.lead(order(ONE, "df-2"))
        routes.put([pdu(ONE)])
        assert waiting(routes) == [0, len(pdu(ONE))]
        routes.lead(order(ONE, "gone", "192.0.2.9", 9_992))
        routes.put([pdu(ONE)])
        assert waiting(routes) == [0, len(pdu(ONE))] and routes.astray[ONE] == 1

    run(test, tmp_path)


def test_a_destination_that_is_none_of_them_is_refused(tmp_path):
    async def test(routes: X2Routes, book: LinkBook) -> None:
        settings = world.settings(places=routes.places)
        for name in PLACES:
            check(destination(name), settings, x1.ErrorCode.CREATE_DESTINATION_FAILED)
        with pytest.raises(Refusal, match="no way to that address"):
            check(destination("gone", "192.0.2.9", 9_992), settings, x1.ErrorCode.CREATE_DESTINATION_FAILED)
        uri = x1.DestinationDetails("uri", x1.DeliveryType.X2_ONLY, x1.Uri("tls://[2001:db8:0::1]:9993"))
        check(uri, settings, x1.ErrorCode.CREATE_DESTINATION_FAILED)

    run(test, tmp_path)

"""Where product goes: to the place that X1 names and the certificate that the warrant names, also after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imswire import hi, x1
from midcall.base import tls
from midcall.base.lab_pki import LabPki
from midcall.base.tls_end import TlsEnd
from midcall.config import DfConfig, Network, TlsTable, X1Table
from midcall.config.live_tables import X2InTable, XkTable
from midcall.events import IriRecord
from midcall.live.opening import Disks
from midcall.live.outlets import OutletError, Outlets
from tests.midcall.base.x1_element import world as orders
from tests.midcall.handover.receiver import Receiver
from tests.midcall.handover.world import intercept

DID = "0d000000-0000-4000-8000-000000000001"
KEY = bytes(range(32))


class Pki:
    """Certificates of both ends in a folder, as the receiver wants them."""

    def __init__(self, folder: Path) -> None:
        LabPki(folder).make(("df", "lemf", "poi"))
        self.folder = folder

    def identity(self, role: str) -> tls.Identity:
        return tls.Identity(self.folder / f"{role}.pem", self.folder / f"{role}.key", self.folder / "ca.pem")

    def server(self) -> ssl.SSLContext:
        return tls.server_context(self.identity("lemf"))

    def pin(self, role: str) -> str:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert((self.folder / f"{role}.pem").read_text())).hexdigest()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def outlets(folder: Path, pki: Pki) -> Outlets:
    return Outlets(config(folder), KEY, TlsEnd.client(pki.identity("df"), None), lambda _: lambda _: b"")


def config(folder: Path) -> DfConfig:
    files = {"certificate": "-", "key": "-", "ca": "-"}
    x1_table = X1Table(ne="df", element="df-1", admf="admf", listen="127.0.0.1:1", store="-", trust="-", **files)
    return DfConfig(
        seal="-",
        spool=str(folder / "spool"),
        keys=str(folder / "keys"),
        network=Network(),
        agency=TlsTable(**files),
        x1=x1_table,
        x2=X2InTable(listen="127.0.0.1:1", peers=("-",), **files),
        kms=XkTable(url="https://127.0.0.1:1", peers=("-",), **files),
    )


def record(key: int) -> IriRecord:
    return IriRecord("LAB-1", 1, 4, time.time_ns(), b"\xaf\x02\xa0\x00", key, bytes((key,)) * 16)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


def events(receiver: Receiver) -> int:
    return receiver.ledger.count(hi.PayloadTag.IRI)


def details(receiver: Receiver) -> x1.DestinationDetails:
    return orders.place(DID, "127.0.0.1", receiver.port)


async def quiet(receiver: Receiver) -> None:
    """Time for a connection that is not to come to anything."""
    seen = receiver.connections
    await receiver.until(lambda: receiver.connections > seen)
    await asyncio.sleep(0.2)


def test_product_goes_to_the_certificate_that_the_warrant_names(tmp_path, pki):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        made.order(intercept(), details(receiver), pki.pin("lemf"))
        await made.iri([record(1)])
        await receiver.until(lambda: events(receiver) == 1)
        await made.close()
        await receiver.stop()

    run(test)


def test_a_place_that_was_prepared_is_opened_in_a_thread_and_only_once(tmp_path, pki, monkeypatch):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        opened = []
        real = Disks.open
        monkeypatch.setattr(Disks, "open", lambda *given: (opened.append(threading.current_thread()), real(*given))[1])
        await asyncio.gather(*(made.prepare(details(receiver), pki.pin("lemf")) for _ in range(3)))
        made.order(intercept(), details(receiver), pki.pin("lemf"))
        await made.prepare(details(receiver), pki.pin("lemf"))
        assert len(opened) == 1 and opened[0] is not threading.main_thread()
        await made.iri([record(1)])
        await receiver.until(lambda: events(receiver) == 1)
        await made.prepare(details(receiver), "0" * 64)  # for an order that never comes
        await made.close()
        await receiver.stop()

    run(test)
    # What was opened for nobody has been let go.
    again = Disks.open(
        Disks(config(tmp_path), KEY, None, lambda _: None, None, lambda _: None, None),
        DID,
        f"{DID}.{'0' * 64}",
        lambda _: b"",
    )
    again.close()


def test_a_place_that_cannot_be_opened_is_no_place_for_an_order_and_is_tried_again(tmp_path, pki):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        (tmp_path / "spool").write_text("in its way")
        await made.prepare(details(receiver), pki.pin("lemf"))
        with pytest.raises(OSError, match="spool"):
            made.order(intercept(), details(receiver), pki.pin("lemf"))
        (tmp_path / "spool").unlink()
        await made.prepare(details(receiver), pki.pin("lemf"))
        made.order(intercept(), details(receiver), pki.pin("lemf"))
        await made.close()
        await receiver.stop()

    run(test)


def test_another_certificate_gets_nothing_not_even_when_only_the_backlog_is_left(tmp_path, pki):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        made.order(intercept(), details(receiver), pki.pin("poi"))
        await made.iri([record(1)])
        await quiet(receiver)
        await made.close()
        again = outlets(tmp_path, pki)
        again.destination(details(receiver))  # nothing is ordered any more
        await quiet(receiver)
        assert events(receiver) == 0
        await again.close()
        await receiver.stop()

    run(test)


def test_what_is_under_two_pins_stands_apart(tmp_path, pki):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        made.order(intercept("LAB-2"), details(receiver), pki.pin("poi"))
        made.order(intercept(), details(receiver), pki.pin("lemf"))
        await made.iri([record(1)])
        await receiver.until(lambda: events(receiver) == 1)
        assert len(made.all()) == 2
        await made.close()
        await receiver.stop()

    run(test)


def test_the_backlog_of_a_former_run_goes_out_before_anything_is_ordered(tmp_path, pki):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        where = details(receiver)
        await receiver.stop()
        made = outlets(tmp_path, pki)
        made.order(intercept(), where, pki.pin("lemf"))
        await made.iri([record(1)])
        await made.close()
        await receiver.start()
        again = outlets(tmp_path, pki)
        again.destination(where)
        await receiver.until(lambda: events(receiver) == 1)
        await again.close()
        await receiver.stop()

    run(test)


def test_a_destination_that_is_told_anew_keeps_its_connection(tmp_path, pki):
    """As each activation tells it: a new connection would stand in the way of the first event."""

    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        made.order(intercept(), details(receiver), pki.pin("lemf"))
        for number in (1, 2, 3):
            await made.iri([record(number)])
            await receiver.until(lambda number=number: events(receiver) == number)
            made.destination(details(receiver))
        assert receiver.connections == 1
        await made.close()
        await receiver.stop()

    run(test)


def test_a_destination_that_moves_takes_its_backlog_along(tmp_path, pki):
    async def test() -> None:
        old, new = await Receiver(pki).start(), await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        made.order(intercept(), details(old), pki.pin("lemf"))
        await made.iri([record(1)])
        await old.until(lambda: events(old) == 1)
        made.destination(details(new))
        await made.iri([record(2)])
        await new.until(lambda: events(new) >= 1)
        assert events(old) == 1
        await made.close()
        for each in (old, new):
            await each.stop()

    run(test)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_without_a_pin_the_certificate_has_to_be_that_of_the_host(tmp_path, pki, host):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        address = x1.Uri(f"tls://{host}:{receiver.port}")
        made.order(intercept(), x1.DestinationDetails(DID, x1.DeliveryType.X2_AND_X3, address), None)
        await made.iri([record(1)])
        await receiver.until(lambda: events(receiver) == 1)
        await made.close()
        await receiver.stop()

    run(test)


def test_the_certificate_of_another_host_gets_nothing(tmp_path, pki):
    async def test() -> None:
        receiver = await Receiver(pki).start()
        made = outlets(tmp_path, pki)
        address = x1.Uri(f"tls://127.1:{receiver.port}")
        made.order(intercept(), x1.DestinationDetails(DID, x1.DeliveryType.X2_AND_X3, address), None)
        await made.iri([record(1)])
        await asyncio.sleep(0.5)
        assert events(receiver) == 0
        await made.close()
        await receiver.stop()

    run(test)


def test_a_place_that_nothing_can_go_to_is_refused(tmp_path, pki):
    async def test() -> None:
        made = outlets(tmp_path, pki)
        address = x1.Uri("https://lemf.example.com:443")
        with pytest.raises(OutletError):
            made.order(intercept(), x1.DestinationDetails(DID, x1.DeliveryType.X2_AND_X3, address), None)

    run(test)

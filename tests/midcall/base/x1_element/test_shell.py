"""Certificates as identities, the sealed store, answers that an ADMF does not believe."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import structs

from imswire import x1
from midcall.base.https import Unreachable
from midcall.base.seal import SealKey
from midcall.base.tls import TlsError
from midcall.base.warrant import Known
from midcall.base.x1_element import BINDING, Held, Kept, Memory, Peer
from midcall.base.x1_element.shell import binding
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.store import StoreError, X1Store
from midcall.base.x1_element.values import (
    DropDestination,
    DropTask,
    KeepDestination,
    KeepKnown,
    KeepPlaced,
    KeepStops,
    KeepTask,
)
from tests.midcall.base.x1_element import lab
from tests.midcall.base.x1_element.lab import Place
from tests.midcall.base.x1_element.world import DID, XID, place, task

KEY = ec.generate_private_key(ec.SECP256R1())
TXID = "3741800e-971b-4aa9-85f4-466d2b1adc80"


def certificate(uids: tuple[str, ...] = (), uris: tuple[str, ...] = ()) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.USER_ID, each) for each in uids])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=1))
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(each) for each in uris])
        builder = builder.add_extension(names, critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("uids", "uris", "admf", "ne"),
    [
        (("a",), (), True, True),
        (("a", "b"), (), True, True),
        (("b",), (), False, False),
        ((), (f"{BINDING}admf:a",), True, False),
        ((), (f"{BINDING}ne:a",), False, True),
        (("a",), (f"{BINDING}ne:b",), False, True),
        (("a",), ("urn:midcall:lab:a",), True, True),
        ((), (f"{BINDING}admf:%61",), True, False),
        ((), (f"{BINDING}admf",), False, False),
        ((), (f"{BINDING.upper()}ADMF:a",), True, False),
        ((), (f"{BINDING}admf:A",), False, False),
    ],
)
def test_identifiers_of_a_certificate(uids: tuple[str, ...], uris: tuple[str, ...], admf: bool, ne: bool) -> None:
    peer = Peer.of(certificate(uids, uris))
    assert (peer.is_bound("admf", "a"), peer.is_bound("ne", "a")) == (admf, ne)


def test_what_is_no_certificate() -> None:
    with pytest.raises(ValueError):
        Peer.of(b"no certificate")
    with pytest.raises(ValueError, match="names"):
        Peer.of(certificate(uids=tuple(map(str, range(65)))))
    assert not binding.is_bound(b"no certificate", "ne", "a")


def test_our_own_certificate(files: Path, tmp_path: Path) -> None:
    binding.require_own(files / "poi.pem", "ne", "poi")
    for path, identifier in ((files / "poi.pem", "df"), (files / "poi.key", "poi"), (tmp_path / "none.pem", "poi")):
        with pytest.raises(TlsError):
            binding.require_own(path, "ne", identifier)


# The store


def store(path: Path, seal: bytes = lab.SEAL) -> X1Store:
    return X1Store(path / "x1.db", SealKey(seal), "admf", "poi")


HELD = Held(task(), TXID, 1_000_000, 2_000, 3)
KEPT = Kept(place(), TXID, 1_000_000)
KNOWN = Known(2, "ab", True)


def test_what_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    with_all = store(tmp_path)
    with_all.write(())
    changes = (
        KeepDestination(DID, KEPT),
        KeepTask(XID, HELD),
        KeepKnown("W-1", KNOWN),
        KeepPlaced("digest", b"octets"),
        KeepStops(7),
    )
    with_all.write(changes)
    with_all.heard(9)
    with_all.close()
    again = store(tmp_path)
    assert again.read() == Memory((HELD,), (KEPT,), {"W-1": KNOWN}, (b"octets",), 7, 9)
    again.write((DropTask(XID), DropDestination(DID)))
    assert again.read() == Memory((), (), {"W-1": KNOWN}, (b"octets",), 7, 9)
    again.close()


def test_all_or_nothing(tmp_path: Path) -> None:
    opened = store(tmp_path)
    wrong = KeepTask(XID, structs.replace(HELD, transaction="no UUID"))
    with pytest.raises(x1.X1Error):
        opened.write((KeepStops(7), wrong))
    assert opened.read() == Memory()
    opened.close()
    with pytest.raises(StoreError):
        opened.write((KeepStops(7),))


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    store(tmp_path).close()
    with pytest.raises(StoreError, match="another key"):
        store(tmp_path, bytes(32))


def test_rows_that_were_changed(tmp_path: Path) -> None:
    opened = store(tmp_path)
    opened.write((KeepTask(XID, HELD), KeepDestination(DID, KEPT)))
    ((sealed,),) = opened._database.execute("SELECT sealed FROM destinations").fetchall()
    opened._database.execute("UPDATE tasks SET sealed = ?", (sealed,))
    with pytest.raises(StoreError, match="does not open"):
        opened.read()
    opened.close()


@pytest.mark.parametrize(
    "octets", [b"no XML", x1.build_request([x1.PingRequest(x1.Header("a", "b", 0, x1.VERSION, TXID))])]
)
def test_rows_that_are_no_orders(tmp_path: Path, octets: bytes) -> None:
    opened = store(tmp_path)
    with pytest.raises(StoreError, match="a row is"):
        opened._order(octets, x1.ActivateTaskRequest)
    opened.close()


# The client


def test_answers_that_are_none(at: Place) -> None:
    async def test() -> None:
        client = at.client(("", 1))
        asked = [client.request(x1.PingRequest)]
        header = asked[0].header
        right = x1.acknowledgement(asked[0], 0)

        def replaced(**changed: str) -> bytes:
            return x1.build_response([structs.replace(right, header=structs.replace(header, **changed))])

        assert client.read(asked, x1.build_response([right])) == (right,)
        for octets in (
            x1.build_response(x1.TopLevelErrorResponse("admf", "poi", 0, x1.VERSION)),
            x1.build_response([right, right]),
            x1.build_response([x1.KeepaliveResponse(header)]),
            replaced(ne_identifier="df"),
            replaced(admf_identifier="admf-2"),
            replaced(transaction_id=TXID),
        ):
            with pytest.raises(Unreachable):
                client.read(asked, octets)
        with pytest.raises(x1.X1Error):
            client.read(asked, x1.build_response([right]).replace(b"AcknowledgedAndCompleted", b"Perhaps"))
        later = [client.request(x1.PingRequest).header.timestamp for _ in range(3)]
        assert later == sorted(set(later)), "messages of one client have an order"
        await client.close()

    asyncio.run(test())


def test_nobody_there(at: Place) -> None:
    async def test() -> None:
        client: X1Client = at.client(("", 1))
        with pytest.raises(Unreachable):
            await client.ask(x1.PingRequest)
        await client.close()

    asyncio.run(test())

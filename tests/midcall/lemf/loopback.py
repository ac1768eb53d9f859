"""A receiver on loopback with real TLS, and a deliverer's end of a link."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from imswire import hi, inet, pcap
from midcall.base import tls
from midcall.base.lab_pki import uri
from midcall.base.tls_end import TlsEnd
from midcall.lemf import Lemf, Rules
from midcall.lemf.shell.misbehave import Kind, Misbehaviour
from midcall.lemf.shell.server import Receiver
from midcall.lemf.shell.store import Store, folder_name
from tests.midcall.lemf.deliverer import SIGNER, Sender


def identity(folder: Path, role: str, ca: Path | None = None) -> tls.Identity:
    return tls.Identity(folder / f"{role}.pem", folder / f"{role}.key", ca or folder / "ca.pem")


class Lab:
    """A receiver that listens, and what it told."""

    def __init__(self, pki: Path, out: Path, fault: str | None = None, peer: str = uri("df"), **rules: Any) -> None:
        misbehaves = Misbehaviour.parse(fault) if fault else None
        accept = misbehaves is None or misbehaves.kind is not Kind.DECLINE_OPTIONS
        core = Lemf(Rules(keys=(SIGNER.public_key(),), acknowledge=accept, **rules))
        self.told: list[tuple[str, str]] = []
        end = TlsEnd.server(identity(pki, "lemf"), tls.PeerName(peer))
        self.receiver = Receiver(core, Store(out), end, misbehaves, lambda kind, text: self.told.append((kind, text)))
        self.out = out
        self.pki = pki

    async def __aenter__(self) -> Lab:
        self.receiver.restore()
        self.address = await self.receiver.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.media = await self.receiver.stop()

    async def link(self, context: ssl.SSLContext | None = None) -> Client:
        client = Client(
            *await asyncio.open_connection(
                *self.address, ssl=context or tls.client_context(identity(self.pki, "df")), server_hostname="localhost"
            )
        )
        self.client = client
        return client

    def file(self, name: str, liid: bytes = b"LIID1") -> bytes:
        return (self.out / folder_name(liid) / name).read_bytes()

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "findings.jsonl").read_text().splitlines()]


class Client:
    """A deliverer's end of a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.splitter = hi.Splitter()
        self.waiting: list[hi.PsPdu] = []

    async def send(self, *pdus: bytes) -> None:
        self.writer.write(b"".join(pdus))
        await self.writer.drain()

    async def answer(self) -> hi.PsPdu:
        while not self.waiting:
            octets = await self.reader.read(1 << 16)
            if not octets:
                raise EOFError
            self.waiting += map(hi.parse, self.splitter.feed(octets))
        return self.waiting.pop(0)

    async def barrier(self, number: int = 0) -> None:
        """All that was sent is stored."""
        await self.send(Sender().tri(hi.AckRequest(), number))
        assert isinstance((await self.answer()).payload, hi.AckResponse)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    async def ended(self) -> bytes:
        """What still comes until the other end closes or resets."""
        octets = b""
        with contextlib.suppress(OSError, ssl.SSLError):
            while more := await self.reader.read(1 << 16):
                octets += more
        return octets


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(main(), 30)

    return asyncio.run(bounded())


def frames(path: Path) -> list[inet.Datagram]:
    with path.open("rb") as file:
        reader = pcap.Reader(file.read)
        found = [inet.decode(reader.link_type, frame) for batch in reader.batches() for _, frame, _ in batch]
    assert all(isinstance(each, inet.Datagram) for each in found)
    return found  # type: ignore[return-value]

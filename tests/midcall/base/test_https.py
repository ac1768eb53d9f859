"""A door that is full: no network keeps the others out. And who asks before a body is sent is answered."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web

from midcall.base import https, tls
from midcall.base.https import HttpsServer, Limits
from midcall.base.lab_pki import LabPki
from midcall.base.tls_end import TlsEnd

ROOM = 4
SECONDS = 10


def test_one_network_leaves_room_for_others(tmp_path):
    LabPki(tmp_path).make(["kms"])
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.check_hostname = False

    async def handle(_: web.BaseRequest, __: str | None) -> web.StreamResponse:
        return https.response(200, b"here")

    async def go() -> None:
        end = TlsEnd(tls.user_context(tmp_path / "kms.pem", tmp_path / "kms.key"), None)
        server = HttpsServer(handle, end, Limits(connections=ROOM), lambda _: https.response(400))
        host, port = await server.start("127.0.0.1", 0)

        async def opened(own: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(host, port, ssl=context, local_addr=(own, 0))

        async def is_gone(reader: asyncio.StreamReader) -> bool:
            try:
                async with asyncio.timeout(SECONDS):
                    return not await reader.read(1)
            except ConnectionError:
                return True

        many = [await opened("127.0.0.2") for _ in range(ROOM)]
        more = await opened("127.0.0.2")
        assert await is_gone(more[0]) and server.refused == 1
        others = [await opened(own) for own in ("127.0.0.1", "127.0.0.3")]
        assert await is_gone(many[0][0]) and await is_gone(many[1][0]) and server.refused == 3
        for reader, writer in (*many[2:], *others):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(SECONDS):
                assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        for _, writer in (*many, more, *others):
            writer.close()
        await server.stop(1)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("head", "first"),
    [
        ("HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5", b"HTTP/1.1 413 "),
        ("HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4", b""),
    ],
    ids=["leave", "too long", "an old client"],
)
def test_who_waits_for_leave_to_send_the_body(tmp_path, head, first):
    LabPki(tmp_path).make(["kms"])
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    async def handle(request: web.BaseRequest, _: str | None) -> web.StreamResponse:
        try:
            return https.response(200, await https.body(request, 4, SECONDS))
        except https.TooLong:
            return https.closing(https.response(413))

    async def go() -> bytes:
        end = TlsEnd(tls.user_context(tmp_path / "kms.pem", tmp_path / "kms.key"), None)
        server = HttpsServer(handle, end, Limits(), lambda _: https.response(400))
        host, port = await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        async with asyncio.timeout(SECONDS):
            writer.write(f"POST / {head}\r\n\r\n".encode())
            received = await reader.readexactly(len(first))
            if b"413" not in received:
                writer.write(b"body")
                received += await reader.readuntil(b"body")
        writer.close()
        await server.stop(1)
        return received

    received = asyncio.run(go())
    assert received.startswith(first)
    assert b"413" in received or (b" 200 OK\r\n" in received and received.count(b"HTTP/1.") == 1 + bool(first))

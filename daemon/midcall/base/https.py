"""HTTPS between entities: a server and a client that bound everything, over the ends of ``midcall.base.tls_end``.

The certificate of who asks is judged once a connection, before the first request is read; who is not listed is gone.
Neither side logs what it carries, follows a redirection, or unpacks a compressed body.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpVersion11
from msgspec import Struct

from midcall.base.collection import Collection
from midcall.base.rates import network
from midcall.base.tls import TlsError
from midcall.base.tls_door import TlsDoor
from midcall.base.tls_end import TlsEnd

LINGER_SECONDS = 0.25
"""How long a body that nobody wants is still read, so that the answer is not lost with it."""
MAX_HEAD = 8_190
MARK_DIGITS = 16
"""Of the SHA-256 of a certificate, in a log."""
_log = logging.getLogger("midcall.https")


class Limits(Struct, frozen=True, kw_only=True):
    """``idle_seconds``: a connection without a request, or with half the head of one. ``connections``: at once."""

    connections: int = 1_024
    idle_seconds: float = 15.0


class TooLong(Exception):
    """A body of more octets than are taken."""


class TooSlow(Exception):
    """A body that was not there in time."""


class Unreachable(Exception):
    """The other side could not be asked, or did not answer in time; one line."""


Handler = Callable[[web.BaseRequest, str | None], Awaitable[web.StreamResponse]]
"""Answers a request of the peer that the certificate names; None: nobody is asked for a certificate."""


class Connection(web.RequestHandler):
    """One connection; ``caller`` is the listed name in its certificate."""

    __slots__ = ("_owner", "caller")

    def __init__(self, owner: HttpsServer, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._owner = owner
        self.caller: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.caller = self._owner.enter(self, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.leave(self)
        super().connection_lost(exc)

    def handle_error(self, *_: object, **__: object) -> web.StreamResponse:
        """What is no HTTP gets an answer that tells nothing, least of all what came."""
        return self._owner.unreadable(self.caller)


class HttpsServer:
    """Listens; every request goes to one handler, with the peer's name.

    Where ``end`` has no peers clients have no certificate. ``refusal``: what is answered to all that has no handler's
    answer, such as what is not HTTP at all. ``stranger`` hears of each connection of somebody who is not listed.
    ``address`` is where it listens.
    """

    def __init__(
        self,
        handler: Handler,
        end: TlsEnd,
        limits: Limits,
        refusal: Callable[[str | None], web.Response],
        stranger: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = ("", 0)
        self._handler = handler
        self._end = end
        self._limits = limits
        self._refusal = refusal
        self._stranger = stranger
        self._open: dict[Connection, bytes] = {}
        self._manager: web.Server | None = None
        self._door: TlsDoor | None = None
        self._collection = Collection()
        self.refused = 0
        """Connections that were one too many."""

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; returns the address, whose port is chosen when ``port`` is 0. OSError."""
        loop = asyncio.get_running_loop()
        self._manager = manager = web.Server(self._handle)
        options = {
            "loop": loop,
            "access_log": None,
            "keepalive_timeout": self._limits.idle_seconds,
            "lingering_time": LINGER_SECONDS,
            "auto_decompress": False,
            "max_line_size": MAX_HEAD,
            "max_field_size": MAX_HEAD,
        }
        self._door = TlsDoor(self._end, lambda: Connection(self, manager, **options))
        self.address = self._door.listen(host, port)
        return self.address

    async def stop(self, seconds: float) -> None:
        """Take nothing more, let what is begun end within ``seconds``, close."""
        if self._door is not None:
            await self._door.close()
        if self._manager is not None:
            self._manager.pre_shutdown()  # who asks nothing now is not waited for
            # To aiohttp no time is all the time.
            await self._manager.shutdown(max(seconds, 0.001))
        for each in list(self._open):
            if each.transport is not None:
                each.transport.abort()
        self._collection.cancel()

    def enter(self, connection: Connection, transport: asyncio.BaseTransport) -> str | None:
        """Count a connection and judge its certificate. One too many ends the oldest of the network that has most, if
        that is another one's.
        """
        written = cast(asyncio.Transport, transport)
        whose = self._open[connection] = network(next(iter(written.get_extra_info("peername") or ()), None))
        if len(self._open) > self._limits.connections:
            self.refused += 1
            (most, _), *_ = Counter(self._open.values()).most_common(1)
            if whose == most:
                written.abort()
                return None
            oldest = next(each for each, theirs in self._open.items() if theirs == most)
            if oldest.transport is not None:
                oldest.transport.abort()
        if self._end.peers is None:
            return None
        try:
            return self._end.admit(written)
        except TlsError:
            # Whose certificate is not wanted here learns nothing, not even that HTTP is spoken; nor does a log who is.
            _log.warning("a connection of somebody who is not listed was refused")
            written.abort()
            self._stranger()
            return None

    def leave(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._collection.soon()

    def unreadable(self, caller: str | None) -> web.Response:
        return closing(self._refusal(caller))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        try:
            return await self._handler(request, connection.caller)
        except Exception as error:  # whatever it is, its text may quote what came
            _log.error("a request failed: %s", type(error).__name__)
            return self.unreadable(connection.caller)


def response(status: int, octets: bytes | bytearray = b"", kind: str = "application/octet-stream") -> web.Response:
    """An answer that nobody on the way keeps, and that does not tell which software gave it."""
    headers = {"Cache-Control": "no-store", "Server": "-"}
    return web.Response(status=status, body=octets, content_type=kind, headers=headers)


def certificate(request: web.BaseRequest) -> bytes | None:
    """DER form of that of who asks."""
    transport = request.transport
    ssl_object = None if transport is None else transport.get_extra_info("ssl_object")
    return None if ssl_object is None else ssl_object.getpeercert(binary_form=True)


def closing(response: web.Response) -> web.Response:
    """The last answer of a connection."""
    response.force_close()
    return response


async def body(request: web.BaseRequest, most: int, seconds: float | None) -> bytearray:
    """The body of a request; ``seconds`` None: its caller bounds the time. TooLong, TooSlow."""
    if (request.content_length or 0) > most or request.headers.get("Content-Encoding"):
        raise TooLong
    await _go_on(request)
    if seconds is None:
        return await _whole(request, most)
    try:
        async with asyncio.timeout(seconds):
            return await _whole(request, most)
    except TimeoutError:
        raise TooSlow from None


async def _go_on(request: web.BaseRequest) -> None:
    """Who waits for leave to send the body gets it (RFC 9110 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # It is no part of the answer, whose head is still to come.
        request.writer.output_size = 0


async def _whole(request: web.BaseRequest, most: int) -> bytearray:
    octets = bytearray()
    async for piece in request.content.iter_any():
        octets += piece
        if len(octets) > most:
            raise TooLong
    return octets


class _Checked(aiohttp.TCPConnector):
    """Connections to a peer with one of the right names: nothing is sent before that is known."""

    def __init__(self, end: TlsEnd, **options: Any) -> None:
        super().__init__(**options)
        self._end = end
        self._made: list[asyncio.Transport] = []

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        transport = cast(asyncio.Transport, protocol.transport)
        try:
            self._end.admit(transport)
        except TlsError as error:
            transport.abort()
            raise Unreachable(str(error)) from None
        self._made = [each for each in self._made if not each.is_closing()] + [transport]
        return protocol

    def abort(self) -> None:
        """End all connections without waiting for the other side's farewell."""
        for transport in self._made:
            transport.abort()


class Answer(Struct, frozen=True):
    """What the other side said; the body is a buffer that its reader wipes."""

    status: int
    body: bytearray

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, octets={len(self.body)})"


class HttpsClient:
    """Asks one other side, over so many connections at most; those of former files serve no new question."""

    def __init__(self, url: str, end: TlsEnd, connections: int = 8, idle_seconds: float = 15.0) -> None:
        """``url`` without path: ``https://host:port``. To be made inside a running loop.

        A connection that is asked nothing for ``idle_seconds`` ends, and with it what its buffers still have.
        """
        if not url.startswith("https://"):
            raise ValueError("only https is spoken")
        self._url = url.rstrip("/")
        self._collection = Collection()
        self._collected_after = 2 * idle_seconds + 0.1
        self._end = end
        self._connector = _Checked(end, limit=connections, limit_per_host=connections, keepalive_timeout=idle_seconds)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            trust_env=False,
        )

    async def post(self, path: str, octets: bytes, kind: str, seconds: float, most: int) -> Answer:
        """POST, and the answer of at most ``most`` octets, all within ``seconds``. Unreachable."""
        received = bytearray()
        self._collection.soon(self._collected_after)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(
                    self._url + path,
                    data=octets,
                    headers={"Content-Type": kind},
                    ssl=self._end.context,
                    allow_redirects=False,
                ) as response,
            ):
                async for piece in response.content.iter_any():
                    received += piece
                    if len(received) > most:
                        # Not to be read on: the connection goes with it.
                        response.close()
                        received[:] = bytes(len(received))
                        raise Unreachable(f"answers with more than {most} octets")
                return Answer(response.status, received)
        except TimeoutError:
            raise Unreachable(f"no answer within {seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError:
            raise Unreachable("its certificate is not that of the host") from None
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"cannot be asked: {_why(error)}") from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            raise Unreachable("ends the connection without an answer; it may not know this certificate") from None
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise Unreachable(f"cannot be asked: {type(error).__name__}") from None

    async def close(self) -> None:
        """End its connections; what is being asked fails."""
        self._collection.cancel()
        self._connector.abort()
        await self._session.close()
        # The transports hear of it in the loop's next round.
        await asyncio.sleep(0)


def _why(error: aiohttp.ClientConnectorError) -> str:
    """The words of the system for why nothing is there."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name has no address"
    number = None if isinstance(error, aiohttp.ClientSSLError) else error.os_error.errno
    return os.strerror(number) if number else type(error).__name__

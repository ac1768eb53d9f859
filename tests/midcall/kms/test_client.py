"""DF2's client of a KMS: Xk and Resolve behind one face, against the service and against peers that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from msgspec import structs

from imswire import mikey, xk
from midcall.base import tls
from midcall.base.https import HttpsClient, HttpsServer, Limits, Unreachable, response
from midcall.base.lab_pki import uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.df2.keys import NodeIdentity
from midcall.df2.shell.xk import XkClient, XkSettings
from midcall.df2.xk import GetKeys, Resolve
from midcall.events import KeyAnswer, KeyQuery, Side, Update
from midcall.ue import lab
from midcall.ue.ticket import session, spi_key
from tests.midcall.kms.place import ALICE, XID, Lab, kept, secret

QUICK = XkSettings(deadline_seconds=20.0, attempt_seconds=10.0, pause_first=0.001, pause_most=0.002)
NODE = NodeIdentity("df2.example.com", b"psk-df2", b"n" * 16)


@pytest.fixture(scope="module")
def house(tmp_path_factory, pki):
    folder = tmp_path_factory.mktemp("kms")
    made = Lab(folder, pki)
    node = f'[[kms.xk.node]]\nidentity = "{NODE.identity}"\npsk_id = "psk-df2"\n'
    node += f'credential = "{secret(folder / "node", NODE.psk)}"\n'
    with made.running(node, xk__unsigned='"accept"') as running:
        yield running


@pytest.fixture(scope="module")
def seen(house):
    return house.call()[0]


@pytest.fixture(scope="module")
def forked(house):
    return house.call("DEFGHINO")[0]


def query(seen, number: int = 7, **changed) -> KeyQuery:
    return structs.replace(KeyQuery(number, XID, ALICE, seen), **changed)


def ask(house, *queries: KeyQuery, dialect=None, warrant: bytes | None = None) -> list[KeyAnswer]:
    async def run() -> list[KeyAnswer]:
        client = XkClient(house.client(), dialect or GetKeys(), QUICK, now=lambda: house.lab.clock().wall)
        try:
            return await asyncio.gather(*(client.keys(each, warrant) for each in queries))
        finally:
            await client.close()

    return asyncio.run(run())


def test_both_ways_give_the_same_keys(house, seen, forked):
    for each in (seen, forked):
        warrant = house.lab.warrant().encode()
        (direct,) = ask(house, query(each), warrant=warrant)
        (resolved,) = ask(house, query(each), dialect=Resolve(NODE, lab.KMS_IDENTITY))
        assert direct.failures == () and len(direct.keys) == 2
        assert direct == resolved


def test_updates_and_long_bundles(house):
    seen, bundle = house.call()
    now = house.lab.clock().wall
    updates = []
    for number in range(10):
        spi = bytes((2 + number,))
        blocks = (session(1, 0xA, spi), session(2, 0xB, spi))
        salt = bytes(14)
        made = bundle.rekey(
            now + number * 10**9, blocks, (spi_key(mikey.KeyType.TEK_SALT, bytes((number,)) * 16, spi, salt),)
        )
        updates.append(Update(Side.CALLEE, kept(made.init, now), kept(made.response, now)))
    (answer,) = ask(house, query(structs.replace(seen, updates=tuple(updates))))
    assert {key.generation for key in answer.keys} == set(range(11)) and answer.failures == ()
    newest = bundle.session_keys()[1]
    assert answer.keys[-2].master.key == newest.master_key


def test_refusals_say_why(house, seen):
    (answer,) = ask(house, query(seen), warrant=house.lab.warrant("Ann").encode())
    assert answer.keys == () and answer.failures[0].startswith("KMS: warrant (approvals): 1 of 2 persons")
    (answer,) = ask(house, query(seen, identity="sip:carol@example.com"))
    assert answer.failures == ("KMS: not-of-target: the ticket exchange is not of the targeted user",)
    stranger = Resolve(structs.replace(NODE, psk=b"x" * 16), lab.KMS_IDENTITY)
    (answer,) = ask(house, query(seen), dialect=stranger)
    assert answer.failures == ("KMS: status 403, MIKEY error 0",)


def test_what_cannot_be_asked(house, seen):
    broken = structs.replace(seen, init=kept(b"\x01", 0))
    (answer,) = ask(house, query(broken), dialect=Resolve(NODE, lab.KMS_IDENTITY))
    assert answer.failures[0].startswith("KMS: cannot be asked: ")
    (answer,) = ask(house, query(structs.replace(seen, init=kept(bytes(70_000), 0))))
    assert answer.failures[0].startswith("KMS: cannot be asked: init.octets")


# Against a KMS that the test plays


@asynccontextmanager
async def playing(pki, handler: Callable[[web.BaseRequest], Awaitable[web.Response]]) -> AsyncIterator[HttpsClient]:
    async def handle(request: web.BaseRequest, caller: str | None) -> web.Response:
        assert caller == uri("df")
        return await handler(request)

    def identity(role: str) -> tls.Identity:
        return tls.Identity(pki / f"{role}.pem", pki / f"{role}.key", pki / "ca.pem")

    end = TlsEnd.server(identity("kms"), PeerName(uri("df")))
    server = HttpsServer(handle, end, Limits(), lambda _: response(400))
    host, port = await server.start("127.0.0.1", 0)
    client = HttpsClient(f"https://{host}:{port}", TlsEnd.client(identity("df"), PeerName(uri("kms"))))
    try:
        yield client
    finally:
        await client.close()
        await server.stop(0.0)


def right(octets: bytes, **changed) -> web.Response:
    asked = xk.read_request(octets)
    given = structs.replace(xk.Response(transaction=asked.transaction, kms="k", keys=()), **changed)
    return response(200, xk.write_keys(given), "application/json")


def test_a_kms_that_comes_back_is_asked_again(pki, seen):
    said = [
        response(503, xk.write(xk.Refusal(code="busy"))),
        response(502, b"<html>"),
        response(429, xk.write(xk.Refusal(code="later-code"))),
        response(504, xk.write(xk.Refusal(code="deadline"))),
    ]
    transactions = []

    async def handler(request: web.BaseRequest) -> web.Response:
        octets = await request.read()
        transactions.append(xk.read_request(octets).transaction)
        return said.pop(0) if said else right(octets, failures=("none",))

    async def run() -> None:
        async with playing(pki, handler) as https:
            client = XkClient(https, GetKeys(), QUICK)
            assert (await client.keys(query(seen), b"w")).failures == ("none",)
            assert client.attempts == 5 and len(set(transactions)) == 5

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"garbage", "cannot be read: not JSON"),
        (200, b'{"transaction":"other","kms":"k","keys":[]}', "answers another question"),
        (403, b'{"code":"refused"}', "KMS: refused"),
        (403, b"garbage", "status 403 with an answer that cannot be read"),
        (302, b"", "status 302"),
        (422, b'{"code":"unheard-of","reason":"x"}', "KMS: unheard-of: x"),
    ],
)
def test_a_wrong_answer_is_the_last(pki, seen, status, body, says):
    async def handler(_: web.BaseRequest) -> web.Response:
        answer = response(status, body)
        answer.headers["Location"] = "https://127.0.0.1:1/"
        return answer

    async def run() -> None:
        async with playing(pki, handler) as https:
            client = XkClient(https, GetKeys(), QUICK)
            answer = await client.keys(query(seen), b"w")
            assert answer.keys == () and says in answer.failures[0] and client.attempts == 1

    asyncio.run(run())


def test_a_huge_answer_is_not_read(pki):
    async def handler(_: web.BaseRequest) -> web.Response:
        return response(200, bytes(xk.MAX_RESPONSE))

    async def run() -> None:
        async with playing(pki, handler) as https:
            with pytest.raises(Unreachable, match="answers with more than 1000 octets"):
                await https.post("/", b"{}", "application/json", 20.0, 1_000)

    asyncio.run(run())


def test_a_silent_kms_and_one_that_is_down(pki, seen):
    never = asyncio.Event()
    soon = XkSettings(deadline_seconds=0.3, attempt_seconds=0.1, pause_first=0.01, pause_most=0.02)

    async def silent(_: web.BaseRequest) -> web.Response:
        await never.wait()
        raise AssertionError

    async def run() -> None:
        async with playing(pki, silent) as https:
            answer = await XkClient(https, GetKeys(), soon).keys(query(seen), b"w")
            assert answer.keys == () and answer.failures[0].startswith("KMS: no answer within 0.3 s")
        identity = tls.Identity(pki / "df.pem", pki / "df.key", pki / "ca.pem")
        nobody = HttpsClient("https://127.0.0.1:1", TlsEnd.client(identity, PeerName()))
        client = XkClient(nobody, GetKeys(), soon)
        answer = await client.keys(query(seen), b"w")
        assert answer.failures[0].startswith("KMS: no answer within 0.3 s: cannot be asked") and client.attempts > 1
        await client.close()

    asyncio.run(run())


def test_a_bundle_is_asked_about_once_at_a_time(pki, seen, forked):
    inside: dict[bytes, int] = {}
    most: dict[bytes, int] = {}
    count = 0

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal count
        octets = await request.read()
        init = xk.read_request(octets).init.octets
        count += 1
        inside[init] = inside.get(init, 0) + 1
        most[init] = max(most.get(init, 0), inside[init])
        for _ in range(20):
            await asyncio.sleep(0)
        inside[init] -= 1
        return right(octets, failures=(xk.read_request(octets).identity,))

    async def run() -> None:
        async with playing(pki, handler) as https:
            client = XkClient(https, GetKeys(), QUICK)
            queries = [query(seen, 1), query(seen, 2), query(seen, 3, identity="sip:b@c"), query(forked, 4)]
            answers = await asyncio.gather(*(client.keys(each, b"w") for each in queries))
            # The two that are the same question share one answer, each under its own number.
            assert count == 3 and [each.query for each in answers] == [1, 2, 3, 4]
            assert [each.failures for each in answers] == [(ALICE,), (ALICE,), ("sip:b@c",), (ALICE,)]
            assert most == {seen.init.octets: 1, forked.init.octets: 1}
            assert len(client._asked) == len(client._lanes) == 0

    asyncio.run(run())


def test_questions_are_bounded_and_given_up_on_close(pki, seen):
    begun, never = asyncio.Event(), asyncio.Event()

    async def handler(_: web.BaseRequest) -> web.Response:
        begun.set()
        await never.wait()
        raise AssertionError

    async def run() -> None:
        async with playing(pki, handler) as https:
            client = XkClient(https, GetKeys(), structs.replace(QUICK, waiting=1))
            task = asyncio.create_task(client.keys(query(seen), b"w"))
            await begun.wait()
            assert (await client.keys(query(seen, xid="x"), b"w")).failures == ("KMS: 1 questions are open",)
            await client.close()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


@pytest.mark.parametrize(("server", "client"), [("poi", "df"), ("kms", "poi")])
def test_nothing_is_said_to_or_by_the_wrong_peer(house, seen, server, client):
    """The server's name is judged before the question goes out, the client's before it is read."""

    async def run() -> None:
        https = house.client(role=client, server=server)
        try:
            if server == "poi":
                with pytest.raises(Unreachable, match="the peer is urn:midcall:lab:kms"):
                    await https.post(xk.PATH, b"secret", "application/json", 5.0, 100)
            else:
                with pytest.raises(Unreachable, match="may not know this certificate"):
                    await https.post(xk.PATH, b"secret", "application/json", 5.0, 100)
        finally:
            await https.close()

    asyncio.run(run())


def test_connections_are_bounded(tmp_path, pki):
    made = Lab(tmp_path, pki)
    with made.running(xk__connections="1") as running:
        first = running.connection("xk", "df")
        first.request("POST", xk.PATH, b"{}", {"Content-Type": "application/json"})
        assert first.getresponse().read().startswith(b'{"code":"form"')
        with pytest.raises((ConnectionError, ssl.SSLError)):
            running.post_xk(b"{}")
        first.request("POST", xk.PATH, b"{}", {"Content-Type": "application/json"})
        assert first.getresponse().status == 400
        first.close()


def test_only_https():
    with pytest.raises(ValueError, match="only https"):
        HttpsClient("http://127.0.0.1:1", TlsEnd(ssl.create_default_context(), PeerName()))

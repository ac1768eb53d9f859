"""The LI plane over real TLS: who may ask, how often, what is explained, and that it tells nothing of other calls."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from imswire import inet, sip
from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from midcall.config import LiTable, Network, Profile
from midcall.df2 import Agency
from midcall.df2 import keys as key_client
from midcall.events import Instant, Task, Terms
from midcall.live.df_ladder import Product
from midcall.live.ladder import EXPLAIN_PATH, STATUS_PATH, TaskLadder
from midcall.live.plane import LiPlane
from midcall.live.poi_account import X2State
from tests.midcall.live.recorded import datagrams
from tests.midcall.live.test_live import ALICE, XID, Lab, end, identity
from tests.scenarios.world import World

OFFICER, OTHER, STRANGER = "officer", "officer-two", "stranger"
UP = X2State(True, "", 0)
PRODUCT = {"LI-1": Product(True)}
LIMIT = 30


def context(pki: Path, role: str | None) -> ssl.SSLContext:
    if role is not None:
        return tls.client_context(identity(pki, role), check_host=False)
    bare = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    bare.check_hostname = False
    return bare


async def raw(pki: Path, port: int, role: str | None, request: bytes) -> bytes:
    """The octets of an answer, without those of its date."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context(pki, role))
    writer.write(request)
    try:
        answer = await reader.read()
    finally:
        writer.transport.abort()
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)


def asked(call_id: str) -> bytes:
    return posted(json.dumps({"call_id": call_id}).encode())


def posted(octets: bytes) -> bytes:
    head = f"POST {EXPLAIN_PATH} HTTP/1.1\r\nHost: li\r\nConnection: close\r\nContent-Length: {len(octets)}\r\n\r\n"
    return head.encode() + octets


def got(path: str = STATUS_PATH, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: li\r\nConnection: close\r\n\r\n".encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("poi", OFFICER, OTHER, STRANGER))
    return folder


def table(pki: Path, **changed: Any) -> LiTable:
    files = {name: str(pki / f"poi.{kind}") for name, kind in (("certificate", "pem"), ("key", "key"))}
    given = {"listen": "127.0.0.1:0", "ca": str(pki / "ca.pem"), "peers": (uri(OFFICER), uri(OTHER))} | files
    return LiTable(**given | changed)


async def nothing(_: str) -> tuple[TaskLadder, ...]:
    return ()


async def stands() -> dict[str, Any]:
    return {"tasks": []}


def plane(pki: Path, explain: Callable[[str], Awaitable[tuple[TaskLadder, ...]]] = nothing, **changed: Any) -> LiPlane:
    return LiPlane("poi", "poi-1", table(pki, **changed), end(pki, "poi", OFFICER, OTHER), stands, explain)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await test()

    asyncio.run(limited())


# The door


def test_who_is_not_listed_learns_nothing(pki):
    async def test() -> None:
        door = plane(pki)
        _, port = await door.start()
        questions = [(STRANGER, got()), (STRANGER, asked("call-1@lab")), (STRANGER, got("/nothing")), (None, got())]
        for who, question in questions:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                assert await raw(pki, port, who, question) == b""
                raise ConnectionError("closed without an octet")
        assert door.counts["strangers"] == 3 and door.counts["not_explained"] == 0
        await door.stop()

    run(test)


def test_what_is_there_and_what_is_not(pki):
    async def test() -> None:
        door = plane(pki)
        _, port = await door.start()

        async def answered(request: bytes) -> int:
            return status(await raw(pki, port, OFFICER, request))

        found = body(await raw(pki, port, OFFICER, got()))
        assert (found["role"], found["element"], found["tasks"]) == ("poi", "poi-1", [])
        assert found["li_plane"]["asked"] == 1
        assert await answered(got("/")) == 404
        assert await answered(got(EXPLAIN_PATH)) == await answered(got(STATUS_PATH, "DELETE")) == 405
        assert await answered(asked("x" * 5_000)) == 413
        assert await answered(asked("")) == await answered(asked("x" * 1_025)) == 400
        for wrong in (b"{}", b"[1]", b'{"call_id": 1}', b'{"call_id": "a", "more": 1}', b"\xff"):
            head = (
                f"POST {EXPLAIN_PATH} HTTP/1.1\r\nHost: li\r\nConnection: close\r\nContent-Length: {len(wrong)}\r\n\r\n"
            )
            assert await answered(head.encode() + wrong) == 400
        assert status(await raw(pki, port, OFFICER, b"\0\1\2\r\n\r\n")) == 400
        await door.stop()

    run(test)


def test_each_certificate_has_its_rate(pki):
    async def test() -> None:
        door = plane(pki, per_minute=1, burst=2)
        _, port = await door.start()
        assert [status(await raw(pki, port, OFFICER, got())) for _ in range(3)] == [200, 200, 429]
        assert b"Retry-After" in await raw(pki, port, OFFICER, asked("call-1@lab"))
        assert status(await raw(pki, port, OTHER, asked("call-1@lab"))) == 404
        assert door.counts["refused"] == 2
        await door.stop()

    run(test)


def test_every_question_is_logged_without_the_call(pki, caplog):
    async def test() -> None:
        door = plane(pki)
        _, port = await door.start()
        for request in (got(), asked("alice@10.0.0.1"), asked("alice@10.0.0.1")):
            await raw(pki, port, OFFICER, request)
        await raw(pki, port, STRANGER, got())
        await door.stop()

    with caplog.at_level(logging.INFO, "midcall.li.plane"):
        run(test)
    lines = [each for each in caplog.records if each.name == "midcall.li.plane"]
    assert [each.getMessage() for each in lines][:3] == ["status", "not explained", "not explained"]
    assert lines[0].caller == uri(OFFICER) and lines[1].call == lines[2].call and len(lines[1].call) == 16
    assert len(lines) == 4 and not any("alice" in str(each.__dict__) for each in lines)


def test_a_status_is_made_once_for_all_who_ask_meanwhile(pki):
    async def test() -> None:
        begun, made = asyncio.Event(), []

        async def slow() -> dict[str, Any]:
            made.append(1)
            begun.set()
            await asyncio.sleep(0.3)
            return {"tasks": [len(made)]}

        door = LiPlane("poi", "poi-1", table(pki), end(pki, "poi", OFFICER, OTHER), slow, nothing)
        _, port = await door.start()
        answers = await asyncio.gather(*(raw(pki, port, role, got()) for role in (OFFICER, OTHER)))
        assert [body(each)["tasks"] for each in answers] == [[1], [1]]
        await door.stop()

    run(test)


# What is explained


class Site(Lab):
    """POI and DF joined by X2, each with its LI plane."""

    async def open(self, pki: Path) -> None:
        await self.start()

        async def poi(call_id: str) -> tuple[TaskLadder, ...]:
            return self.poi.accounts.explain(call_id, lambda _: UP)

        async def df(call_id: str) -> tuple[TaskLadder, ...]:
            return self.df.explain(call_id, PRODUCT)

        self.pki = pki
        self.planes = [plane(pki, poi, burst=1_000), plane(pki, df, burst=1_000)]
        self.ports = [(await each.start())[1] for each in self.planes]

    async def ask(self, call_id: str = "call-1@lab") -> list[bytes]:
        return [await raw(self.pki, port, OFFICER, asked(call_id)) for port in self.ports]

    async def rungs(self, call_id: str = "call-1@lab") -> list[dict[str, dict[str, Any]]]:
        """Of POI and DF: the rungs of the only fork by name."""
        found = []
        for answer in await self.ask(call_id):
            assert status(answer) == 200, answer
            ((fork,),) = [task["forks"] for task in body(answer)["tasks"]]
            found.append({each["name"]: each for each in fork["rungs"]})
        return found

    async def close(self) -> None:
        for each in self.planes:
            await each.stop()
        await self.stop()
        self.store.close()

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            await asyncio.sleep(0.01)


def lasting(test: Callable[[Site], Awaitable[None]], folder: Path, pki: Path, world: World) -> None:
    async def with_site() -> None:
        site = Site(folder, world)
        await site.open(pki)
        try:
            await test(site)
        finally:
            await site.close()

    run(with_site)


def told(rungs: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each.get("reason", each["state"]) for name, each in rungs.items()}


def split(wire: list[inet.Datagram]) -> tuple[list[inet.Datagram], list[inet.Datagram]]:
    """Until the call is set up, and its media."""
    signalling = [each for each in wire if sip.looks_like_sip(each.payload)]
    return signalling, [each for each in wire if not sip.looks_like_sip(each.payload)]


def test_a_call_that_is_not_targeted_and_one_that_never_was_are_answered_alike(tmp_path, pki):
    world = World(names=("alice", "bob", "carol", "dave"))
    untargeted = world.call(world.party("carol"), world.party("dave"), "call-2@lab")
    untargeted.establish(world.held(owner="carol", peer="dave"))
    targeted = world.call()
    targeted.establish(world.held())

    async def test(site: Site) -> None:
        unknown = await site.ask("call-9@lab")
        assert [status(each) for each in unknown] == [404, 404]
        for each in datagrams(world):
            site.say(each)
        before = [await site.ask(call_id) for call_id in ("call-1@lab", "call-2@lab")]
        assert before == [unknown, unknown], "without a task all calls are unknown"
        site.activate()
        await site.until(lambda: site.df.counts["events"] >= 2 and site.keys.asked == 1)
        assert [status(each) for each in await site.ask()] == [200, 200]
        assert await site.ask("call-2@lab") == await site.ask("call-9@lab") == unknown
        site.poi.disarm(XID)
        site.df.end(XID, Instant(time.time_ns(), time.monotonic_ns()))
        assert await site.ask() == unknown, "and when the task is over, they are again"

    lasting(test, tmp_path, pki, world)


def test_the_two_questions_go_the_same_way(monkeypatch, tmp_path, pki):
    """Neither looks into the table of calls."""
    world = World()
    world.call().establish(world.held())

    async def test(site: Site) -> None:
        for each in datagrams(world):
            site.say(each)
        monkeypatch.setattr(site.poi, "core", None)
        unknown, known = await site.ask("call-9@lab"), await site.ask("call-1@lab")
        assert unknown == known
        monkeypatch.undo()

    lasting(test, tmp_path, pki, world)


def test_the_ladder_of_a_call_in_the_middle_of_which_a_task_was_armed(tmp_path, pki):
    world = World()
    call = world.call()
    call.establish(world.held())
    established = len(datagrams(world))
    call.talk(1)
    call.hang_up()
    wire = datagrams(world)

    async def test(site: Site) -> None:
        for each in wire[:established]:
            site.say(each)
        site.activate()
        await site.tap.until(4)
        await site.until(lambda: not site.df.open_questions)
        poi, df = await site.rungs()
        assert told(poi) == dict.fromkeys(("matched", "session", "ticket", "sent"), "done")
        assert "ran already" in poi["matched"]["said"] and poi["ticket"]["counts"] == {"exchanges": 1, "responses": 1}
        assert told(df) == {
            "events": "done",
            "session": "done",
            "keys": "done",
            "armed": "done",
            "packets": "no-packets",
            "handed over": "done",
        }
        assert df["armed"]["counts"] == {"places": 4} and df["keys"]["counts"]["asked"] == 1
        for each in wire[established:]:
            site.say(each)
        await site.until(lambda: site.df.counts["events"] >= 4)
        media = len(split(wire)[1])
        _, df = await site.rungs()
        assert df["content"]["counts"] == {"packets": media, "decrypted": media}
        assert df["handed over"]["counts"]["records"] == media and df["ended"]["said"] == "BYE"
        (task,) = body((await site.ask())[1])["tasks"]
        assert (task["xid"], task["liid"], task["mid_call"]) == (XID, "LI-1", True)
        assert {each["sender"] for each in task["forks"][0]["streams"]} == {"caller", "callee"}
        await asyncio.sleep(1.2)  # what lingered is let go, its counts stay
        _, df = await site.rungs()
        assert df["content"]["counts"] == {"packets": media, "decrypted": media} and not site.tap.places
        answers = b"".join(await site.ask())
        assert not re.search(rb"alice|@|\d+\.\d+\.\d+\.\d+", answers)

    lasting(test, tmp_path, pki, world)


def test_a_session_that_was_not_answered_yet(tmp_path, pki):
    world = World()
    call = world.call()
    call.establish(world.held())
    invite = datagrams(world)[0]

    async def test(site: Site) -> None:
        site.activate()
        site.say(invite)
        await site.until(lambda: site.df.counts["events"] >= 2)
        poi, df = await site.rungs()
        assert told(poi) | {"matched": "done"} == {
            "matched": "done",
            "session": "no-answer",
            "ticket": "done",
            "sent": "done",
        }
        assert told(df)["session"] == "no-answer" and df["packets"]["state"] == "waiting"

    lasting(test, tmp_path, pki, world)


def test_a_kms_that_refuses(tmp_path, pki):
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(0.2)

    async def refuse(query: Any, _: bytes | None) -> Any:
        return key_client.refused(query.query, "the warrant does not hold for sip:alice@example.com")

    async def test(site: Site) -> None:
        site.keys.keys = refuse  # type: ignore[method-assign]
        signalling, media = split(datagrams(world))
        for each in signalling:
            site.say(each)
        site.activate(encrypted=False)
        await site.tap.until(4)
        await site.until(lambda: not site.df.open_questions)
        for each in media:
            site.say(each)
        _, df = await site.rungs()
        assert told(df)["keys"] == "kms-refused" and df["keys"]["state"] == "missing"
        assert "does not hold" in df["keys"]["said"] and "alice" not in df["keys"]["said"]
        assert told(df)["content"] == "without-key"
        assert df["content"]["counts"] == {"packets": len(media), "without_key": len(media)}

    lasting(test, tmp_path, pki, world)


def test_keys_that_open_nothing(tmp_path, pki):
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(0.2)

    async def test(site: Site) -> None:
        signalling, media = split(datagrams(world))
        for each in signalling:
            site.say(each)
        site.activate(encrypted=False)
        await site.tap.until(4)
        await site.until(lambda: not site.df.open_questions)
        for each in media:
            spoilt = each.payload[:-1] + bytes([each.payload[-1] ^ 1])
            site.say(structs.replace(each, payload=spoilt))
        _, df = await site.rungs()
        assert told(df)["content"] == "tag-failures" and df["content"]["counts"]["tag_failures"] == len(media)

    lasting(test, tmp_path, pki, world)


def test_a_warrant_for_events_alone(tmp_path, pki):
    world = World()
    world.call().establish(world.held())

    async def test(site: Site) -> None:
        for each in datagrams(world):
            site.say(each)
        site.activate(content=False)
        await site.until(lambda: site.df.counts["events"] >= 2)
        _, df = await site.rungs()
        assert told(df) == {"events": "done", "content": "iri-only", "handed over": "done"}

    lasting(test, tmp_path, pki, world)


def test_events_outside_the_window(tmp_path, pki):
    world = World()
    world.call().establish(world.held())

    async def test(site: Site) -> None:
        later = time.time_ns() + 3_600_000_000_000
        site.df.order(XID, Agency(Terms("LI-1", later), Profile(), Network()), b"signed")
        site.poi.arm(Task(XID, (ALICE,)))
        for each in datagrams(world):
            site.say(each)
        await site.until(lambda: site.df.counts["outside"] >= 2)
        _, df = await site.rungs()
        assert told(df) == {"events": "outside-window"}

    lasting(test, tmp_path, pki, world)


def without_ticket(datagram: inet.Datagram, profile: bytes) -> inet.Datagram:
    head, _, sdp = datagram.payload.partition(b"\r\n\r\n")
    sdp = re.sub(rb"a=key-mgmt[^\r]*\r\n", b"", sdp).replace(b"RTP/SAVP", profile)
    head = re.sub(rb"(?i)content-length: *\d+", b"Content-Length: %d" % len(sdp), head)
    return structs.replace(datagram, payload=head + b"\r\n\r\n" + sdp)


def test_media_that_are_not_encrypted_need_no_keys(tmp_path, pki):
    world = World()
    call = world.call()
    call.establish(world.held())
    plain = [without_ticket(each, b"RTP/AVP") for each in datagrams(world)]

    async def test(site: Site) -> None:
        for each in plain:
            site.say(each)
        site.activate()
        await site.tap.until(4)
        poi, df = await site.rungs()
        assert told(poi)["ticket"] == told(df)["keys"] == "not needed" and site.keys.asked == 0

    lasting(test, tmp_path, pki, world)


def test_encrypted_media_without_a_ticket(tmp_path, pki):
    world = World()
    call = world.call()
    call.establish(world.held())
    bare = [without_ticket(each, b"RTP/SAVP") for each in datagrams(world)]

    async def test(site: Site) -> None:
        for each in bare:
            site.say(each)
        site.activate()
        await site.tap.until(4)
        poi, df = await site.rungs()
        assert told(poi)["ticket"] == told(df)["keys"] == "no-ticket"
        assert poi["ticket"]["state"] == df["keys"]["state"] == "missing"

    lasting(test, tmp_path, pki, world)

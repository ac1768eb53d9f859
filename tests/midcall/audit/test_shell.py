"""The audit as it runs: what is said to it is on the disk before it answers, and what it cannot keep is not done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import socket
import time

import msgspec
import pytest

from midcall.audit.shell import files
from midcall.audit.shell.files import FolderError, LogWriter
from midcall.audit.shell.keeper import Group
from midcall.base.audit_link import Act, AuditClient, Kind, NotAudited, Role, digest, values
from midcall.base.audit_link import client as clients
from tests.midcall.audit import made
from tests.midcall.audit.place import SALT, Place

XID = "29f28e1c-f230-486a-a860-f5a784ab9172"


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def entries(place: Place) -> list[dict]:
    assert made.check(place.log).found is None
    rows = [json.loads(row) for file in files.read(place.log) for row in file.lines]
    return [row for row in rows if "n" in row]


async def told(client: AuditClient) -> None:
    while client.waiting:
        await asyncio.sleep(0.001)


def test_an_intent_is_on_the_disk_before_the_act(place):
    async def go():
        async with place.running(), place.client() as client:
            intent = await client.intent(Act.TASK_ACTIVATE, client.digest(Kind.TASK, XID), actor=b"c" * 32)
            (before,) = [row for row in entries(place) if row["act"] == "task.activate"]
            intent.done(3)
            intent.failed()  # it ended already
        return before

    before = asyncio.run(go())
    first, intent, outcome, last = entries(place)
    assert (first["act"], last["act"]) == ("audit.start", "audit.stop")
    assert intent == before and (intent["phase"], intent["role"], intent["instance"]) == ("intent", "poi", 1)
    assert intent["object"] == digest(SALT, Kind.TASK, XID).hex() and intent["actor"] == (b"c" * 32).hex()
    assert (outcome["phase"], outcome["of"], outcome["outcome"], outcome["count"]) == (
        "outcome",
        intent["n"],
        "done",
        3,
    )
    assert outcome["object"] == intent["object"]
    text = b"".join(row for file in files.read(place.log) for row in file.lines)
    assert XID.encode() not in text and SALT.hex().encode() not in text


def test_many_writers_at_once_are_kept_in_groups(place):
    async def write(client, count):
        for number in range(count):
            intent = await client.intent(Act.KEYS_GIVE, bytes([number]) * 32)
            intent.refused(7)

    async def go():
        async with place.running(file_octets=20_000), place.client() as poi, place.client(Role.DF) as df:
            await asyncio.gather(*(write(client, 10) for client in (poi, df) for _ in range(5)))

    asyncio.run(go())
    rows = entries(place)
    assert len(rows) == 202
    ends = {row["of"]: row for row in rows if row["phase"] == "outcome"}
    assert {row["n"] for row in rows if row["phase"] == "intent"} == set(ends)
    assert len(files.names(place.log)) > 2, "it goes on in another file"
    assert made.check(place.log).unresolved == ()


def test_nothing_is_done_without_an_audit(place, monkeypatch):
    monkeypatch.setattr(clients, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)

    async def go():
        async with place.client(grace=0.01) as client:
            with pytest.raises(NotAudited):
                await client.intent(Act.TASK_ACTIVATE, b"x" * 32)
            assert not client.writable and client.overdue
            client.begin(Act.TASK_DEACTIVATE, b"y" * 32).done()
            async with place.running():
                while not client.writable:
                    await asyncio.sleep(0.01)
                assert not client.overdue
                monkeypatch.setattr(clients, "WAIT_SECONDS", 20)  # a disk may be slow
                (await client.intent(Act.TASK_ACTIVATE, b"z" * 32)).done()
                await told(client)

    asyncio.run(go())
    # What was refused never was; what ended something is told as soon as somebody listens.
    said = [(row["act"], row["phase"], row["object"][:2]) for row in entries(place)[1:-1]]
    assert said[0] == ("task.deactivate", "intent", "79")
    assert sorted(said[1:]) == [
        ("task.activate", "intent", "7a"),
        ("task.activate", "outcome", "7a"),
        ("task.deactivate", "outcome", "79"),
    ]
    assert not any(each[2] == "78" for each in said)


@pytest.fixture
def file_size():
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda octets: resource.setrlimit(resource.RLIMIT_FSIZE, (octets, former[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_a_disk_that_takes_half_of_a_group(place, file_size, monkeypatch):
    """Nothing of it has happened: activation is refused at once; when there is room again the log goes on."""
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)

    async def go():
        async with place.running() as keeper, place.client() as client:
            (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
            await told(client)
            file_size(sum(path.stat().st_size for path in place.log.glob("*.log")) + 300)
            with pytest.raises(NotAudited):
                await client.intent(Act.TASK_ACTIVATE, b"b" * 32)
            assert not client.writable and not keeper.writable
            client.event(Act.TASK_DEACTIVATE, b"c" * 32)
            await asyncio.sleep(0.05)
            file_size(resource.RLIM_INFINITY)
            (await client.intent(Act.TASK_ACTIVATE, b"d" * 32)).done()
            assert client.writable and keeper.writable
            assert await keeper.look() == "" and await keeper.check_all() == ""

    asyncio.run(go())
    acts = [(row["act"], row["phase"], row["object"][:2]) for row in entries(place) if row["object"]]
    assert ("task.activate", "intent", "62") not in acts
    assert ("task.deactivate", "event", "63") in acts and ("task.activate", "intent", "64") in acts


def test_a_disk_that_answers_too_late(place, monkeypatch):
    """Who waits is refused in time; that it was written all the same, and not done, stands behind it."""
    monkeypatch.setattr(clients, "WAIT_SECONDS", 0.1)
    write = LogWriter.write

    def later(self, octets, at) -> None:
        if b'"object":"62' in octets:
            time.sleep(0.3)
        write(self, octets, at)

    async def go():
        async with place.running(), place.client() as client:
            monkeypatch.setattr(LogWriter, "write", later)
            with pytest.raises(NotAudited):
                await client.intent(Act.TASK_ACTIVATE, b"b" * 32)
            while client.counts["kept"] < 2:
                await asyncio.sleep(0.001)

    asyncio.run(go())
    said = [(row["phase"], row["outcome"]) for row in entries(place) if row["object"]]
    assert said == [("intent", ""), ("outcome", "refused")]


def test_who_is_refused_a_thousand_times_fills_no_disk(place, monkeypatch):
    monkeypatch.setattr(clients, "OFTEN_SECONDS", 0.05)

    async def go():
        async with place.running(), place.client() as client:
            for _ in range(1_000):
                client.refused(Act.KEYS_GIVE, b"k" * 32, code=403)
            client.refused(Act.KEYS_GIVE, b"k" * 32, code=500)
            await asyncio.sleep(0.1)
            client.refused(Act.KEYS_GIVE, b"k" * 32, code=403)
            await told(client)

    asyncio.run(go())
    said = [(row["code"], row["count"], bool(row["object"])) for row in entries(place) if row["act"] == "keys.give"]
    assert said == [(403, 0, True), (500, 0, True), (403, 999, False), (403, 0, True)]


def test_who_is_refused_often_does_not_hide_others(place, monkeypatch):
    monkeypatch.setattr(clients, "OFTEN_SECONDS", 0.05)
    monkeypatch.setattr(clients, "OFTEN_APART", 3)
    actors = [bytes([number]) * 32 for number in range(1, 6)]

    async def go():
        async with place.running(), place.client() as client:
            for _ in range(3):
                for actor in actors:
                    client.refused(Act.LI_REFUSE, actor=actor)
            await asyncio.sleep(0.1)
            await told(client)

    asyncio.run(go())
    said = [(row["actor"][:2], row["count"]) for row in entries(place) if row["act"] == "li.refuse"]
    # Beyond the limit they are counted together: 6 of two actors, of whom the first was told.
    assert said == [("01", 0), ("02", 0), ("03", 0), ("04", 0), ("01", 2), ("02", 2), ("03", 2), ("", 5)]


def test_users_that_may_not_write(place, monkeypatch):
    monkeypatch.setattr(clients, "WAIT_SECONDS", 0.05)

    async def go():
        async with place.running(users=(os.geteuid() + 1,)), place.client() as client:
            assert not client.writable

    asyncio.run(go())
    assert len(entries(place)) == 2


def test_one_user_does_not_take_all_connections(place):
    async def go():
        loop = asyncio.get_running_loop()
        async with place.running():
            with contextlib.ExitStack() as opened:
                held = []
                for _ in range(20):
                    each = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                    each.setblocking(False)
                    await loop.sock_connect(each, os.fspath(place.socket))
                    held.append(each)
                refused = [asyncio.create_task(loop.sock_recv(each, 100)) for each in held]
                done, _ = await asyncio.wait(refused, timeout=0.3)
                assert len(done) == 4 and {task.result() for task in done} == {b""}
                for task in refused:
                    task.cancel()
                await asyncio.gather(*refused, return_exceptions=True)

    asyncio.run(go())


def test_a_role_that_is_not_the_users_own(place, monkeypatch):
    monkeypatch.setattr(clients, "WAIT_SECONDS", 0.05)

    async def go():
        async with place.running(), place.client(Role.ADMF) as client:
            assert not client.writable

    asyncio.run(go())


HELLO = values.packet(values.Hello(values.VERSION, Role.POI, 1, bytes(16)))


def noted(**fields: object) -> bytes:
    """A packet with one note, some fields of which are something else."""
    row = {"act": "task.activate", "phase": "event", "at": 1, "object": bytes(32), "warrant": None, "actor": None}
    row |= {"outcome": "", "code": 0, "count": 0, "of": None} | fields
    return msgspec.msgpack.encode([1, 0, [list(row.values())]])


@pytest.mark.parametrize(
    "packets",
    [
        [noted()],
        [HELLO, HELLO],
        [HELLO, b"x"],
        [HELLO, bytes(70_000)],
        [HELLO, noted(act="sip:alice@example.com")],
        [HELLO, noted(object=b"sip:alice@example.com")],
        [HELLO, noted(object="sip:alice@example.com")],
        [HELLO, noted(actor="+4930123456")],
        [HELLO, noted(code=1 << 16)],
        [HELLO, noted(count=-1)],
        [HELLO, noted(outcome="whatever")],
        [HELLO, noted(more="field")],
        [HELLO, msgspec.msgpack.encode([1, 0, msgspec.msgpack.decode(noted())[2] * 257])],
        [values.packet(values.Hello(2, Role.POI, 1, bytes(16)))],
        [values.packet(values.Hello(1, Role.AUDIT, 1, bytes(16)))],
    ],
)
def test_what_has_no_place_in_the_schema_closes_the_connection(place, packets):
    async def go():
        async with place.running():
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
                other.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(other, os.fspath(place.socket))
                for each in packets:
                    await loop.sock_sendall(other, each)
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(loop.sock_recv(other, 100), 5) == b""

    asyncio.run(go())
    assert len(entries(place)) == 2


# Starts and ends


def test_who_is_started_anew_does_not_know_what_became_of_its_intents(place):
    async def first():
        async with place.running(), place.client() as client:
            await client.intent(Act.TASK_ACTIVATE, b"a" * 32)
            await client.intent(Act.KEYS_ASK, b"b" * 32, warrant=b"w" * 32)

    async def again():
        async with place.running(), place.client(Role.DF) as df, place.client() as poi:
            assert df.writable and poi.writable
            poi.event(Act.TASK_ARM, b"a" * 32)

    asyncio.run(first())
    assert len(made.check(place.log).unresolved) == 2
    asyncio.run(again())
    assert made.check(place.log).unresolved == ()
    unknown = [row for row in entries(place) if row["outcome"] == "unknown"]
    assert [(row["of"], row["act"], row["warrant"][:2]) for row in unknown] == [
        (1, "task.activate", ""),
        (2, "keys.ask", "77"),
    ]


def test_an_intent_in_the_file_before_the_last_is_not_forgotten(place):
    async def first():
        async with place.running(file_octets=1_500), place.client() as client:
            await client.intent(Act.TASK_ACTIVATE, b"a" * 32)
            client.event(Act.TASK_ARM)
            await told(client)

    async def again():
        async with place.running(), place.client() as client:
            assert client.writable

    asyncio.run(first())
    assert [int(name[:20]) for name in files.names(place.log)] == [0, 2]
    asyncio.run(again())
    assert [row["outcome"] for row in entries(place) if row["phase"] == "outcome"] == ["unknown"]


def test_what_has_ended_is_not_ended_again(place):
    async def go():
        async with place.running():
            async with place.client() as client:
                (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
                await client.intent(Act.TASK_ACTIVATE, b"b" * 32)
                await told(client)
            async with place.client() as client:
                assert client.writable
                client.event(Act.TASK_ARM)
                await told(client)

    asyncio.run(go())
    ends = [(row["of"], row["outcome"]) for row in entries(place) if row["phase"] == "outcome"]
    assert sorted(ends) == [(1, "done"), (2, "unknown")] or sorted(ends) == [(1, "done"), (3, "unknown")]


def test_two_of_one_role_and_number_leave_each_other_alone(place):
    """As instances with names are, whose number is 1."""

    async def go():
        async with place.running(), place.client() as one:
            intent = await one.intent(Act.TASK_ACTIVATE, b"a" * 32)
            async with place.client() as other:
                (await other.intent(Act.TASK_ACTIVATE, b"b" * 32)).done()
                (await one.intent(Act.TASK_ACTIVATE, b"c" * 32)).done()
                left = await other.intent(Act.TASK_ACTIVATE, b"d" * 32)
                (await one.intent(Act.TASK_ACTIVATE, b"e" * 32)).done()
                left.done()
                await told(other)
            intent.done()
            await told(one)

    asyncio.run(go())
    assert {row["outcome"] for row in entries(place) if row["phase"] == "outcome"} == {"done"}


def test_an_audit_that_is_started_again_goes_on_with_who_is_still_there(place, monkeypatch):
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(clients, "PROBE_SECONDS", 0.1)

    async def go():
        async with place.client() as client:
            async with place.running():
                intent = await client.intent(Act.TASK_ACTIVATE, b"a" * 32)
            intent.done()
            async with place.running():
                (await client.intent(Act.TASK_ACTIVATE, b"b" * 32)).done()
                await told(client)

    asyncio.run(go())
    assert [row["outcome"] for row in entries(place) if row["phase"] == "outcome"] == ["done", "done"]


def test_what_a_kill_left_half_written_is_gone_and_told(place):
    async def go():
        async with place.running():
            pass

    asyncio.run(go())
    (path,) = place.log.glob("*.log")
    good = path.read_bytes()
    for tail in (b'{"n":2,"wall":1', good.splitlines(keepends=True)[1].replace(b'"n":0', b'"n":2')[:-5]):
        with path.open("ab") as file:
            file.write(tail)
        asyncio.run(go())
        torn = [row for row in entries(place) if row["act"] == "audit.torn"]
        assert torn[-1]["count"] == len(tail)


def test_one_process_writes_a_log(place):
    keeper = place.keeper()
    with pytest.raises(FolderError, match="another process"):
        place.keeper()
    asyncio.run(keeper.close())


def test_groups_that_come_at_once_are_written_one_after_the_other(place):
    """Also when nobody waits for one of them any more."""

    async def go():
        async with place.running() as keeper:
            groups = [[Group(made.POI, [made.note(number)] * 3)] for number in range(20)]
            writing = [asyncio.create_task(keeper.write(each)) for each in groups]
            await asyncio.sleep(0)
            for each in writing[::3]:
                each.cancel()
            await asyncio.gather(*writing, return_exceptions=True)
            return keeper.place.head

    head = asyncio.run(go())
    assert len(entries(place)) == 62
    assert made.KEY.head(head).number <= made.check(place.log).place.heads


def test_what_was_said_before_the_end_is_answered(place, monkeypatch):
    monkeypatch.setattr(clients, "WAIT_SECONDS", 0.01)

    async def go():
        async with place.client() as client:
            async with place.running():
                while not client.writable:
                    await asyncio.sleep(0.001)
                for number in range(200):
                    client.put(made.note(number))
                await asyncio.sleep(0.01)
            return client.counts["kept"]

    kept = asyncio.run(go())
    assert len([row for row in entries(place) if row["role"] == "poi"]) == kept > 0

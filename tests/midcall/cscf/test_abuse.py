"""What somebody could make of the proxy: a relay, a reflector, a way inside, a heap of what never ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import AsyncExitStack

import pytest

from imswire import sip
from imswire.sip import SipError
from midcall.base.tls_door import HANDSHAKES
from midcall.config.cscf_tables import CscfLimits
from midcall.cscf import contexts
from midcall.cscf.location import SECOND, Binding, LocationTable
from midcall.cscf.overload import VERY_LATE
from midcall.cscf.registrar import Challenge
from midcall.cscf.routing import StaticRoute
from midcall.cscf.sending import PASSES
from midcall.cscf.shell.names import Resolver
from midcall.cscf.shell.streams import Connection, StreamLimits, Streams
from midcall.cscf.trust import Peer
from midcall.cscf.values import Found, Hop, Out, Resolve
from tests.midcall.cscf import live
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, Stage, request, response
from tests.midcall.cscf.test_claims import credentials, from_
from tests.midcall.cscf.test_registrar import Office
from tests.midcall.cscf.test_service import SECONDS, Site, running
from tests.midcall.cscf.test_trust import Overload as Load
from tests.midcall.cscf.test_trust import gate, late, message

HERE, TCP = "SIP/2.0/UDP 192.0.2.1:5060", "SIP/2.0/TCP 192.0.2.10"


def invited(stage: Stage, text: str = "") -> sip.SipMessage:
    return next(each for _, each in stage.say(text or request(), ALICE) if each.is_request)


def without_next_via(text: str) -> str:
    first, second, *rest = text.split("\r\n")
    assert rest[0].startswith("Via: ")
    return "\r\n".join([first, second, *rest[1:]])


# Marks


def test_what_a_stranger_is_told_of_a_call_opens_nothing():
    """Neither the tag of a refusal nor the branch of a Via is the mark of a dialog."""
    stage = Stage()
    invite = invited(stage)
    mark = (invite.first("Record-Route") or "").partition(";mc=")[2].rstrip(">")
    ((_, refused),) = stage.say(request("OPTIONS", "sip:nobody@home.example", branch="z9hG4bKo"), CAROL)
    told = (refused.to_tag or "", (invite.top_branch or "").split(".")[1])
    assert refused.status == 404 and len({mark, told[0].removeprefix("mc"), told[1]}) == 3
    for seal, inside in ((mark, True), (told[0].removeprefix("mc"), False), (told[1], False)):
        route = f"Route: <sip:192.0.2.1:5060;lr;mc={seal}>"
        stage.say(request("MESSAGE", "sip:x@far.example", route, branch=f"z9hG4bK{seal}", to_tag="b"), CAROL)
        assert stage.gate.asked[-1][1].inside is inside


def test_a_mark_is_for_what_belongs_to_a_dialog():
    """With the mark of a call of his own nobody begins another one, to wherever he likes."""
    stage = Stage()
    route = f"Route: {invited(stage).first('Record-Route')}"
    for method in ("INVITE", "MESSAGE"):
        stage.say(request(method, "sip:x@far.example", route, branch=f"z9hG4bK{method}"), CAROL)
        plan = stage.gate.asked[-1][1]
        assert not plan.inside and plan.outward


def test_no_relay_for_strangers(tmp_path):
    """By the tag of a refusal, over real sockets."""

    async def go() -> None:
        site = Site(tmp_path)
        config = site.config(digest=True)
        async with running(config), live.caller() as caller, live.caller() as elsewhere:
            caller.send(from_(caller, request("OPTIONS", "sip:nobody@home.example")), site.port)
            await caller.until(b"SIP/2.0 404")
            seal = (sip.parse(caller.got.pop()).to_tag or "").removeprefix("mc")
            route = f"Route: <sip:127.0.0.1:{site.port};lr;mc={seal}>"
            to = f"sip:127.0.0.1:{elsewhere.place[1]}"
            caller.send(from_(caller, request("MESSAGE", to, route, branch="z9hG4bK2", to_tag="b")), site.port)
            await caller.until(b"SIP/2.0 403")
            assert elsewhere.got == []

    live.run(go())


@pytest.mark.parametrize(
    "next_via", ["SIP/2.0/UDP 203.0.113.9:53", "SIP/2.0/TCP 127.0.0.1:9464", "SIP/2.0/UDP h;rport=²"]
)
def test_a_late_response_goes_to_who_asked_and_nobody_else(next_via):
    """Who has seen a branch of ours cannot have the octets of his choice sent anywhere."""
    invite = invited(Stage(run="run1"))
    text = response(invite, 200).replace(f"Via: {invite.values('Via')[1]}", f"Via: {next_via};branch=z9hG4bKx")
    stage = Stage(run="run2")
    assert stage.say(text, BOB) == [] and stage.proxy.counts["stray responses"] == 1


# The inside of this host

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "224.0.0.1",
    "ff02::1",
]  # noqa: S104


@pytest.mark.parametrize("host", [*INSIDE, "255.255.255.255"])
def test_nobody_outside_has_a_request_sent_inside(host):
    place = Hop("tcp", host, 9464)
    assert not gate().opens(ALICE, place)
    assert gate().opens(Hop("udp", "127.0.0.1", 5070), place) and gate().opens(ALICE, BOB)
    assert gate(Peer(network=host)).opens(ALICE, place)


def test_what_leads_inside_is_refused():
    """By route, by Request-URI, by Path; not where the configuration or a phone of this host leads."""
    stage = Stage(StaticRoute((("sip:127.0.0.1:5080", 1),), domain="far.example"))
    stage.gate.opens = gate().opens  # type: ignore[method-assign]
    stage.bind("carol", "sip:c@192.0.2.30", path=("<sip:127.0.0.1:9464;transport=tcp;lr>",))
    stage.bind("dan", "sip:dan@127.0.0.1:5070")
    inside = [
        request("INVITE", "sip:127.0.0.1:9464;transport=tcp"),
        request("INVITE", "sip:x@192.0.2.9;maddr=127.0.0.1", branch="z9hG4bK2"),
        request("MESSAGE", "sip:x@y", "Route: <sip:[::1]:9464;lr>", branch="z9hG4bK3"),
        request("INVITE", "sip:carol@home.example", branch="z9hG4bK4"),
    ]
    for text in inside:
        assert [each.status for _, each in stage.say(text, ALICE)][-1] in (403, 503)
        assert stage.proxy.running[1] == 0
    assert stage.say(request("ACK", "sip:127.0.0.1:9464", branch="z9hG4bK5"), ALICE) == []
    for number, uri in enumerate(("sip:x@far.example", "sip:dan@home.example")):
        ((to, _),) = stage.say(request("MESSAGE", uri, branch=f"z9hG4bKm{number}"), ALICE)
        assert to.host == "127.0.0.1"


def test_a_contact_leads_to_where_it_was_registered_from():
    office = Office()
    office.ask("Contact: <sip:a@192.0.2.10;maddr=127.0.0.1>")
    assert [each.flow for each in office.table.contacts("sip:alice@home.example", 0)] == [ALICE]


def test_a_user_agent_says_no_path():
    """RFC 3327 6.1: neighbours do. Else whoever has a password sends his calls to anybody."""
    office = Office()
    path = "Path: <sip:203.0.113.9:53;lr>"
    office.challenge = Challenge("alice", neighbour=False)
    status, lines = office.ask("Contact: <sip:a@10.0.0.1>", path)
    assert status == 200 and path not in lines
    (contact,) = office.table.contacts("sip:alice@home.example", 0)
    assert contact.path == () and contact.flow == ALICE
    office.challenge = Challenge("alice")
    assert path in office.ask("Contact: <sip:a@10.0.0.1>", path)[1]
    with pytest.raises(SipError):
        office.ask("Contact: <sip:a@10.0.0.1>", "Path: <tel:+1>")
    with pytest.raises(SipError):
        office.ask("Contact: <sip:a@10.0.0.1>;q=0.²")


# Connections


def test_who_has_gone_before_he_is_looked_at(tmp_path):
    """Reset at once: nothing is left of it, and nothing goes wrong."""

    def knock(port: int) -> None:
        for number in range(100):
            with socket.socket() as made:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                made.connect(("127.0.0.1", port))
                made.send(b"OPTIONS sip:x SIP/2.0\r\n" * (number % 2))

    async def go() -> None:
        async with live.proxy(Site(tmp_path)) as proxy, live.caller() as good:
            await asyncio.to_thread(knock, proxy.port)
            for _ in range(20):
                await good.good_request(proxy.port)
            async with asyncio.timeout(SECONDS):
                while proxy.connections:
                    await asyncio.sleep(0.001)

    live.run(go())


def test_where_room_is_scarce_who_says_nothing_goes_first(tmp_path):
    """Pings are nothing; who has brought a message stays, and who comes finds room."""

    async def go() -> None:
        limits = CscfLimits(connections=20, each_host=1_000, message_seconds=0.05)
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(live.proxy(Site(tmp_path), limits))
            assert proxy.service.worker.streams is not None
            used = await stack.enter_async_context(live.stream(proxy.port))
            used.writer.write(request("OPTIONS", "sip:127.0.0.1", via="SIP/2.0/TCP 192.0.2.10").encode())
            await used.until(b"SIP/2.0 ")
            silent = [await stack.enter_async_context(live.stream(proxy.port)) for _ in range(19)]
            for each in silent:
                await each.lives()
            await asyncio.sleep(0.1)
            proxy.service.worker.streams.sweep()
            for each in silent:
                await each.until_closed()
            assert proxy.service.worker.streams.counts["idle connections"] == 19
            await used.lives()
            await (await stack.enter_async_context(live.stream(proxy.port))).lives()

    live.run(go())


def test_one_network_has_one_share(tmp_path):
    """Of IPv6 that is what one subscriber has, however many addresses there are in it."""

    async def go() -> None:
        made = Streams(lambda *_: None, lambda _: None, StreamLimits(each_host=2))
        found: list[bool] = []
        for number, host in enumerate(("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "192.0.2.1"), 1):
            connection = Connection(made, 0, None)
            connection.hop = Hop("tcp", host, 5060, number)
            found.append(made.opened(connection))
        assert found == [True, True, False, True, True]

    asyncio.run(go())


def test_handshakes_of_one_network_take_no_others_place(tmp_path):
    """Who is slow elsewhere goes on while one network opens more than there is room for."""

    async def go() -> None:
        site = Site(tmp_path)
        config = site.config(to=9, tls=True)
        context = ssl.create_default_context(cafile=str(tmp_path / "pki" / "ca.pem"))
        context.check_hostname = False
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(config))
            slow = socket.create_connection(("127.0.0.1", site.tls), source_address=("127.0.0.2", 0))
            for _ in range(HANDSHAKES + 20):
                await stack.enter_async_context(live.stream(site.tls))
            reader, writer = await asyncio.open_connection(sock=slow, ssl=context, server_hostname="cscf")
            writer.write(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            writer.close()

    live.run(go())


# What never ends


@pytest.mark.parametrize("status", [180, 200, 302, 408, 486, 503, 603])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_an_answer_that_cannot_go_back_changes_nothing(method, status):
    """Without a Via behind ours it would have ended a branch, and left its request for ever."""
    stage = Stage()
    invite = invited(stage, request(method))
    assert stage.say(without_next_via(response(invite, status)), BOB) == []
    assert stage.proxy.counts["bad responses"] == 1
    assert [each.status for _, each in stage.say(response(invite, 486), BOB)][-1] == 486
    stage.wait(400_000)
    assert stage.proxy.running == (0, 0) and stage.proxy._contexts.octets == 0


def test_what_has_no_room_for_our_lines_is_refused():
    """Nobody could read it, nor we write its CANCEL."""
    stage = Stage()
    text = request("INVITE", "sip:bob@home.example", *["X: y"] * 1_014)
    assert [each.status for _, each in stage.say(text, ALICE)] == [100, 513]
    long = request("INVITE", "sip:bob@home.example", "X: " + "y" * 65_250, branch="z9hG4bK2")
    assert [each.status for _, each in stage.say(long, ALICE)] == [100, 513]
    most = request("INVITE", "sip:bob@home.example", *["X: y"] * 980, branch="z9hG4bK3")
    stage.say(response(invited(stage, most), 180), BOB)
    assert "CANCEL" in [each.is_request and each.method for _, each in stage.wait(200_000)]


def test_a_cancel_is_sent_once():
    """However often the one who is called says that it rings."""
    stage = Stage()
    invite = invited(stage)
    stage.say(response(invite, 180), BOB)
    sent = stage.say(request("CANCEL"), ALICE)
    for _ in range(20):
        sent += stage.say(response(invite, 183), BOB)
    assert [each.is_request and each.method for _, each in sent].count("CANCEL") == 1


def test_octets_of_what_is_under_way_are_bounded(monkeypatch):
    """By strangers half of them; they are free again when it is over."""
    monkeypatch.setattr(contexts, "HELD_OCTETS", 400_000)
    stage = Stage()
    stage.gate.admission = stage.gate.admission._replace(stranger=True)
    body = "x" * 20_000

    def say(number: int) -> list[int | None]:
        text = request("MESSAGE", branch=f"z9hG4bK{number}", call_id=f"{number}", body=body)
        return [each.status for _, each in stage.say(text, ALICE)]

    assert sum(say(number) == [503] for number in range(10)) == 5
    stage.gate.admission = stage.gate.admission._replace(stranger=False)
    assert sum(say(number) == [503] for number in range(10, 20)) == 5
    stage.wait(400_000)
    assert stage.proxy._contexts.octets == 0 and say(20) == [None]


def test_a_request_does_not_come_by_for_ever():
    """However its URI changes: contacts, one after another, that each lead to others here."""
    stage = Stage()
    via = "".join(f"Via: {HERE};branch=z9hG4bKrun1{number}.s.x\r\n" for number in range(PASSES))
    for count, status in ((PASSES - 1, 100), (PASSES, 482)):
        more = via.split("\r\n")[:count]
        sent = stage.say(request("INVITE", "sip:bob@home.example", *more, branch=f"z9hG4bKa{count}"), ALICE)
        assert sent[0][1].status == status


def test_a_fault_of_our_own_costs_one_transaction(monkeypatch):
    stage = Stage()
    for number in range(3):
        invite = invited(stage, request(branch=f"z9hG4bK{number}", call_id=f"{number}"))
        stage.say(response(invite, 180), BOB)
    companion, calls = contexts.companion, iter(range(9))

    def faulty(*given: object) -> bytes:
        if next(calls) == 1:
            raise ValueError
        return companion(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(contexts, "companion", faulty)
    stage.now = 182_000_000_000
    sent = [sip.parse(each.octets) for each in stage.proxy.deadline(stage.now)]  # type: ignore[union-attr]
    assert sorted(str(each.status or each.method) for each in sent) == ["500", "CANCEL", "CANCEL"]
    assert [type(each) for each in stage.proxy.take_faults()] == [ValueError] and stage.proxy.take_faults() == []


def test_emergency_calls_are_those_to_emergency_services():
    overload = late(Load(lambda _: 0), VERY_LATE)
    for uri in ("urn:service:sos", "URN:Service:SOS.police", "urn:service:sos.ecall.automatic"):
        assert overload.shed(message(uri=uri)) is None
    for uri in ("urn:service:sosx", "urn:service:sos@home.example", "sip:sos@home.example", "urn:service:sos\n"):
        assert overload.shed(message(uri=uri.strip())) is not None or uri.endswith("\n")


@pytest.mark.parametrize("maddr", ["a\0b", "%00", "a%20b", "ü.example", "a" * 254, "%25"])
def test_a_host_that_is_none(maddr):
    """It is not looked up, and nothing waits for it."""
    stage = Stage()
    for number, uri in enumerate((f"sip:x@far.example;maddr={maddr}", "sip:%31@far.example;maddr=192.0.2.%32%30")):
        sent = stage.outs(request("MESSAGE", uri, branch=f"z9hG4bK{number}"), ALICE)
        assert isinstance(sent[0], Out) and sent[0].hop == (ALICE, BOB)[number]
    assert stage.proxy.running == (2, 1)


def test_a_name_that_cannot_be_looked_up_is_nowhere():
    async def go() -> None:
        found: list[Found] = []
        resolver = Resolver(lambda _, there: found.append(there), ())
        for host in ("a\0b", "a" * 300, "a..b", "\udcff"):
            resolver.ask(Resolve(host, port=5060, services=False))
        async with asyncio.timeout(SECONDS):
            while len(found) < 4:
                await asyncio.sleep(0.001)
        assert not any(each.spots for each in found)
        resolver.close()

    asyncio.run(go())


def test_a_name_is_asked_for_once():
    async def go() -> None:
        found: list[Resolve] = []
        resolver = Resolver(lambda asked, _: found.append(asked), ())
        for _ in range(1_000):
            resolver.ask(Resolve("localhost", port=5060, services=False))
        assert len(resolver._tasks) == 1
        while not found:
            await asyncio.sleep(0.001)
        assert len(found) == 1 and not resolver._asked
        resolver.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("Max-Forwards", "70"),
        ("Call-ID", "call-1"),
        ("Via", "z9hG4bKa1"),
        ("From", ";tag=a"),
        ("Content-Length", "Length: 0"),
    ],
)
def test_nobody_hides_a_line_behind_half_a_line_end(place, value):
    """A next hop that takes CR for the end of a line would see an identity that we have asserted."""
    hidden = "\rP-Asserted-Identity:<sip:boss@home.example>"
    whole = request("INVITE", "sip:bob@home.example", "Subject: a")
    for text in (whole.replace(value, value + hidden, 1), whole.replace("Subject: a", "Subject: a" + hidden)):
        stage = Stage()
        assert [each.status for _, each in stage.say(text, ALICE)] == [400], place
    stage = Stage()
    invite = invited(stage)
    assert stage.say(response(invite, 200, "Subject: a" + hidden), BOB) == []
    assert stage.proxy.counts["bad responses"] == 1


def test_registrations_that_are_over_go_however_many_hold():
    """Those that are refreshed for ever do not keep the others from being looked at."""
    table = LocationTable(3_000)
    for number in range(2_000):
        until = SECOND if number % 2 and number > 1_000 else 1 << 60
        table.put(f"sip:{number}@home.example", [Binding("k", "sip:x@y", until, "c", 1)])
    for _ in range(3):
        table.expire(2 * SECOND, 1_000)
    assert len(table) == 1_500 and not table.expire(2 * SECOND, 3_000)


def test_a_connection_of_a_former_run_is_nobodys(tmp_path):
    """Registrations outlive the process, connections do not: the next one that comes is not who registered by its
    number, and gets no calls of his.
    """

    async def go() -> None:
        site = Site(tmp_path)
        config = site.config(digest=True)
        register = request("REGISTER", "sip:home.example", "Contact: <sip:alice@192.0.2.9>", via=TCP, call_id="r")
        register = register.replace("To: <sip:bob@", "To: <sip:alice@")
        async with running(config), live.stream(site.port) as phone:
            phone.writer.write(register.encode())
            await phone.until(b"SIP/2.0 401")
            line = credentials(phone.messages[0], "REGISTER", "sip:home.example").replace("Proxy-", "")
            again = register.replace("CSeq: 1", "CSeq: 2").replace("Contact:", f"{line}\r\nContact:")
            phone.writer.write(again.replace("z9hG4bKa1", "z9hG4bKa2").encode())
            await phone.until(b"SIP/2.0 200")
            await asyncio.sleep(0.3)  # it is written
        async with running(config) as service, live.stream(site.port) as stranger, live.caller() as caller:
            assert len(service._built.location) == 1
            stranger.writer.write(request("INVITE", "sip:192.0.2.99", via=TCP).encode())
            await stranger.until(b"SIP/2.0 407")
            text = request("INVITE", "sip:alice@home.example").replace("From: <sip:alice@home", "From: <sip:x@far")
            caller.send(from_(caller, text), site.port)
            await caller.until(b"SIP/2.0 100")
            await stranger.lives()
            assert stranger.statuses() == [407]

    live.run(go())


def test_who_alone_has_registered_from_a_place():
    """However many others have come and gone; and nobody, while there may be another one."""
    table = LocationTable(100)
    names = [f"sip:{number}@home.example" for number in range(9)]

    def register(aor: str, *sources: Hop) -> None:
        table.put(aor, [Binding(f"{each}", "sip:x@y", SECOND, "c", 1, source=each) for each in sources])

    stream = Hop("tcp", "192.0.2.10", 5060, 7)
    register(names[0], ALICE, stream)
    assert table.only_one_from(ALICE, 0) == table.only_one_from(stream, 0) == names[0]
    assert table.only_one_from(ALICE, 2 * SECOND) is None and table.only_one_from(BOB, 0) is None
    assert table.only_one_from(stream._replace(connection=8), 0) is None
    register(names[1], ALICE)
    assert table.only_one_from(ALICE, 0) is None and table.only_one_from(stream, 0) == names[0]
    register(names[1], BOB)
    assert table.only_one_from(ALICE, 0) == names[0] and table.only_one_from(BOB, 0) == names[1]
    for each in names:
        register(each, ALICE)
    for gone in range(1, 8):
        register(names[gone])
        assert table.only_one_from(ALICE, 0) is None
    register(names[0])
    register(names[8])
    assert len(table) == 0 and len(table._flows) == 0

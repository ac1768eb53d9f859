"""The POI's end against the real other end, over real TLS and Unix streams, with damage in between."""

from __future__ import annotations

import asyncio
import random
import ssl

import pytest

from imswire import x2x3
from midcall.base.lab_pki import uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.x2_link import TlsPeer, UnixPeer, X2Client, X2LinkSettings
from tests.midcall.base.x2_link.world import (
    NERVOUS,
    POIS,
    QUICK,
    TIME,
    US,
    Df2,
    Pki,
    Poi,
    Proxy,
    alternate,
    event,
    events,
    journal,
    run,
)


def test_over_tls_in_order_with_the_name_of_the_peer(pki, folder):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port), journal(folder))
        given = events(3_000)
        for at in range(0, 3_000, 100):
            assert await poi.put(given[at : at + 100])
        await poi.done()
        assert df2.octets == given
        assert {batch.peer for batch in df2.batches} == {uri("poi")}
        assert poi.client.counters.released == poi.client.counters.kept == 3_000
        assert poi.states() == ["up", "down"]
        await df2.stop()
        assert df2.states() == ["up", "down"]

    run(test)


def test_what_is_given_to_a_link_that_is_up_is_on_its_way_at_once(folder):
    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        poi = Poi(UnixPeer(folder / "x2", US), journal(folder))
        poi.put(events(1))
        await df2.until(lambda: len(df2.octets) == 1)
        for number in range(1, 4):
            poi.put(events(1, number))
            assert poi.client.counters.sent == number + 1
        await poi.done()
        assert df2.octets == events(4)
        await df2.stop()

    run(test)


def test_over_a_unix_stream(folder):
    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        poi = Poi(UnixPeer(folder / "x2", US))
        poi.put(events(10))
        await poi.done()
        assert df2.octets == events(10)
        assert {batch.peer for batch in df2.batches} == {f"unix:{next(iter(US))}"}
        await df2.stop()
        assert not (folder / "x2").exists()

    run(test)


def test_no_answer_before_the_commit(folder):
    """What is sent stays in the buffer as long as DF2 works on it."""

    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_: object) -> None:
            begun.set()
            await go_on.wait()

        df2.first = wait
        poi = Poi(UnixPeer(folder / "x2", US))
        poi.put(events(5))
        await begun.wait()
        assert poi.client.queued > 0 and not poi.client.counters.released
        go_on.set()
        await poi.done()
        assert poi.client.counters.released == 5
        await df2.stop()

    run(test)


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "disk"])
def test_resets_inside_pdus(pki, folder, durable):
    """Cuts at random places; all comes, in order, once: DF2 knows a repetition that it has committed."""

    async def test() -> None:
        draw = random.Random(5)
        df2 = await Df2().tls(pki)
        proxy = await Proxy(df2.port).start()
        proxy.cut = lambda: draw.randrange(1_500, 50_000) if proxy.cuts < 25 else None
        poi = Poi(pki.peer(proxy.port), journal(folder) if durable else None)
        given = events(2_500)
        for at in range(0, 2_500, 40):
            await poi.put(given[at : at + 40])
            await asyncio.sleep(0)
        await poi.done()
        assert proxy.cuts == 25
        assert df2.octets == given
        assert poi.client.counters.resent > 0
        assert not df2.gaps
        for states in (poi.states(), df2.states()):
            assert alternate(states, "up", "down") and alternate(states, "fault", "cleared")
        await proxy.stop()
        await df2.stop()

    run(test)


def test_a_black_hole_is_noticed_told_and_left(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        proxy = await Proxy(df2.port).start()
        poi = Poi(pki.peer(proxy.port), settings=NERVOUS)
        poi.put(events(3))
        await poi.until("up")
        proxy.hole = True
        poi.put(events(3, 3))
        await poi.until("fault")
        proxy.hole = False
        await poi.until("cleared")
        await poi.done()
        assert df2.octets == events(6)
        fault = next(each for each in poi.events if each.state == "fault")
        assert "answer" in fault.reason
        assert poi.states()[:5] == ["up", "fault", "down", "up", "cleared"]
        assert alternate(poi.states(), "up", "down") and alternate(poi.states(), "fault", "cleared")
        await proxy.stop()
        await df2.stop()

    run(test)


def test_who_takes_nothing_any_more_is_noticed_behind_a_full_connection(folder):
    """The client waits for room, and for answers all the same; what was not proved comes when there is room."""

    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        go_on = asyncio.Event()

        async def wait(_: object) -> None:
            await go_on.wait()

        df2.first = wait
        poi = Poi(UnixPeer(folder / "x2", US), settings=NERVOUS)
        given = events(6, size=3 << 19)
        poi.put(given)
        await poi.until("fault")
        assert poi.states() == ["up", "fault"]
        go_on.set()
        await poi.done()
        assert df2.octets == given
        await df2.stop()

    run(test)


def test_a_mediation_function_that_is_not_there_yet(pki, folder):
    """What is given before is sent once it is; one fault, however many attempts."""

    async def test() -> None:
        before = await Df2().tls(pki)
        port = before.port
        await before.stop()
        poi = Poi(pki.peer(port), journal(folder))
        await poi.put(events(7))
        await poi.until("fault")
        df2 = await Df2().tls(pki, port)
        await poi.done()
        assert df2.octets == events(7)
        assert poi.states() == ["fault", "up", "cleared", "down"]
        await df2.stop()

    run(test)


def test_a_restart_of_the_point_of_interception(pki, folder):
    """What the one before kept and could not send goes first."""

    async def test() -> None:
        df2 = Df2()
        poi = Poi(pki.peer(9), journal(folder))
        assert await poi.put(events(50))
        await poi.until("fault")
        await poi.cut()
        await df2.tls(pki)
        poi = Poi(pki.peer(df2.port), journal(folder))
        assert poi.client.counters.restored == 50
        await poi.put(events(50, 50))
        await poi.done()
        assert df2.octets == events(100)
        assert poi.client.counters.kept == poi.client.counters.released == 100
        again = journal(folder)
        assert again.load() == [] and again.last_id() >= 2
        again.close()
        await df2.stop()

    run(test)


def test_a_restart_of_the_mediation_function(pki, folder):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port), journal(folder))
        given = events(1_000)
        octets: list[bytes] = []
        for at in range(0, 1_000, 100):
            await poi.put(given[at : at + 100])
            await df2.until(lambda at=df2: bool(at.octets))
            await df2.stop()
            octets += df2.octets
            df2 = await Df2().tls(pki, df2.port)
        await poi.done()
        octets += df2.octets
        # A server that begins anew does not know what the one before has committed: repetitions, never a loss.
        assert list(dict.fromkeys(octets)) == given
        await df2.stop()

    run(test)


def test_who_is_not_who_it_should_be_is_sent_nothing(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        for peer in (pki.peer(df2.port, wanted="lemf"), pki.peer(df2.port, role="lemf")):
            poi = Poi(peer)
            poi.put(events(1))
            await poi.until("fault")
            assert poi.states() == ["fault"]
            await poi.cut()
        assert not df2.octets and df2.server.counters.refused
        await df2.stop()

    run(test)


def test_nothing_is_lost_while_the_ends_are_renewed(pki):
    """A POI that is admitted no more is gone at once; all that it was given comes when it is again."""

    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port))
        poi.put(events(10))
        await df2.until(lambda: len(df2.octets) == 10)
        assert df2.end.renew(TlsEnd(pki.server(), POIS)) == 0
        poi.put(events(10, 10))
        await df2.until(lambda: len(df2.octets) == 20)
        assert poi.client.counters.connections == 1, "it stands"
        assert df2.end.renew(TlsEnd(pki.server(), PeerName(uri("tap")))) == 1
        await poi.until("down")
        poi.put(events(10, 20))
        df2.end.renew(TlsEnd(pki.server(), POIS))
        await poi.done()
        assert df2.octets == events(30) and poi.client.counters.dropped == 0
        await df2.stop()

    run(test)


def test_another_user_behind_the_socket_is_sent_nothing(folder):
    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        poi = Poi(UnixPeer(folder / "x2", frozenset((max(US) + 1,))))
        poi.put(events(1))
        await poi.until("fault")
        assert "not allowed" in poi.events[0].reason and poi.client.counters.refused
        await poi.cut()
        await df2.stop()

    run(test)


class Foreign:
    """A mediation function that answers as it is told, over plain TCP behind the client's TLS."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.octets: list[bytes] = []

    async def start(self, pki: Pki) -> Foreign:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=pki.server(), ssl_shutdown_timeout=0.1
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        splitter = x2x3.Splitter()
        try:
            while data := await receive.read(1 << 16):
                for octets in splitter.feed(data):
                    pdu = x2x3.parse(octets)
                    if x2x3.is_keepalive(pdu):
                        send.write(self.answer(pdu))  # type: ignore[operator]
                    else:
                        self.octets.append(octets)
        except OSError:
            pass
        finally:
            send.transport.abort()


def test_a_foreign_mediation_function_proves_by_its_answers(pki):
    async def test() -> None:
        mdf = await Foreign(lambda pdu: x2x3.build(x2x3.acknowledgement(pdu))).start(pki)
        poi = Poi(pki.peer(mdf.port))
        poi.put(events(20))
        await poi.done()
        assert mdf.octets == events(20)
        await mdf.stop()

    run(test)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda pdu: x2x3.build(x2x3.acknowledgement(x2x3.keepalive(pdu.sequence + 7))), "no valid answer"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "no X2/X3 PDUs"),
        (lambda _: event(0) * 60, "answer nothing"),
    ],
    ids=["wrong number", "garbage", "chatter"],
)
def test_answers_that_prove_nothing(pki, answer, reason):
    async def test() -> None:
        settings = X2LinkSettings(
            retry_first=0.01, retry_most=0.05, proof_seconds=0.01, time_p1=0.1, time_p2=0.2, answers=50
        )
        mdf = await Foreign(answer).start(pki)
        poi = Poi(pki.peer(mdf.port), settings=settings)
        poi.put(events(20))
        await poi.until("fault")
        assert reason in poi.events[0].reason and poi.states() == ["fault"]
        assert not poi.client.counters.released
        await poi.cut()
        await mdf.stop()

    run(test)


def test_under_load_a_keepalive_follows_after_so_many_pdus(pki):
    """A window that is full does not wait for the clock either."""

    async def test() -> None:
        settings = X2LinkSettings(proof_seconds=3_000.0, window_octets=4_000, row_octets=1_000)
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port), settings=settings)
        poi.put(events(500))
        await poi.done()
        assert df2.octets == events(500)
        assert df2.server.counters.keepalives > 30
        await df2.stop()

    run(test)


def test_what_is_no_pdu_is_not_taken(pki):
    async def test() -> None:
        poi = Poi(TlsPeer("127.0.0.1", 9, TlsEnd(pki.client(), POIS)))
        for octets in (b"", event(0)[:-1], event(0) + event(1), x2x3.build(x2x3.keepalive(1)), bytes(40)):
            with pytest.raises(ValueError, match="X2 or X3"):
                poi.put([event(0), octets])
        assert poi.client.queued == 0
        await poi.cut()

    run(test)


def test_a_name_the_certificate_has_not(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(TlsPeer("127.0.0.1", df2.port, TlsEnd(pki.client(), PeerName(uri("df"))), "elsewhere.example"))
        await poi.until("fault")
        assert "cannot connect" in poi.events[0].reason
        await poi.cut()
        await df2.stop()

    run(test)


def test_timers_that_would_drop_an_idle_link():
    with pytest.raises(ValueError, match="time_p1"):
        X2LinkSettings(time_p1=60, time_p2=60)
    with pytest.raises(ValueError, match="buffer_octets"):
        X2LinkSettings(buffer_octets=10)
    with pytest.raises(ValueError, match="retry"):
        X2LinkSettings(retry_first=0)
    with pytest.raises(ValueError, match="above 0"):
        X2LinkSettings(proof_pdus=0)
    assert QUICK.time_p2 == 180


def test_a_clock_that_is_set_forward_makes_nothing_old():
    async def test() -> None:
        hours = 0

        def wall() -> int:
            return TIME + hours * 3_600 * 1_000_000_000

        client = X2Client(TlsPeer("127.0.0.1", 9, TlsEnd(ssl.create_default_context(), POIS)), wall=wall)
        client.put(events(5))
        hours = 100
        client.put(events(5, 5))
        running = asyncio.create_task(client.run())
        client.stop(0)
        await running
        assert client.counters.dropped == 0 and client.queued == sum(map(len, events(10)))

    run(test)

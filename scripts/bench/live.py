"""From an order over X1 to the agency: the live system as processes, one call intercepted again and again.

For each round a task is activated in the middle of a call and ended again. Goals on a fast machine: ActivateTask to the
start of interception at the LEMF, 99 % within 20 ms; to the first decrypted RTP, within 100 ms; with 100 000 calls in
the cache and 100 new ones a second (``--dialogs 100000 --calls 100 --rounds 300``). Beside it, in the same run: an X1
Ping of the same element, and a commit of one row to the disk.

POI and DF write down what they are given and when, from which come the shares of the stages. ``--no-stages``: they do
not, and the figures are those of the system alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import re
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from imswire import x1
from midcall.base.sqlite import connect, transaction
from midcall.base.x1_element.shell.client import X1Client
from midcall.cli import activate
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_lemf import LabLemf, Received, Watch
from midcall.cli.lab_site import ROLES, LabSite
from midcall.live import trace

LIID = "BENCH-1"
LIMIT = 30.0
MILLI = 1_000_000
BATCH = 50
MESSAGES = 3  # of a call
_INVITE = (
    "{start}\r\nVia: SIP/2.0/UDP 10.9.0.1;branch=z9hG4bK{number}\r\nFrom: <sip:caller{number}@bench.example>;tag=a\r\n"
    "To: <sip:callee{number}@bench.example>{tag}\r\nCall-ID: bench-{number}\r\nCSeq: 1 {method}\r\n"
    "Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
)
_SDP = (
    "v=0\r\no=- 1 1 IN IP4 10.9.0.1\r\ns=-\r\nc=IN IP4 10.9.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    "a=key-mgmt:mikey AQ4FgAAAAAEBAgAAAAA=\r\n"
)


class Background:
    """Calls of other people: so many are running, and so many begin each second."""

    def __init__(self, site: LabSite) -> None:
        self._agent = HepAgent(site.hep, site.agent)
        self._metrics = f"http://127.0.0.1:{site.operator('poi')}/metrics"
        self._stop = threading.Event()
        self._begun = 0
        self._thread: threading.Thread | None = None

    def fill(self, calls: int) -> None:
        """Begin so many, as fast as the POI takes them: datagrams that find no room are lost."""
        for number in range(1, calls + 1):
            self._call()
            if number % BATCH == 0 or number == calls:
                _until(lambda: self._taken() >= MESSAGES * self._begun)

    def _taken(self) -> int:
        """Messages that the POI has taken in."""
        with urllib.request.urlopen(self._metrics, timeout=LIMIT) as answer:  # noqa: S310 - our own site
            found = re.search(rb"^midcall_sip_copies_total(?:{.*})? ([0-9.e+]+)$", answer.read(), re.MULTILINE)
        return 0 if found is None else int(float(found[1]))

    def go_on(self, each_second: float) -> None:
        self._thread = threading.Thread(target=self._run, args=(1 / each_second,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._agent.close()

    def _run(self, pause: float) -> None:
        while not self._stop.wait(pause):
            self._call()

    def _call(self) -> None:
        """INVITE, 200 and ACK of a new call."""
        number, self._begun = self._begun, self._begun + 1
        uri = f"sip:callee{number}@bench.example"
        for start, method, tag, body in (
            (f"INVITE {uri} SIP/2.0", "INVITE", "", _SDP),
            ("SIP/2.0 200 OK", "INVITE", ";tag=b", _SDP),
            (f"ACK {uri} SIP/2.0", "ACK", ";tag=b", ""),
        ):
            text = _INVITE.format(start=start, number=number, tag=tag, method=method, length=len(body), body=body)
            ends = (b"\x0a\x09\0\1", 5060), (b"\x0a\x09\0\2", 5060)
            self._agent.copy(time.time_ns(), *(ends if start.startswith("INVITE") else ends[::-1]), text.encode())


class Found(NamedTuple):
    """One activation, wall ns: ActivateTask was sent to the POI, the first event and content of it were at the LEMF."""

    asked: int
    event: int
    content: int


class Round:
    """One activation and what came of it."""

    def __init__(self, order: activate.Order, hi2: Received, hi3: Received) -> None:
        self._order = order
        self._hi2, self._hi3 = hi2, hi3
        self._said: list[int] = []

    def run(self) -> Found:
        events, content = len(self._hi2.records), len(self._hi3.records)
        self._said.clear()
        if asyncio.run(activate.begin(self._order, self._say)):
            raise SystemExit("a task was refused")
        # The last of four requests went out when the one before was answered.
        asked = self._said[-2]
        _until(lambda: len(self._hi2.records) > events)
        # What was said before may still be on its way.
        _until(lambda: any((each.header.time or 0) >= asked for each in self._hi3.records[content:]))
        fresh = zip(self._hi3.records[content:], self._hi3.at[content:], strict=False)
        first = next(at for record, at in fresh if (record.header.time or 0) >= asked)
        if asyncio.run(activate.end(self._order, self._say)):
            raise SystemExit("a task could not be ended")
        return Found(asked, self._hi2.at[events], first)

    def _say(self, text: str, *, err: bool = False) -> None:
        self._said.append(time.time_ns())
        if err:
            print(text)


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"nothing came within {LIMIT:g} s")
        time.sleep(0.001)


async def ping(order: activate.Order, rounds: int) -> tuple[list[int], list[int]]:
    """Round trips of X1 to the POI, each on a connection of its own, as ``midcall warrant activate`` opens one; and
    those of a second Ping on the same connection."""
    (poi,) = (each for each in order.elements if each.role == "poi")
    found: tuple[list[int], list[int]] = [], []
    for _ in range(rounds):
        client = X1Client(poi.url, order.context, order.admf, poi.ne)
        for took in found:
            begun = time.perf_counter_ns()
            await client.ask(x1.PingRequest)
            took.append(time.perf_counter_ns() - begun)
        await client.close()
    return found


def commits(folder: Path, rounds: int) -> list[int]:
    """One row to the disk."""
    took = []
    with closing(connect(folder / "commit.db", "rwc")) as database:
        database.execute("CREATE TABLE row(octets BLOB)")
        for _ in range(rounds):
            begun = time.perf_counter_ns()
            with transaction(database):
                database.execute("INSERT INTO row VALUES(zeroblob(3000))")
            took.append(time.perf_counter_ns() - begun)
    return took


def quantile(values: list[int], share: float) -> float:
    """In ms."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] / MILLI


# What each stage takes


def moments(path: Path) -> list[tuple[int, trace.Record]]:
    """What a role was given, and when (wall ns); SIP and clocks left out."""
    with path.open("rb") as file:
        reader = trace.TraceReader(file)
        return [(reader.time.wall, each) for each in reader if not isinstance(each, trace.Seen | trace.Told)]


Stages = dict[str, list[int]]


def stages(rounds: list[Found], poi: Path, df: Path) -> Stages:
    """ns that each stage took, by its name."""
    found: Stages = {}
    at_poi, at_df = moments(poi), moments(df)

    def after(where: list[tuple[int, trace.Record]], time: int, true: Callable[[trace.Record], bool]) -> int:
        return next(at for at, record in where if at >= time and true(record))

    for each in rounds:
        armed = after(at_poi, each.asked, lambda r: isinstance(r, trace.Armed))
        taken = after(at_df, armed, lambda r: isinstance(r, trace.Taken))
        kept = after(at_df, taken, lambda r: isinstance(r, trace.Committed) and r.iri > 0)
        keys = after(at_df, taken, lambda r: isinstance(r, trace.Answered))
        content = after(at_df, keys, lambda r: isinstance(r, trace.Committed) and r.cc > 0)
        for name, took in (
            ("X1 judged and kept", armed - each.asked),
            ("POI match, X2", taken - armed),
            ("DF2 to spool", kept - taken),
            ("spool to LEMF: event", each.event - kept),
            ("KMS", keys - taken),
            ("keys to content in the spool", content - keys),
            ("spool to LEMF: content", each.content - content),
        ):
            found.setdefault(name, []).append(took)
    return found


def show(what: str, values: list[int], base: float) -> None:
    middle, late = quantile(values, 0.5), quantile(values, 0.99)
    print(f"{what:40} p50 {middle:8.2f} ms  p99 {late:8.2f} ms  {middle / base:6.2f} of a Ping")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="activations")
    parser.add_argument("--dialogs", type=int, default=10_000, help="calls of others that are in the cache")
    parser.add_argument("--calls", type=float, default=20, help="calls of others that begin each second")
    parser.add_argument("--no-stages", action="store_true", help="nothing is written down")
    arguments = parser.parse_args()
    # A pause of this process, which collects records by the thousand, is none of the system's.
    gc.disable()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        users = Users(1)
        (folder / "KEYS.toml").write_text(users.key_file())
        site = LabSite(folder / "site", folder / "pki", folder / "KEYS.toml")
        lemf = stack.enter_context(LabLemf(folder / "lemf", folder / "pki", lambda _: None))
        hi2, hi3 = (Received(folder / "lemf", LIID, each) for each in ("hi2", "hi3"))
        traces = {} if arguments.no_stages else {each: folder / f"{each}.trace" for each in ("poi", "df")}
        roles = [stack.enter_context(site.role(each, traces.get(each))) for each in ROLES]
        for role in roles:
            role.wait()
        background = stack.enter_context(closing(Background(site)))
        background.fill(arguments.dialogs)
        agent = stack.enter_context(closing(HepAgent(site.hep, site.agent)))
        stop = threading.Event()
        call = LiveCall(0, users.pairs[0], site.kms(), agent, stop)
        stack.callback(call.close)
        call.begin(0.0)
        stack.callback(call.join)
        stack.callback(call.end)
        call.until_talk()
        background.go_on(arguments.calls)
        path, _ = site.draft(call.call.caller.uri, LIID, lemf.address)
        site.approve(path)
        order = site.order(path)
        stack.enter_context(Watch(hi2, hi3))
        each_round = Round(order, hi2, hi3)
        each_round.run()
        found = []
        for _ in range(arguments.rounds):
            # Not in step with anybody's timers, nor while what the end of the round before left to do is done.
            time.sleep(random.uniform(0.1, 0.3))  # noqa: S311
            found.append(each_round.run())
        pings, again = asyncio.run(ping(order, arguments.rounds))
        shares = stages(found, traces["poi"], traces["df"]) if traces else {}
    with tempfile.TemporaryDirectory() as name:
        rows = commits(Path(name), 200)
    print(
        f"{arguments.rounds} activations, {arguments.dialogs} calls in the cache, {arguments.calls:g} new ones a second"
    )
    base = quantile(pings, 0.5)
    show("ActivateTask -> SOI at the LEMF", [each.event - each.asked for each in found], base)
    show("ActivateTask -> first decrypted RTP", [each.content - each.asked for each in found], base)
    show("an X1 Ping, with its TLS", pings, base)
    show("a second Ping on the connection", again, base)
    show("a commit to the disk", rows, base)
    if shares:
        print("stages: those of the event are the first four, those of content the first two and the last three")
    for name, took in shares.items():
        show(f"  {name}", took, base)


if __name__ == "__main__":
    main()

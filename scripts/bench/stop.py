"""SIGTERM to each role of a site in the middle of an intercepted call: how long it takes to stop, and what it costs.

Aim: 1 s each, and nothing that is lost without being declared. Each is stopped twice: with all others there, and with
who it delivers to out of reach. As root the DF has a tap of the loopback interface; else there is no content.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from imswire.hi import eps
from midcall.cli import activate
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_lemf import LabLemf, Received
from midcall.cli.lab_process import LabRole
from midcall.cli.lab_site import HOST, ROLES, LabSite

LIID = "LAB-1"
LIMIT = 60.0
UNAVAILABLE = 7
"""IMSevent of a record that declares content missing."""


class Site:
    """Roles, an LEMF, and a call that goes on in a thread."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        users = Users(1)
        (folder / "KEYS.toml").write_text(users.key_file())
        self.site = LabSite(folder / "site", folder / "pki", folder / "KEYS.toml", tap=os.geteuid() == 0)
        self.lemf = stack.enter_context(LabLemf(folder / "lemf", folder / "pki", lambda _: None))
        self.hi2, self.hi3 = (Received(folder / "lemf", LIID, name) for name in ("hi2", "hi3"))
        self.roles: dict[str, LabRole] = {}
        for name in ROLES:
            self.begin(name)
        stack.callback(self.end)
        agent = stack.enter_context(closing(HepAgent(self.site.hep, self.site.agent)))
        self.call = LiveCall(0, users.pairs[0], self.site.kms(), agent, threading.Event())
        stack.callback(self.call.close)
        self.call.connect()
        self._stop = threading.Event()
        path, _ = self.site.draft(self.call.call.caller.uri, LIID, self.lemf.address)
        self.site.approve(path)
        self.order = self.site.order(path)
        if asyncio.run(activate.begin(self.order, lambda *_, **__: None)):
            raise SystemExit("a task was refused")
        until(lambda: len(self.hi2.look()) > 0, "the first event")
        self._talking = threading.Thread(target=self._talk, daemon=True)
        self._talking.start()
        stack.callback(self._stop.set)

    def begin(self, name: str) -> None:
        role = self.site.role(name)
        role.__enter__()
        self.roles[name] = role
        role.wait()

    def stop(self, name: str) -> float:
        """Seconds until the process has ended, with status 0."""
        begun = time.perf_counter()
        self.roles[name].__exit__()
        took = time.perf_counter() - begun
        if self.roles[name].status:
            raise SystemExit(f"{name}: status {self.roles[name].status}")
        return took

    def end(self) -> None:
        for role in self.roles.values():
            if role.status is None:
                role.__exit__()

    def _talk(self) -> None:
        while not self._stop.is_set():
            self.call.talk(0.1)

    def finish(self) -> None:
        """The call ends; all of it is at the LEMF, or declared missing."""
        self._stop.set()
        self._talking.join()
        self.call.hang_up()
        until(lambda: len(self.hi2.look()) > 0 and self._over(), "the end of the call")
        time.sleep(1.0)
        heard = set(self.hi3.rtp() if self.hi3.look() else ())
        said = self.call.media()
        missing = [at for at, clear in said if clear not in heard]
        gaps = [_gap(each) for each in self.hi2.contents() if eps.parse(each).event == UNAVAILABLE]
        lost = sum(not any(begin <= at <= end for begin, end in gaps) for at in missing)
        print(f"content: {len(said):,} packets said, {len(missing):,} not at the LEMF, in {len(gaps)} gaps declared")
        print(f"         {lost} of them in no gap")

    def _over(self) -> bool:
        """Its BYE and the answer are there."""
        return len(self.hi2.records) >= 3


def _gap(record: bytes) -> tuple[int, int]:
    """From when to when (wall ns) content may be missing."""
    found = re.search(rb"from (\d+)\.(\d{3}) to (\d+)\.(\d{3})", record)
    assert found is not None, record
    begin, end = (int(found[at]) * 1_000 + int(found[at + 1]) for at in (1, 3))
    return begin * 1_000_000, (end + 1) * 1_000_000


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: nothing within {LIMIT:g} s")
        time.sleep(0.005)


def halves(site: Site, role: str) -> list[ssl.SSLSocket]:
    """Requests to X1 of a role that have begun and do not go on, and a connection that says nothing."""
    url = next((each.url for each in site.order.elements if each.role == role), None)
    if url is None:
        return []
    port = int(url.rpartition(":")[2])
    found = []
    for octets in (b"POST /X1/NE HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n<", b""):
        link = site.order.context.wrap_socket(socket.create_connection((HOST, port)))
        link.sendall(octets)
        found.append(link)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = Site(Path(folder), stack)
        for name in ("kms", "poi", "df"):
            links = halves(site, name)
            time.sleep(1.0)
            took = site.stop(name)
            print(f"{name}: {took:6.3f} s with all others there, and two requests half there")
            for each in links:
                each.close()
            site.begin(name)
        time.sleep(2.0)
        print(f"df:  {site.stop('df'):6.3f} s")
        time.sleep(0.5)
        print(f"poi: {site.stop('poi'):6.3f} s without its DF")
        site.begin("df")
        site.begin("poi")
        time.sleep(2.0)
        site.finish()


if __name__ == "__main__":
    main()

"""The processes of a site on loopback with an LEMF, for tests that run them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from midcall.base.tap import NotPermitted, Source, Tap
from midcall.cli import activate
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_lemf import LabLemf, Received
from midcall.cli.lab_process import LabRole
from midcall.cli.lab_site import AUDIT, ROLES, LabSite
from tests.midcall.base.tap.conftest import unable

LIMIT = 60


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
        time.sleep(0.02)


class LiveSite:
    """KMS, DF, POI and LEMF, which end with ``stack``; ``users`` are those of the KMS.

    With ``tap`` media are taken off the loopback interface, where that is permitted, else the test is skipped; without
    it they come by X3. ``keep_sdes``: the POI keeps keys of descriptions. ``audit``: all of them write to one.
    """

    deliverers: tuple[str, ...] = ("df",)
    """Who may deliver to the LEMF."""

    def __init__(
        self,
        folder: Path,
        stack: contextlib.ExitStack,
        users: Users,
        *,
        tap: bool = True,
        keep_sdes: bool = False,
        audit: bool = False,
    ) -> None:
        if tap:
            try:
                Tap(Source(("lo",))).open().close()
            except NotPermitted as why:
                unable(why)
        self.folder, self.users = folder, users
        self._stack = stack
        (folder / "KEYS.toml").write_text(users.key_file())
        self.site = LabSite(folder / "site", folder / "pki", folder / "KEYS.toml", tap=tap, audit=audit)
        if keep_sdes:
            poi = folder / "site" / "poi.toml"
            poi.write_text(poi.read_text().replace("[poi.tickets]", "keep_sdes = true\n[poi.tickets]"))
        self.prepare()
        self.lemf = stack.enter_context(LabLemf(folder / "lemf", folder / "pki", lambda _: None, self.deliverers))
        names = (AUDIT, *ROLES) if audit else ROLES
        self.roles = {name: stack.enter_context(self.role(name)) for name in names}
        for role in self.roles.values():
            role.wait()
        self.agent = stack.enter_context(contextlib.closing(HepAgent(self.site.hep, self.site.agent)))

    def prepare(self) -> None:
        """What is to be otherwise in the files of the site, before anything begins."""

    def role(self, name: str) -> LabRole:
        """The process of a role, which has not begun."""
        return self.site.role(name)

    def begin(self, name: str) -> None:
        """A role that has ended begins anew."""
        self.roles[name] = self._stack.enter_context(self.role(name))
        self.roles[name].wait()

    def kill(self, name: str) -> None:
        """As a crash does: without a word."""
        self.roles[name].kill()

    def call(self, number: int = 0) -> LiveCall:
        """The call of a pair of users, who talk."""
        call = LiveCall(number, self.users.pairs[number], self.site.kms(), self.agent, threading.Event())
        self._stack.callback(call.close)
        call.connect()
        return call

    def order(self, target: str, liid: str, keys: str = "decrypt") -> activate.Order:
        """A warrant for a target, approved."""
        path, _ = self.site.draft(target, liid, self.lemf.address, keys)
        self.site.approve(path)
        order = self.site.order(path)
        path.unlink()
        return order

    def activate(self, target: str, liid: str) -> activate.Order:
        order = self.order(target, liid)
        assert asyncio.run(activate.begin(order)) == 0
        return order

    def received(self, liid: str, name: str) -> Received:
        return Received(self.folder / "lemf", liid, name)

    def questions(self) -> int:
        """How often the KMS was asked for keys."""
        return self.site.li_log("kms").read_text().count("get_keys")

    def assert_no_findings(self) -> None:
        """Nothing that the LEMF found fault with."""
        assert (self.folder / "lemf" / "findings.jsonl").read_text() == ""

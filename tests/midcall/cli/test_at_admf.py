"""midcall warrant against an ADMF on loopback, as each person in turn."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from midcall.admf import wire
from midcall.admf.roles import Command
from midcall.admf.values import Status
from midcall.base.lab_pki import uri
from midcall.cli import outcome
from midcall.cli.fail import Failed
from midcall.cli.main import cli
from midcall.cli.secret import write_ed25519
from tests.midcall import warrants
from tests.midcall.admf.conftest import files  # noqa: F401  # the certificates of that site
from tests.midcall.admf.lab import Site

TEMPLATE = """\
id = "W-1"
country = "XX"
agency = "agency"
services = ["voice", "messaging"]
scope = "iri+cc"
keys = "decrypt"
location = false
start = {start}
end = {end}
elements = ["poi-1", "df2-1"]
[order]
authority = "court"
reference = "1 AB 23/26"
sha256 = "{order}"
[[target]]
liid = "LI-1"
identity = "sip:alice@example.com"
[[destination]]
host = "lemf.example.com"
port = 7443
certificate = "{order}"
"""


class People:
    """Each has a file that names the ADMF, and those who approve have keys."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.folder = site.folder
        for name in ("Ann", "Ben"):
            write_ed25519(self.folder / f"{name}.key", warrants.key(name))

    def file(self, who: str) -> Path:
        path = self.folder / f"{who}.toml"
        port = self.site.admf.addresses["people"][1]
        pki = self.site.files
        path.write_text(
            f'[warrants]\nurl = "https://127.0.0.1:{port}"\npeers = ["{uri("admf")}"]\n'
            f'certificate = "{pki / who}.pem"\nkey = "{pki / who}.key"\nca = "{pki / "ca.pem"}"\n'
        )
        return path

    async def run(self, who: str, *words: Any) -> tuple[int, str]:
        """Status and what was said."""
        arguments = ["warrant", *map(str, words), "--service", str(self.file(who))]
        done = await asyncio.to_thread(CliRunner().invoke, cli, arguments, standalone_mode=False)
        if isinstance(done.exception, Failed):
            return done.exception.status, str(done.exception)
        assert done.exception is None, done.exception
        return done.return_value or 0, done.output

    def template(self, end: str = "2026-07-31T00:00:00Z", start: str = warrants.START) -> Path:
        path = self.folder / "W.toml"
        path.write_text(TEMPLATE.format(start=start, end=end, order=warrants.DIGEST))
        return path

    async def approved(self, **window: str) -> None:
        """W-1, drafted and signed by two."""
        await self.run("lea", "draft", self.template(**window))
        for who in ("Ann", "Ben"):
            await self.run(who.lower(), "approve", "W-1", "--key", self.folder / f"{who}.key", "--yes")


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:  # noqa: F811
    return Site(tmp_path, files)


def test_a_warrant_from_its_draft_to_its_revocation(site: Site) -> None:
    async def test(site: Site) -> None:
        people = People(site)
        assert await people.run("lea", "draft", people.template()) == (
            0,
            "W-1 version 1: done; AwaitingApproval\n",
        )
        status, said = await people.run("ann", "approve", "W-1", "--key", people.folder / "Ann.key", "--yes")
        assert status == 0 and "sip:alice@example.com" in said
        status, said = await people.run("lea", "activate", "W-1")
        assert (status, said) == (4, "refused: approvals: it is not approved yet")
        await people.run("ben", "approve", "W-1", "--key", people.folder / "Ben.key", "--yes")
        assert await people.run("lea", "activate", "W-1") == (
            0,
            "W-1 version 1: done; AwaitingProvisioning\nW-1 version 1: Active\n",
        )
        assert site.status() == "Active"
        _, said = await people.run("lea", "list")
        assert said.startswith("W-1") and "Active" in said and "agency" in said
        _, said = await people.run("ben", "show", "W-1")
        assert "armed" in said and "drafted by:    Lea" in said
        # The next version is drawn up from the one that is here, and keeps its task.
        longer = people.template("2026-08-15T00:00:00Z")
        assert await people.run("lea", "draft", longer, "--supersede", "W-1") == (0, "W-1 version 2: done; Active\n")
        assert len(site.admf.core.book.records["W-1"].papers) == 2
        assert await people.run("lea", "revoke", "W-1") == (
            0,
            "W-1 version 1: done; Suspended\nW-1 version 1: ended at all elements\n",
        )

    site.run(test)


def test_a_window_that_has_not_begun_is_not_waited_for(site: Site) -> None:
    async def test(site: Site) -> None:
        people = People(site)
        await people.approved(start="2026-07-20T00:00:00Z")
        assert await people.run("lea", "activate", "W-1") == (
            0,
            "W-1 version 1: done; AwaitingProvisioning\n"
            "W-1 version 1: all elements have it, and begin with its window\n",
        )

    site.run(test)


def test_an_element_that_does_not_answer_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "PAUSES", (0.3, 0.3))

    async def test(site: Site) -> None:
        people = People(site)
        await people.approved()
        await site.services.pop("poi").stop()
        status, said = await people.run("lea", "activate", "W-1")
        assert status == 4 and "W-1 version 1: AwaitingProvisioning, not at all elements\n" in said
        assert re.search(r"at df: XID \S+: armed\n", said) and re.search(r"at poi: XID \S+: (none|not known)\n", said)
        assert said.endswith("midcall warrant show, alarms and health tell how\n")
        status, said = await people.run("lea", "revoke", "W-1")
        assert status == 4 and "W-1 version 1: Suspended, not at all elements\n" in said

    site.run(test)


def test_an_element_that_refuses_is_an_error(site: Site) -> None:
    """The POI's own trust list knows other people."""
    site.places["poi"].trust = warrants.trust(warrants.entry("Cleo"), warrants.entry("Dan"))

    async def test(site: Site) -> None:
        people = People(site)
        await people.approved()
        status, said = await people.run("lea", "activate", "W-1")
        assert status == 4 and "W-1 version 1: Error, not at all elements\n" in said
        assert re.search(r"at poi: XID \S+: refused\n", said) and "alarms tells why" in said

    site.run(test)


def test_an_order_that_was_taken_stays_so_when_nobody_can_be_asked_after_it() -> None:
    said: list[str] = []

    def show() -> wire.Shown:
        raise Failed(3, "asked too often")

    done = wire.Done("W-1", 1, Status.AWAITING_PROVISIONING, "done")
    assert outcome.follow(Command.ACTIVATE, done, show, said.append) == 4
    assert said == ["how elements took it could not be asked: midcall warrant list tells"]


def test_a_second_administrator_is_not_waited_for() -> None:
    done = wire.Done("W-1", 1, Status.AWAITING_CONFIRMATION, "waits for a second administrator")
    assert outcome.follow(Command.ACTIVATE, done, pytest.fail, pytest.fail) == 0


def test_what_is_not_for_a_role_is_refused_to_it(site: Site) -> None:
    async def test(site: Site) -> None:
        people = People(site)
        await people.run("lea", "draft", people.template())
        status, said = await people.run("ann", "draft", people.template())
        assert status == 3 and said.endswith("this certificate may not ask that")
        assert (await people.run("olaf", "list"))[0] == 3
        status, said = await people.run("aud", "list", "--json")
        assert status == 0 and "AwaitingApproval" in said and "agency" not in said
        assert await people.run("olaf", "health") == (0, "df: answers\npoi: answers\n")
        assert await people.run("aud", "alarms") == (0, "")

    site.run(test)


def test_what_is_wrong_is_said_before_anybody_is_asked(site: Site, tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        people = People(site)
        assert (await people.run("lea", "activate", "not an id"))[0] == 2
        assert (await people.run("lea", "activate", "W-1", "--ca", "ca.pem"))[0] == 2
        assert (await people.run("lea", "draft", people.template(), "--out", tmp_path / "x"))[0] == 2
        assert await people.run("lea", "show", "W-9") == (4, "refused: unknown: no such warrant")

    site.run(test)


def test_a_draft_that_is_withdrawn(site: Site) -> None:
    async def test(site: Site) -> None:
        people = People(site)
        await people.run("lea", "draft", people.template())
        withdrawn = (0, "W-1 version 1: withdrawn before approval; Cancelled\n")
        assert await people.run("lea", "revoke", "W-1") == withdrawn
        assert await people.run("lea", "list") == (0, "")

    site.run(test)

"""A site with two DFs behind one tap: each has tasks of its own, and the death of one is no matter to the other."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from midcall.admf import wire
from midcall.admf.roles import Command
from midcall.admf.values import AlarmKind
from midcall.base.lab_pki import LabPki, uri
from midcall.base.warrant import Warrant
from midcall.cli.lab_calls import LiveCall, Users
from midcall.cli.lab_process import LabRole
from midcall.cli.lab_site import HOST, _free_ports
from tests.midcall.live.admf_site import AdmfSite
from tests.midcall.live.live_site import LiveSite, until

pytestmark = pytest.mark.proof
DFS = ("df", "df-2")
OTHER = "df-2"


class TwoDfs(LiveSite):
    """The second DF has all of its own but its name in warrants; the tap is that of the role, for both."""

    deliverers = DFS

    def __init__(self, folder: Path, stack: contextlib.ExitStack, users: Users) -> None:
        super().__init__(folder, stack, users)
        self.begin(OTHER)

    def prepare(self) -> None:
        site, folder = self.site, self.site.folder
        LabPki(site.pki).make((OTHER,))
        self.x1, self.x2, self.operator = _free_ports(3)
        ports = {site._ports["x1 df"]: self.x1, site._ports["x2"]: self.x2, site._ports["operator df"]: self.operator}
        first = (folder / "df.toml").read_text()
        door = f'[df.tap]\ndoor = "{folder / "tap"}"\n'
        first = first.replace('[df.tap]\ninterfaces = ["lo"]\n', door)
        assert door in first
        second = re.sub(r"/(spool|spool-keys|df-x1\.db|df-li\.log)\"", r'/second-\1"', first)
        second = second.replace("/df.pem", f"/{OTHER}.pem").replace('"df.key"', f'"{OTHER}.key"')
        second = second.replace('ne = "df"', f'ne = "{OTHER}"')
        second = re.sub(r'(\[df\.network\][^[]*element = )"df-1"', rf'\1"{OTHER}"', second)
        for old, new in ports.items():
            second = second.replace(f":{old}", f":{new}")
        kms, poi = (folder / f"{name}.toml" for name in ("kms", "poi"))
        table = poi.read_text().partition("[poi.x2]\n")[2].partition("\n[")[0]
        table = table.replace(f":{site._ports['x2']}", f":{self.x2}").replace(uri("df"), uri(OTHER))
        for path, text in (
            (folder / "df.toml", first),
            (folder / f"{OTHER}.toml", second),
            (kms, kms.read_text().replace(f'["{uri("df")}"]', f'["{uri("df")}", "{uri(OTHER)}"]')),
            (poi, poi.read_text() + f"[[poi.x2_also]]\n{table.replace('/x2.db', '/second-x2.db')}\n"),
        ):
            path.touch(0o600)
            path.write_text(text)
        self.tap = self._stack.enter_context(self.role("tap"))
        self.tap.wait()

    def role(self, name: str) -> LabRole:
        if name != OTHER:
            return super().role(name)
        return LabRole("df", self.site.folder / f"{OTHER}.toml", self.site.folder / "second-df-li.log")


class Shared(AdmfSite):
    """Both DFs are ordered from here, and share what a warrant orders."""

    live: TwoDfs

    def _elements(self, ports: dict[str, int]) -> list[tuple[str, str, int, int | None]]:
        poi = ("poi", "poi", ports["x1 poi"], None)
        return [("df", "df", ports["x1 df"], ports["x2"]), ("df", OTHER, self.live.x1, self.live.x2), poi]

    def begun(self, target: str, liid: str) -> tuple[Warrant, str]:
        """A warrant that is active, and the DF that has it."""
        warrant = self.warrant(target, liid)
        self.approved(warrant)
        self.act(Command.ACTIVATE, warrant.id)
        self.until(warrant.id, "Active")
        (df,) = self.elements(warrant) & {*DFS}
        return warrant, df

    def elements(self, warrant: Warrant) -> set[str]:
        """Those that hold its task, armed."""
        shown = self.at("lea").ask(Command.SHOW, wire.Named(warrant.id), wire.Shown)
        return {ne for ne, states in shown.elements.items() if {*states.values()} == {"armed"}}

    def silent(self) -> set[str]:
        alarms = self.at("lea").ask(Command.ALARMS, wire.Nothing(), wire.Alarmed).alarms
        return {each.element for each in alarms if each.kind == AlarmKind.SILENT and not each.until}


def test_one_is_killed_and_the_content_of_the_other_goes_on(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        live = TwoDfs(tmp_path, stack, Users(2))
        admf = Shared(live)
        calls: dict[str, LiveCall] = {}
        liids: dict[str, str] = {}
        warrants: dict[str, Warrant] = {}
        running = [live.call(0), live.call(1)]
        number = 0
        while len(calls) < len(DFS):  # XIDs are drawn: until one has come to each of them
            call = running[len(calls)]
            warrant, df = admf.begun(call.call.caller.uri, f"LI-{number}")
            if df in calls:
                admf.act(Command.REVOKE, warrant.id)
                admf.until(warrant.id, "Suspended")
            else:
                calls[df], liids[df], warrants[df] = call, f"LI-{number}", warrant
            number += 1
        hi2, hi3 = ({df: live.received(liid, name) for df, liid in liids.items()} for name in ("hi2", "hi3"))
        until(lambda: all(len(each.look()) >= 1 for each in hi2.values()), "the start of interception at both")
        before = {df: len(call.media()) for df, call in calls.items()}
        for call in calls.values():
            call.talk(0.5)
        for df, call in calls.items():
            said = [rtp for _, rtp in call.media()[before[df] :]]
            until(lambda df=df, said=said: len(hi3[df].look()) >= len(said), f"content of {df}")
            assert sorted(hi3[df].rtp()) == sorted(said)
        elements = {each.header.cid.element for df in DFS for each in hi3[df].look()}
        assert len(elements) == len(DFS), "an agency tells their numbers apart"
        assert admf.alarms() == [] and admf.elements(warrants["df"]) == {"df", "poi"}

        live.kill("df")
        until(lambda: admf.silent() == {"df"}, "the ADMF sees which one is gone")
        calls[OTHER].talk(0.5)
        calls[OTHER].hang_up()
        said = [rtp for _, rtp in calls[OTHER].media()[before[OTHER] :]]
        until(lambda: len(hi3[OTHER].look()) >= len(said), "all content of the one that lives")
        assert sorted(hi3[OTHER].rtp()) == sorted(said)
        until(lambda: len(hi2[OTHER].look()) >= 3, "and its events")
        assert admf.status(warrants[OTHER].id) == "Active"
        calls["df"].hang_up()  # waits at the POI

        live.begin("df")
        until(lambda: len(hi2["df"].look()) >= 4, "start, a gap that is declared, BYE, 200")
        until(lambda: admf.silent() == set() and admf.status(warrants["df"].id) == "Active", "all is as it was")
        assert f"{HOST}:{live.x2}" in live.site.li_log("poi").read_text()
    live.assert_no_findings()

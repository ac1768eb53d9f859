"""scripts/install and systemd/: what is put where, for whom, and how open the units leave their services."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from midcall.config import DaemonConfig
from midcall.config import daemon as read_config
from tests.midcall.installation import ROLES, decided

ROOT = Path(__file__).parent.parent
UNITS = sorted((ROOT / "systemd").glob("midcall-*@.service"))
SHELL = ["scripts/install"]
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("systemd-sysusers") is None, reason="makes users")


def role(unit: Path) -> str:
    return unit.name.removeprefix("midcall-").removesuffix("@.service")


def lines(unit: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    return {name: value for section in parser.sections() for name, value in parser[section].items()}


def drop_ins(name: str) -> dict[str, str]:
    """What the drop-ins of a role's own change."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "systemd" / f"midcall-{name}@.service.d").glob("*.conf")):
        assert path.name > "10-sandbox.conf", "is read before what it is to change"
        found |= lines(path)
    return found


def config(name: str) -> DaemonConfig:
    return read_config(decided((ROOT / f"config/{name}.toml").read_text()), DaemonConfig)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system with all units in it, as the installer would put them."""
    folder = tmp_path_factory.mktemp("root")
    system = folder / "usr/local/lib/systemd/system"
    shutil.copytree(ROOT / "systemd", system)
    for unit in system.glob("*.service"):
        unit.write_text(unit.read_text().replace("@PREFIX@", "/opt/midcall"))
    return folder


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=role)
def test_how_open_a_unit_is(root, unit):
    """By systemd's own measure, of which 10 is wide open and 0 shut."""
    network = bool({"AF_INET", "AF_PACKET"} & set(lines(unit)["RestrictAddressFamilies"].split()))
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--root={root}"]
        + [f"--threshold={15 if network else 5}", unit.name.replace("@", "@1")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "✗" in line or "→" in line)


@pytest.mark.parametrize("unit", UNITS, ids=role)
def test_a_unit_is_its_roles_own(unit):
    found, name = lines(unit), role(unit)
    assert found["User"] == found["Group"] == f"midcall-{name}"
    assert found["LoadCredential"] == f"{name}:/etc/midcall/credentials/{name}"
    assert f"--config /etc/midcall/{name}.toml --role {name} --instance %i" in found["ExecStart"]
    assert found["ExecStart"].startswith("@PREFIX@/bin/python -I ")
    assert {"StateDirectory", "LogsDirectory", "MemoryMax", "TasksMax", "CapabilityBoundingSet"} <= set(found)


def test_the_tap_alone_has_capabilities():
    holders = {role(unit): lines(unit)["CapabilityBoundingSet"] for unit in UNITS}
    assert {name: held for name, held in holders.items() if held} == {"tap": "CAP_NET_RAW CAP_BPF"}


def test_two_roles_may_call_bpf_and_three_have_a_folder_that_others_may_enter():
    """DF to change the maps that it was given; tap, POI and audit have sockets there, and look at who comes.

    Beside that the DF is to be back soonest.
    """
    found = {role(unit): drop_ins(role(unit)) for unit in UNITS}
    assert {name: each for name, each in found.items() if each} == {
        "df": {"SystemCallFilter": "bpf", "RestartSec": "50ms"},
        "audit": {"RuntimeDirectoryMode": "0711", "PrivateUsers": "no"},
        "poi": {"RuntimeDirectoryMode": "0711", "PrivateUsers": "no"},
        "tap": {"SystemCallFilter": "bpf", "RuntimeDirectoryMode": "0711"},
    }


def test_packet_sockets_are_opened_by_the_tap_alone():
    families = {role(unit): set(lines(unit)["RestrictAddressFamilies"].split()) for unit in UNITS}
    network = {"AF_INET", "AF_INET6", "AF_UNIX"}
    assert families == {
        "admf": network,
        "audit": {"AF_UNIX"},
        "cscf": network,
        "df": network,
        "kms": network,
        "poi": network,
        "tap": {"AF_PACKET", "AF_UNIX"},
    }


def test_no_role_needs_another_one_to_start():
    for unit in UNITS:
        assert not {"Requires", "Requisite", "BindsTo", "PartOf", "Wants"} & lines(unit).keys()
    after = {role(unit): lines(unit).get("After", "").split() for unit in UNITS}
    assert after["df"] == ["midcall-kms@1.service", "midcall-tap@1.service"]
    assert after["poi"] == ["midcall-df@1.service", "midcall-tap@1.service"]


@pytest.mark.parametrize("name", ROLES)
def test_files_of_a_role_lie_where_its_unit_lets_it_write(name):
    unit, read = lines(ROOT / f"systemd/midcall-{name}@.service"), config(name)
    text = (ROOT / f"config/{name}.toml").read_text()
    state = [f"/var/lib/{each}" for each in unit["StateDirectory"].split()]
    stored = set(re.findall(r'"(/var/lib/[^"]+)"', text))
    assert all(any(path == each or path.startswith(f"{each}/") for each in state) for path in stored)
    assert read.log.li == f"/var/log/{unit['LogsDirectory']}/li.log"
    doors = {"/run/midcall/tap-1/door", "/run/midcall/poi-1/copies", "/run/midcall/audit-1/door"}
    assert set(re.findall(r'"(/run/[^"]+)"', text)) <= doors


def test_the_door_of_the_tap_lies_in_its_runtime_directory():
    unit, read = lines(ROOT / "systemd/midcall-tap@.service"), config("tap")
    assert read.tap is not None
    assert Path(read.tap.door).parent == Path("/run", unit["RuntimeDirectory"].replace("%i", "1"))
    assert set(read.tap.media) | set(read.tap.sip) == {"midcall-df", "midcall-poi"}
    # Without a network it is asked for its health at a socket.
    assert read.operator.listen.startswith("unix:")


@needs_systemd
@pytest.mark.parametrize("name", ROLES)
def test_systemd_finds_no_fault_with_a_unit(root, tmp_path, name):
    """Nor with its drop-ins; the program has to be one that is there."""
    system = tmp_path / "system"
    shutil.copytree(root / "usr/local/lib/systemd/system", system)
    for unit in system.glob("*.service"):
        unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", unit.read_text(), flags=re.M))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"midcall-{name}@1.service"],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{system}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "midcall" not in done.stderr, done.stderr


def test_what_is_common_contradicts_no_unit():
    """A list in the common part would be added to, or taken from, that of a unit."""
    common = lines(ROOT / "systemd/midcall-.service.d/10-sandbox.conf")
    own = {name for unit in UNITS for name in lines(unit)}
    # What is started before a unit is said in both, and added up.
    assert not common.keys() & own - {"Description", "WantedBy", "After"}


@pytest.mark.parametrize("name", ["sysusers.conf", "tmpfiles.conf"])
def test_every_role_has_its_user_and_its_folder(name):
    text = (ROOT / "systemd" / name).read_text()
    assert {role(unit) for unit in UNITS} == set(re.findall(r"(?:midcall-|credentials/)(\w+) ", text))


@pytest.mark.parametrize("path", SHELL)
def test_shellcheck_has_nothing_to_say(path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-x", path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# The installer


def install(*options: object) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts/install", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def everything(folder: Path) -> Iterator[tuple[str, int, int, bytes]]:
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        octets = path.read_bytes() if path.is_file() else b""
        yield str(path.relative_to(folder)), status.st_mode, status.st_gid, octets


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    done = install("--destdir", folder, "--prefix", "/srv/midcall", "--files-only")
    assert done.returncode == 0, done.stderr
    return folder


@needs_root
def test_what_is_installed(installed):
    system = installed / "usr/local/lib/systemd/system"
    unit = (system / "midcall-kms@.service").read_text()
    assert "ExecStart=/srv/midcall/bin/python -I /srv/midcall/bin/midcall run " in unit and "@PREFIX@" not in unit
    assert (system / "midcall-.service.d/10-sandbox.conf").is_file()
    roles = {path.stem for path in (ROOT / "config").glob("*.toml")} - {"midcall"}
    assert (
        {role(path) for path in system.glob("*.service")}
        == roles
        == {"admf", "audit", "cscf", "df", "kms", "poi", "tap"}
    )
    assert (system / "midcall-df@.service.d/20-bpf.conf").is_file()
    assert {path.name for path in (system / "midcall-tap@.service.d").iterdir()} == {"20-bpf.conf", "30-door.conf"}
    users = dict(line.split(":", 1) for line in (installed / "etc/passwd").read_text().splitlines())
    assert set(users) == {f"midcall-{name}" for name in roles}
    assert all(line.endswith(":/nonexistent:/usr/sbin/nologin") for line in users.values())


@needs_root
def test_who_may_read_what(installed):
    def mode(path: str) -> int:
        return stat.S_IMODE((installed / "etc/midcall" / path).stat().st_mode)

    assert mode("") == mode("tls") == mode("trust") == 0o755
    assert mode("credentials") == 0o700
    groups = dict(line.split(":x:") for line in (installed / "etc/group").read_text().splitlines())
    for name in ROLES:
        assert mode(f"credentials/{name}") == 0o700
        file = installed / f"etc/midcall/{name}.toml"
        assert mode(f"{name}.toml") == 0o640 and file.stat().st_uid == 0
        assert file.stat().st_gid == int(groups[f"midcall-{name}"].partition(":")[0])
    assert not (installed / "usr/local/lib/systemd/system/midcall-kms@.service").stat().st_mode & 0o022


@needs_root
def test_a_second_time_changes_nothing(installed):
    file = installed / "etc/midcall/kms.toml"
    file.write_text(file.read_text() + "# ours\n")
    before = list(everything(installed))
    done = install("--destdir", installed, "--prefix", "/srv/midcall", "--files-only")
    assert done.returncode == 0, done.stderr
    assert list(everything(installed)) == before


@needs_root
def test_without_systemd_nothing_is_begun(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    done = install("--destdir", tmp_path / "to", "--files-only")
    assert done.returncode == 2 and "systemd-sysusers is missing" in done.stderr
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("options", [["--help"], ["--prefix", "relative"], ["--prefix", "/a b"]])
def test_wrong_options_install_nothing(options):
    done = install(*options)
    assert done.returncode == 2 and done.stderr

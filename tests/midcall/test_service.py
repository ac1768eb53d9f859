"""Roles under supervision: start, failure, reload, stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from midcall import service
from midcall.base.frame import Frame, RoleError
from tests.midcall.house import House, Toy, ask, hang_up, nothing, until


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return House(tmp_path)


def test_a_role_gets_its_table_with_the_paths_of_its_secrets(house):
    assert house.run(nothing) == 0
    assert house.seen == [Toy(secret=f"{house.folder}/toy-secret")]
    assert [line["message"] for line in house.lines(house.operator)] == ["ready", "stopping", "stopped"]


def test_the_folder_of_the_service_manager_comes_first(house, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/toy")

    house.run(nothing)
    assert house.seen[0].secret == "/run/credentials/toy/toy-secret"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops(house, number):
    async def kill() -> None:
        os.kill(os.getpid(), number)
        await house.stop.wait()

    assert house.run(kill) == 0
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


@pytest.mark.parametrize(
    ("tables", "roles", "said"),
    [
        ("", (), "there is no role's table in it"),
        ("[toy]\nwrod = 'x'\n", (), "toy: Object contains unknown field `wrod`"),
        ("[toy]\nsecret = '/etc/key'\n", (), "toy.secret: a path; secrets are given as names of credentials"),
        ("[toy]\n", ("audit",), "role audit: is not in this version; there are toy"),
        ("[other]\n", ("toy",), "has no table [toy]"),
    ],
)
def test_nothing_starts_with_a_wrong_file_or_an_unknown_role(house, tables, roles, said):
    house.write(tables)
    with pytest.raises(service.Refused, match=said.replace("[", r"\[").split(";")[0]):
        house.run(None, *roles)
    assert not house.seen


def test_an_error_names_file_and_line(house):
    house.write("[toy]\nword = 1\n")
    with pytest.raises(service.Refused) as refused:
        house.run()
    line = house.path.read_text().splitlines().index("word = 1") + 1
    assert str(refused.value).startswith(f"{house.path}: line {line}: toy.word: ")


def test_an_instance_with_a_file_of_its_own_runs_with_that(house):
    house.write("[toy]\nword = 'common'\n")
    common = house.path.read_text()
    house.path.with_name("midcall@a.toml").write_text(common.replace("common", "own"))
    house.instance = "a"
    assert house.run(nothing) == 0
    assert [each.word for each in house.seen] == ["own"]
    assert {line["instance"] for line in house.lines(house.operator)} == {"a"}


def test_a_number_shares_the_file_and_a_name_does_not(house):
    house.instance = "b"
    with pytest.raises(service.Refused, match=r"midcall@b\.toml: not there; an instance with a name has a file"):
        house.run()

    async def counted() -> None:
        assert (await asyncio.to_thread(ask, house.port() + 1, "/health"))[0] == 200

    house.instance = "2"
    assert house.run(counted) == 0


def test_inputs_are_recorded_in_laboratories_alone(house, tmp_path):
    assert house.run(nothing, record=tmp_path / "trace") == 0
    assert house.frames["toy"].record == tmp_path / "trace"
    house.path.write_text(house.path.read_text().replace("lab = true", "lab = false"))
    with pytest.raises(service.Refused, match="--record"):
        house.run(record=tmp_path / "trace")


def test_each_role_of_a_process_has_a_recording_of_its_own(house, tmp_path):
    house.roles["other"] = lambda: house.toy
    house.write("[toy]\n[other]\n")
    assert house.run(nothing, record=tmp_path / "trace") == 0
    assert {name: each.record for name, each in house.frames.items()} == {
        name: tmp_path / f"trace.{name}" for name in ("toy", "other")
    }


def test_a_role_of_which_nothing_can_be_recorded_is_refused(house, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "UNRECORDED", frozenset({"toy"}))
    with pytest.raises(service.Refused, match="nothing can be recorded of toy"):
        house.run(record=tmp_path / "trace")
    assert not house.seen


def test_several_roles_in_one_process_say_that_they_are_a_laboratory(house, capfd):
    house.roles["other"] = lambda: house.toy
    house.write("[toy]\n[other]\n")

    async def both_ready() -> None:
        await until(lambda: len(house.frames) == 2)

    assert house.run(both_ready) == 0
    assert "toy, other run in one process: for laboratories" in capfd.readouterr().err


def test_the_audit_is_there_before_the_others_begin_and_until_they_have_ended(house, monkeypatch):
    """``other`` stands for it; it takes a while."""
    monkeypatch.setattr(service, "FIRST", "other")
    begun = []

    async def first(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        await asyncio.sleep(0.05)
        begun.append(frame.role)
        await house.toy(config, frame, stop)
        begun.append("end of other")

    async def then(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        begun.append(frame.role)
        await house.toy(config, frame, stop)
        await asyncio.sleep(0.05)
        begun.append("end of toy")

    house.roles |= {"toy": lambda: then, "other": lambda: first}
    house.write("[toy]\n[other]\n")

    async def both_ready() -> None:
        await until(lambda: len(house.frames) == 2)

    assert house.run(both_ready) == 0 and begun == ["other", "toy", "end of toy", "end of other"]


def test_without_the_audit_the_others_do_not_begin(house, monkeypatch):
    monkeypatch.setattr(service, "FIRST", "other")

    async def refuses(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        raise RoleError("the log is not what was written")

    house.roles |= {"other": lambda: refuses}
    house.write("[toy]\n[other]\n")
    assert house.run() == 1 and not house.seen
    assert "the log is not what was written" in house.said(house.li)


# Failure


def test_what_a_role_raises_ends_the_process_after_the_others_have_stopped(house):
    ended = []

    async def other(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.ready()
        await stop.wait()
        ended.append("in peace")

    async def broken(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        raise ValueError("sip:alice@example.com 0123456789abcdef0123456789abcdef")

    house.roles |= {"toy": lambda: broken, "other": lambda: other}
    house.write("[toy]\n[other]\n")
    assert house.run() == 1
    assert ended == ["in peace"]
    told = house.said(house.li)
    assert "ValueError at " in told and "alice" not in told and "0123456789abcdef" not in told
    assert "a role has failed" in house.said(house.operator)


def test_a_role_says_why_it_cannot_start(house):
    async def refuses(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        raise RoleError("/etc/midcall/toy.pem: expired")

    house.roles["toy"] = lambda: refuses
    assert house.run() == 1
    assert "/etc/midcall/toy.pem: expired" in house.said(house.li)


def test_a_role_that_ends_by_itself_has_failed(house):
    async def ends(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.ready()

    house.roles["toy"] = lambda: ends
    assert house.run() == 1
    assert "ended by itself" in house.said(house.li)


def test_a_role_that_does_not_stop_is_cut_off(house):
    async def hangs(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.ready()
        house.ready.set()
        await asyncio.Event().wait()

    house.roles["toy"] = lambda: hangs
    house.write(process="stop_seconds = 0.01")

    assert house.run(nothing) == 1
    assert "not stopped in time" in house.said(house.operator)


def test_a_second_signal_does_not_wait(house):
    async def hangs(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.ready()
        house.ready.set()
        await asyncio.Event().wait()

    house.roles["toy"] = lambda: hangs
    house.write(process="stop_seconds = 3600")

    async def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await house.stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    assert house.run(twice) == 1


def test_a_fault_in_the_loop_is_told_by_type_and_place(house):
    async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        def broken() -> None:
            raise RuntimeError("tel:+15551234567")

        asyncio.get_running_loop().call_soon(broken)
        frame.ready()
        house.ready.set()
        await stop.wait()

    house.roles["toy"] = lambda: run

    async def wait() -> None:
        await until(lambda: "fault" in house.said(house.li))

    assert house.run(wait) == 0
    assert "RuntimeError at " in house.said(house.li) and "1555" not in house.said(house.li)


# Reload


def reloading(house: House, outcome: list[object]) -> Callable[[Toy, Frame, asyncio.Event], Awaitable[None]]:
    async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        async def reload(new: Toy) -> None:
            if new.word == "bad":
                raise RoleError("word: not this one")
            outcome.append(new)

        frame.on_reload(reload)
        frame.ready()
        house.ready.set()
        await stop.wait()

    return run


def test_a_new_file_reaches_the_role_and_a_broken_one_does_not(house):
    outcome: list[object] = []
    house.roles["toy"] = lambda: reloading(house, outcome)

    async def changes() -> None:
        house.write("[toy]\nword = 'two'\n")
        await hang_up(house, "done")
        house.write("[toy]\nword = 3\n")
        await hang_up(house, "refused")
        house.write("[toy]\nword = 'bad'\n")
        await hang_up(house, "refused")
        house.write("[other]\n")
        await hang_up(house, "refused")
        house.path.unlink()
        await hang_up(house, "refused")
        assert (await asyncio.to_thread(ask, house.port(), "/health"))[0] == 200

    assert house.run(changes) == 0
    assert outcome == [Toy(word="two", secret=f"{house.folder}/toy-secret")]
    told = house.said(house.operator)
    assert "line " in told and "toy.word: " in told and "No such file" in told
    assert "word: not this one" in house.said(house.li)


def test_what_only_a_start_can_change_is_said(house):
    async def change() -> None:
        house.write("[toy]\nword = 'two'\n", process="stop_seconds = 5", log='level = "error"')
        await hang_up(house, "done")

    assert house.run(change) == 0
    told = [line["message"] for line in house.lines(house.operator) if line["level"] == "warning"]
    assert told == [f"[{table}] has changed: that takes effect at the next start" for table in ("service", "log")]
    assert "toy.word has changed: that takes effect at the next start" in house.said(house.li)


def test_a_file_that_a_role_cannot_take_is_told_with_its_place(house):
    async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        async def reload(new: Toy) -> None:
            raise RoleError("/etc/midcall/toy.pem: expired", "toy.word")

        frame.on_reload(reload)
        frame.ready()
        house.ready.set()
        await stop.wait()

    house.roles["toy"] = lambda: run

    async def change() -> None:
        house.write("[toy]\nword = 'two'\n")
        await hang_up(house, "refused")

    assert house.run(change) == 0
    line = house.path.read_text().splitlines().index("word = 'two'") + 1
    assert f"{house.path}: line {line}: toy.word: /etc/midcall/toy.pem: expired" in house.said(house.li)

"""Misbehaviour on demand: what a deliverer meets."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from imswire import hi
from midcall.lemf.shell.misbehave import Misbehaviour
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.loopback import Client, Lab, run


async def misbehaving(pki: Path, out: Path, fault: str) -> AsyncIterator[tuple[Lab, Client]]:
    async with Lab(pki, out, fault) as lab:
        client = await lab.link()
        yield lab, client
        await client.close()


def with_fault(pki: Path, out: Path, fault: str, what: Callable[[Lab, Client], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async for lab, client in misbehaving(pki, out, fault):
            await what(lab, client)

    run(main)


def test_accept_then_close(pki, tmp_path):
    async def what(lab: Lab, client: Client) -> None:
        assert await client.ended() == b""
        assert ("accept-then-close" in lab.told[-1][1] or "accept-then-close" in lab.told[-2][1]) and not client.waiting

    with_fault(pki, tmp_path, "accept-then-close", what)


def test_accept_then_close_of_the_first_connection_only(pki, tmp_path):
    async def what(lab: Lab, client: Client) -> None:
        assert await client.ended() == b""
        second = await lab.link()
        await second.barrier()
        await second.close()

    with_fault(pki, tmp_path, "accept-then-close:1", what)


def test_reset_inside_a_pdu(pki, tmp_path):
    sender = Sender()
    pdus = [sender.cc() for _ in range(40)]

    async def what(lab: Lab, client: Client) -> None:
        with contextlib.suppress(OSError):
            await client.send(*pdus)
        assert await client.ended() == b""
        await client.close()
        second = await lab.link()
        await second.send(*pdus, sender.check())
        await second.barrier()
        await second.close()

    with_fault(pki, tmp_path, "reset-inside-pdu:1", what)
    out = (tmp_path / "liid-LIID1" / "hi3.ber").read_bytes()
    assert out.startswith(b"".join(pdus)) and (tmp_path / "findings.jsonl").read_text() == ""


def test_no_answers(pki, tmp_path):
    async def no_acknowledgement(_: Lab, client: Client) -> None:
        sender = Sender()
        await client.send(sender.tri(hi.AckRequest(), 1), sender.tri(hi.KeepAlive(), 2))
        assert isinstance((await client.answer()).payload, hi.KeepAliveResponse)

    async def no_keepalive(_: Lab, client: Client) -> None:
        sender = Sender()
        await client.send(sender.tri(hi.KeepAlive(), 1), sender.tri(hi.AckRequest(), 2))
        assert isinstance((await client.answer()).payload, hi.AckResponse)

    async def declined(_: Lab, client: Client) -> None:
        await client.send(Sender().tri(hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)), 1))
        assert (await client.answer()).payload == hi.OptionResponse((), (hi.Option.PDU_ACKNOWLEDGEMENT,))

    async def garbage(_: Lab, client: Client) -> None:
        with pytest.raises(hi.HiError):
            await client.answer()
            await client.answer()

    with_fault(pki, tmp_path / "1", "no-acknowledgement", no_acknowledgement)
    with_fault(pki, tmp_path / "2", "no-keepalive-answer", no_keepalive)
    with_fault(pki, tmp_path / "3", "decline-options", declined)
    with_fault(pki, tmp_path / "4", "garbage", garbage)


def test_refuse_tls(pki, tmp_path):
    async def main() -> None:
        async with Lab(pki, tmp_path / "all", "refuse-tls") as lab:
            for _ in range(2):
                with pytest.raises((OSError, ssl.SSLError)):
                    await lab.link()
            assert lab.receiver.connections == lab.receiver.refused == 2
        async with Lab(pki, tmp_path / "first", "refuse-tls:1") as lab:
            with pytest.raises((OSError, ssl.SSLError)):
                await lab.link()
            await (await lab.link()).close()
            assert lab.receiver.refused == 1

    run(main)


def test_slow_read(pki, tmp_path, monkeypatch):
    monkeypatch.setattr("midcall.lemf.shell.misbehave.SLOW_PAUSE", 0.01)
    sender = Sender()

    async def what(lab: Lab, client: Client) -> None:
        await client.send(*(sender.cc() for _ in range(100)))
        await client.barrier()
        assert lab.receiver.lemf.pdus == 101

    with_fault(pki, tmp_path, "slow-read", what)


@pytest.mark.parametrize("text", ["", "no-such", "garbage:x", "garbage:-1"])
def test_unknown_misbehaviour(text):
    with pytest.raises(ValueError):
        Misbehaviour.parse(text)

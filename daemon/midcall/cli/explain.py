"""midcall explain: asks the LI plane of POI and DF why there is, or is not, content for a call."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from midcall import config as config_file
from midcall.base import tls
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.tls import PeerName, TlsError
from midcall.base.tls_end import TlsEnd
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, read_text, shown
from midcall.config import ConfigError, ExplainTable
from midcall.live.ladder import (
    EXPLAIN_PATH,
    KIND,
    MAX_CALL_ID,
    MAX_QUESTION,
    Explanation,
    NotExplained,
    Question,
    Rung,
    State,
)

SECONDS = 15.0
MAX_ANSWER = 8 << 20
_FILE = click.Path(path_type=Path)
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where one listens everywhere, one is here too
_STATUS = {
    405: "is no LI plane",
    429: "has been asked too often; wait a minute",
}


class Element(Struct, frozen=True):
    """One that is asked."""

    role: str
    url: str


class Answer(Struct, frozen=True):
    """What it said: a ladder, or that there is none (both None), or ``error``: nothing."""

    element: Element
    found: Explanation | None = None
    error: str = ""


class _Access(Struct, frozen=True):
    """Whom to ask, and as whom."""

    elements: tuple[Element, ...]
    context: ssl.SSLContext
    peers: PeerName


@click.command()
@click.argument("call_id", metavar="CALL-ID")
@click.option("--config", type=_FILE, metavar="FILE", help="Names the elements: yours, or the daemon's.")
@click.option("--poi", "pois", multiple=True, metavar="URL", help="https://HOST:PORT of a POI's LI plane; repeatable.")
@click.option("--df", "dfs", multiple=True, metavar="URL", help="The same of a DF.")
@click.option("--cert", type=_FILE, help="Your certificate (PEM).")
@click.option("--key", type=_FILE, help="Its key (PEM, mode 600).")
@click.option("--ca", type=_FILE, help="The CA of the elements (PEM).")
@click.option("--crl", type=_FILE, help="Its revocation list (PEM).")
@click.option("--peer", "peers", multiple=True, metavar="NAME", help="In their certificates; default: the host.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(call_id: str, as_json: bool, **given: Any) -> int:
    """Say why there is, or is not, content for the call CALL-ID.

    Only calls under an armed task are explained. Exit status 0: nothing is missing; 4: something is, or somebody did
    not answer; 3: nobody did; 2: usage.
    """
    question = _question(call_id)
    answers = asyncio.run(_ask_all(_access(given), question))
    if as_json:
        click.echo(json.dumps(_as_json(call_id, answers), indent=2))
    else:
        for line in _lines(answers):
            click.echo(line)
    for each in answers:
        if each.error:
            click.echo(shown(f"midcall: {each.element.url} {each.error}"), err=True)
    return _status(answers)


def _status(answers: list[Answer]) -> int:
    if all(each.error for each in answers):
        return UNREADABLE
    whole = any(each.found for each in answers) and not any(each.error for each in answers)
    return DONE if whole and not list(_missing(answers)) else DONE_WITH_ERRORS


def _question(call_id: str) -> bytes:
    try:
        octets = msgspec.json.encode(Question(call_id))
    except UnicodeEncodeError:
        raise Failed(USAGE, "CALL-ID: not UTF-8 text") from None
    if not 0 < len(call_id) <= MAX_CALL_ID or len(octets) > MAX_QUESTION:
        raise Failed(USAGE, f"CALL-ID: 1 to {MAX_CALL_ID} characters")
    return octets


# Whom to ask


def _access(given: dict[str, Any]) -> _Access:
    """Options win over the file. Failed."""
    table = None if given["config"] is None else _read(given["config"])
    elements = [Element(role, url) for role in ("poi", "df") for url in given[f"{role}s"]]
    files = {name: given[name] for name in ("cert", "key", "ca", "crl")}
    peers = given["peers"]
    if isinstance(table, ExplainTable):
        elements = elements or [Element(role, url) for role in ("poi", "df") for url in getattr(table, role)]
        own = {"cert": table.certificate, "key": table.key, "ca": table.ca, "crl": table.crl}
        files = {name: files[name] or (Path(path) if path else None) for name, path in own.items()}
        peers = peers or table.peers
    elif table is not None:
        elements = elements or table
    if not elements:
        raise Failed(USAGE, "nobody to ask: give --poi and --df, or a --config that names them")
    for each in elements:
        if not each.url.startswith("https://") or "/" in each.url.removeprefix("https://"):
            raise Failed(USAGE, f"{each.url}: https://HOST:PORT, without a path")
    for name in ("cert", "key", "ca"):
        if files[name] is None:
            raise Failed(USAGE, f"--{name} is missing; the LI plane is asked over mutual TLS only")
    identity = tls.Identity(files["cert"], files["key"], files["ca"], files["crl"])
    try:
        context = tls.client_context(identity, check_host=not peers)
    except TlsError as error:
        raise Failed(USAGE, str(error)) from None
    return _Access(tuple(elements), context, PeerName(*peers))


def _read(path: Path) -> ExplainTable | list[Element]:
    try:
        found = config_file.asking(read_text(path, config_file.MAX_OCTETS))
    except ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None
    if isinstance(found, ExplainTable):
        return found
    elements = []
    if found.poi is not None and found.poi.li is not None:
        elements.append(Element("poi", _url(found.poi.li.listen)))
    if found.df is not None and found.df.li is not None:
        elements.append(Element("df", _url(found.df.li.listen)))
    return elements


def _url(listen: str) -> str:
    host, port = config_file.address(listen)
    host = _ANY.get(host, host)
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


# Asking


async def _ask_all(access: _Access, question: bytes) -> list[Answer]:
    return list(await asyncio.gather(*(_ask(each, access, question) for each in access.elements)))


async def _ask(element: Element, access: _Access, question: bytes) -> Answer:
    client = HttpsClient(element.url, TlsEnd(access.context, access.peers), 1)
    try:
        answer = await client.post(EXPLAIN_PATH, question, KIND, SECONDS, MAX_ANSWER)
        if answer.status == 404:
            msgspec.json.decode(answer.body, type=NotExplained)
            return Answer(element)
        if answer.status != 200:
            return Answer(element, None, _STATUS.get(answer.status, f"answers with status {answer.status}"))
        return Answer(element, msgspec.json.decode(answer.body, type=Explanation))
    except Unreachable as error:
        return Answer(element, None, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Answer(element, None, "answers with something that is no explanation")
    finally:
        await client.close()


# Telling


def _missing(answers: list[Answer]) -> Iterator[tuple[Answer, Rung]]:
    for answer in answers:
        for task in answer.found.tasks if answer.found else ():
            for fork in task.forks:
                for rung in fork.rungs:
                    if rung.state is State.MISSING:
                        yield answer, rung


def _lines(answers: list[Answer]) -> Iterator[str]:
    for answer in answers:
        if answer.error:
            continue
        name = f"{answer.element.role.upper()} {answer.found.element if answer.found else ''}".rstrip()
        yield shown(f"{name}  {answer.element.url}")
        if answer.found is None:
            yield f"  {NotExplained().refused}"
            continue
        for task in answer.found.tasks:
            liid = f", LIID {task.liid}" if task.liid else ""
            when = ", armed while it ran" if task.mid_call else ""
            yield shown(f"  task {task.xid}{liid}{when}")
            for fork in task.forks:
                if len(task.forks) > 1:
                    yield f"    fork {fork.number}"
                yield from map(_line, fork.rungs)
    reasons = list(dict.fromkeys(rung.reason or rung.name for _, rung in _missing(answers)))
    if reasons:
        yield shown(f"missing: {', '.join(reasons)}")


def _line(rung: Rung) -> str:
    mark = rung.state.value.upper() if rung.state is State.MISSING else rung.state.value
    reason = f" [{rung.reason}]" if rung.reason else ""
    return shown(f"    {mark:<10}  {rung.name:<11}  {rung.said}{reason}")


def _as_json(call_id: str, answers: list[Answer]) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "elements": [
            {
                "role": each.element.role,
                "url": each.element.url,
                "explained": None if each.found is None else msgspec.to_builtins(each.found),
                "error": each.error or None,
            }
            for each in answers
        ],
        "missing": [
            {"role": each.element.role, "rung": rung.name, "reason": rung.reason, "said": rung.said}
            for each, rung in _missing(answers)
        ],
    }

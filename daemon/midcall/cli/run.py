"""midcall run: the daemon."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

import click

from midcall.base import memory
from midcall.cli.fail import OWN_PROCESS, USAGE, Failed


class _Instance(click.ParamType[str]):
    name = "N|NAME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        if not re.fullmatch(r"[1-9][0-9]{0,2}|[a-z][a-z0-9-]{0,30}", value):
            self.fail(f"{value!r} is neither a number from 1 to 999 nor a name of small letters, digits and hyphens")
        return value


@click.command()
@click.option("--config", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Its configuration.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="What to run; default: the roles in the file.")
@click.option("--instance", type=_Instance(), default="1", show_default=True, help="Which one of its role: N or NAME.")
@click.option("--record", type=click.Path(path_type=Path), metavar="FILE", help="Write inputs down; laboratories only.")
@click.pass_obj
def run(own: object, config: Path, roles: tuple[str, ...], instance: str, record: Path | None) -> int:
    """Run roles until SIGTERM or SIGINT; SIGHUP reads the configuration anew.

    An instance that has a file of its own, STEM@INSTANCE.toml beside FILE, runs with that.

    Exit status 0: stopped as told; 1: a role failed or did not stop in time; 2: nothing was started.
    """
    own = own is OWN_PROCESS and memory.is_own()
    if own and roles:  # before anything is loaded that would be loaded again
        _protect(set(roles))
    # aiohttp makes a context when it is loaded, with all CAs of the host; here nobody is trusted for one of those.
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        os.environ.setdefault(name, os.devnull)
    with memory.uncollected():
        from midcall import service  # the other commands do without what it loads

    async def serve() -> int:
        return await service.serve(roles, config, instance, asyncio.Event(), record=record)

    try:
        if own and not roles:
            _protect(set(service.roles(roles, config, instance)))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(serve())
    except service.Refused as refused:
        raise Failed(USAGE, str(refused)) from None


def _protect(roles: set[str]) -> None:
    """What others have entrusted to these roles."""
    if roles & memory.HOLDERS:
        small = "kms" in roles
        if not memory.overwrites_freed(small=small):
            memory.begin_overwriting(small=small)
        memory.lock()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

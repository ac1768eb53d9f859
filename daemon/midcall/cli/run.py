"""midcall run: the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import click

from midcall.cli.fail import USAGE, Failed


@click.command()
@click.option("--config", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Its configuration.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="What to run; default: the roles in the file.")
@click.option("--instance", type=click.IntRange(1, 999), default=1, show_default=True, help="Which one of its role.")
@click.option("--record", type=click.Path(path_type=Path), metavar="FILE", help="Write inputs down; laboratories only.")
def run(config: Path, roles: tuple[str, ...], instance: int, record: Path | None) -> int:
    """Run roles until SIGTERM or SIGINT; SIGHUP reads the configuration anew.

    Exit status 0: stopped as told; 1: a role failed or did not stop in time; 2: nothing was started.
    """
    from midcall import service  # the other commands do without what it loads

    async def serve() -> int:
        return await service.serve(roles, config, instance, asyncio.Event(), record=record)

    try:
        with asyncio.Runner(loop_factory=_loop()) as runner:
            return runner.run(serve())
    except service.Refused as refused:
        raise Failed(USAGE, str(refused)) from None


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

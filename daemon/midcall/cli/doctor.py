"""midcall doctor: looks at an installation and says what to mend."""

from __future__ import annotations

import os
from pathlib import Path

import click

from midcall import config as config_file
from midcall.cli.checks import host, installed
from midcall.cli.checks.finding import State
from midcall.cli.fail import DONE, USAGE, Failed, read_text, shown
from midcall.config import ConfigError, DaemonConfig

TO_MEND = 1


@click.command()
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Look at what this file names, too.")
def doctor(config: Path | None) -> int:
    """Check this host, and with --config what a service on it needs. Run it as the service's user, or as root.

    Exit status 0: nothing to mend; 1: something is; 2: the file cannot be read.
    """
    findings = host.findings()
    if config is not None:
        found = _read(config)
        folder = os.environ.get("CREDENTIALS_DIRECTORY") or found.service.credentials
        findings += installed.findings(config, found, folder)
    for each in findings:
        click.echo(shown(str(each)))
    wrong = sum(each.state is State.MEND for each in findings)
    click.echo(f"{wrong} to mend" if wrong else "nothing to mend")
    return TO_MEND if wrong else DONE


def _read(path: Path) -> DaemonConfig:
    try:
        return config_file.daemon(read_text(path, config_file.MAX_OCTETS), DaemonConfig)
    except ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None

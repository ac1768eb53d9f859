"""midcall: the command that has the others. Each is loaded when it is wanted: a service begins twice as fast so."""

from __future__ import annotations

import importlib
import sys

import click

from midcall import __version__
from midcall.cli.fail import OWN_PROCESS, Failed

_MODULES = {
    "demo": (),
    "run": (),
    "replay": (),
    "inspect": (),
    "lemf": (),
    "warrant": ("activate.activate", "activate.revoke"),
    "explain": (),
    "doctor": (),
    "kms": (),
    "audit": ("audit_anchor.anchor", "audit_find.find", "audit_review.review"),
}
"""By command, which is the module of its name: commands of it that stand in other modules."""


class _Commands(click.Group):
    """Loads a command when somebody asks for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _MODULES:
            return None
        command = _loaded(f"{cmd_name}.{cmd_name}")
        if isinstance(command, click.Group):
            for place in _MODULES[cmd_name]:
                command.add_command(_loaded(place))
        return command


def _loaded(place: str) -> click.Command:
    module, _, name = place.partition(".")
    command = getattr(importlib.import_module(f"midcall.cli.{module}"), name)
    assert isinstance(command, click.Command), place
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="midcall")
def cli() -> None:
    """Lawful interception for IMS media keyed by MIKEY-TICKET, able to start in the middle of a call."""


def main() -> None:
    """Run a command; every failure is one line on standard error and an exit status."""
    try:
        status = cli.main(standalone_mode=False, obj=OWN_PROCESS)
        sys.exit(status or 0)
    except Failed as failed:
        click.echo(f"midcall: {failed}", err=True)
        sys.exit(failed.status)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"midcall: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("midcall: aborted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        # No traceback reaches a user: locals could hold key material.
        click.echo(f"midcall: internal error: {type(error).__name__}; please report it", err=True)
        sys.exit(70)

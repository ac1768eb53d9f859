"""midcall: the command that has the others."""

from __future__ import annotations

import sys

import click

from midcall import __version__
from midcall.cli.activate import activate, revoke
from midcall.cli.audit import audit
from midcall.cli.audit_anchor import anchor
from midcall.cli.audit_find import find
from midcall.cli.audit_review import review
from midcall.cli.demo import demo
from midcall.cli.doctor import doctor
from midcall.cli.explain import explain
from midcall.cli.fail import OWN_PROCESS, Failed
from midcall.cli.inspect import inspect
from midcall.cli.kms import kms
from midcall.cli.lemf import lemf
from midcall.cli.replay import replay
from midcall.cli.run import run
from midcall.cli.warrant import warrant


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="midcall")
def cli() -> None:
    """Lawful interception for IMS media keyed by MIKEY-TICKET, able to start in the middle of a call."""


cli.add_command(demo)
cli.add_command(run)
cli.add_command(replay)
cli.add_command(inspect)
cli.add_command(lemf)
warrant.add_command(activate)
warrant.add_command(revoke)
cli.add_command(warrant)
cli.add_command(explain)
cli.add_command(doctor)
cli.add_command(kms)
audit.add_command(anchor)
audit.add_command(find)
audit.add_command(review)
cli.add_command(audit)


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

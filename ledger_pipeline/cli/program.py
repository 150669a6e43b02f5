"""Runs a command and turns whatever it raises into an exit code and one line on stderr."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from ledger_pipeline.cli.commands import COMMANDS
from ledger_pipeline.cli.output import one_line
from ledger_pipeline.errors import ColdStoreDamaged, LedgerError, NotesContradicted, ReconciliationFailed

DONE, NO, REFUSED, DEFECT = 0, 1, 2, 70
SIGNAL_BASE = 128

PROGRAM = "ledger-pipeline"


class _InOrder(click.Group):
    """Lists the commands in the order of `COMMANDS`: first what a newcomer needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would cut the sentences off.
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one_line((c.help or "").partition("\n\n")[0])) for name, c in self.commands.items()]
            )


@click.group(
    PROGRAM,
    cls=_InOrder,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Settings are environment variables, LEDGER_HOME (default: data/) among them: README.md lists them. "
    "Start with `ledger-pipeline demo`.",
)
@click.version_option(package_name=PROGRAM)
@click.pass_context
def program(context: click.Context) -> None:
    """The book of record for AI-agent workflows: every execution replayable, every cent explained, every event kept."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in COMMANDS:
    program.add_command(command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and answers its exit code; `arguments` default to the process's own."""
    try:
        answer = program.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        return answer if isinstance(answer, int) else DONE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else PROGRAM
        return _refuse(f"{error.format_message()} (see {path} --help)")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return SIGNAL_BASE + signal.SIGINT
    except (ColdStoreDamaged, NotesContradicted, ReconciliationFailed) as error:
        _refuse(str(error))
        return NO
    except LedgerError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        # The reader has had enough, as `head` does; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNAL_BASE + signal.SIGPIPE
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("psycopg", "adbc_driver_manager", "duckdb", "_duckdb"):
            return _refuse(f"the database refused: {error}")
        traceback.print_exc()
        return DEFECT


def _refuse(message: str) -> int:
    click.echo(f"error: {one_line(message)}", err=True)
    return REFUSED


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(SIGNAL_BASE + number)


def main() -> None:
    """The console script."""
    # By default SIGTERM ends Python without a word: the embedded server would stay up, its holder gone.
    signal.signal(signal.SIGTERM, _end)
    sys.exit(run())

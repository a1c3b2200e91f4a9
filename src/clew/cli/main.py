"""The command ``clew``: assembles the commands, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from clew.cli import invocation
from clew.errors import ClewError, FilterError, QueryError, SettingError

COMMANDS: dict[str, str] = {
    "run": "Run a workflow.",
    "validate": "Check workflow documents: every mistake at once.",
    "graph": "Write a workflow as a Mermaid flowchart.",
    "serve": "Receive telemetry from any program, and answer for the data directory.",
    "ui": "Open the web UI in a browser.",
    "import": "Take OTLP files and exported runs into the store.",
    "export": "Write one run to a file that another store can import.",
    "runs": "List the newest runs.",
    "show": "Show one run as a tree, with times, tokens, cost and errors.",
    "report": "Write one run as a page of Markdown that says what failed and why.",
    "search": "Find spans with a filter.",
    "errors": "List failures by what is alike in them.",
    "cost": "Say what model calls cost.",
    "budgets": "Set limits on what may be spent, and see what was.",
    "metrics": "Show which metrics there are.",
    "sql": "Run a read-only SQL query.",
    "tail": "Follow what programs record, live.",
    "doctor": "Check the store, the spool and what was lost.",
    "workflows": "Write workflow files for editors, and begin and end the run that they report.",
    "persona": "Say who acts, and how much of each token budget is left.",
    "stage": "Report the stages of a workflow from a shell.",
    "gate": "Report the quality gates of a stage from a shell.",
    "prune": "Drop what is older than it is to be kept.",
    "delete": "Delete runs for good.",
    "backup": "Write a backup of the data directory.",
    "restore": "Make a data directory of a backup.",
    "retry": "Try again what the engine refused.",
    "keys": "Make, list and remove the API keys of clew serve.",
}
"""Each in the module of its name (``import_`` for ``import``), loaded when it is used."""

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed, or done with faults (such as broken lines in an import)
  2    wrong usage: an unknown option, a filter or a query that is not understood
  3    clew run: a budget, a limit of loops or a required gate stopped it
  130  interrupted
"""


class Commands(click.Group):
    """Loads a command when it is asked for, so that help is quick and needs no extra."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"clew.cli.{cmd_name}{'_' if cmd_name == 'import' else ''}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"there is no command {args[0]!r}; {f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Runs the command line and exits; stderr gets one clear line for an error."""
        sys.exit(run(self, *args, **extra))


def run(group: click.Group, args: list[str] | None = None, **extra: Any) -> int:
    """Runs the command line; the result is the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets "?" for what it cannot show
    context: click.Context | None = None
    try:
        try:
            with group.make_context("clew", list(sys.argv[1:] if args is None else args)) as context:
                code = click.Group.invoke(group, context)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough; the interpreter flushes at exit
            return DONE
        return code if isinstance(code, int) else DONE
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        _write(f"{error.format_message().rstrip('.')} ({error.ctx.command_path if error.ctx is not None else 'clew'} --help)")
        return USAGE
    except click.ClickException as error:
        _write(error.format_message())
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("clew: interrupted", err=True)
        return INTERRUPTED
    except (ClewError, OSError) as error:
        if context is not None and context.meta.get("clew.debug"):
            raise
        _say(error)
        return USAGE if _is_usage(error) else FAILED


def _is_usage(error: BaseException) -> bool:
    return isinstance(error, (FilterError, SettingError)) or type(error) is QueryError


def _say(error: BaseException) -> None:
    text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else str(error)
    if isinstance(error, OSError) and not error.filename and error.strerror and not isinstance(error, ClewError):
        text = error.strerror
    _write(text)


def _write(text: str) -> None:
    from clew.cli.terminal import safe_lines

    click.echo("clew: " + "\n".join(safe_lines(text)), err=True)


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"clew {version('clew')}")
        context.exit()


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings={"max_content_width": 120})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version and exit.")
@invocation.common
def main() -> None:
    """Record programs made of agents, keep the record, and read it back."""


if __name__ == "__main__":
    main()

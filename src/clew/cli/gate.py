"""``clew gate``: whether a stage is good enough."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from clew import settings
from clew.cli import invocation, reporting
from clew.cli.terminal import safe
from clew.model.attributes import STAGE

F = TypeVar("F", bound=Callable[..., Any])

NOT_FOUND, NOT_RUNNABLE = 127, 126
"""Exit codes of a shell for a command that it cannot find or run."""


@click.group("gate")
def command() -> None:
    """Report the quality gates of a stage from a shell or an editor's agent.

    A required gate that is not passed makes the run fail, unless it is passed later.
    """


def _common(function: F) -> F:
    for option in (
        invocation.common,
        click.option("--advisory", is_flag=True, help="The run does not fail by it."),
        click.option("--stage", metavar="NAME", help="Stage that it judges; the one that was started last unless given."),
    ):
        function = option(function)
    return function


@command.command("pass")
@click.argument("name")
@click.option("--reason", default="", help="What it was judged by, in one line.")
@_common
def pass_(name: str, reason: str, stage: str | None, advisory: bool) -> None:
    """The stage passed a gate."""
    _tell(name, "passed", reason, stage, advisory)


@command.command("fail")
@click.argument("name")
@click.option("--reason", default="", help="What is wrong, in one line.")
@_common
def fail(name: str, reason: str, stage: str | None, advisory: bool) -> None:
    """The stage did not pass a gate."""
    _tell(name, "failed", reason, stage, advisory)


@command.command("check")
@click.argument("name")
@click.argument("words", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
@_common
def check(name: str, words: Sequence[str], stage: str | None, advisory: bool) -> int:
    """Run a command: the gate is passed when its exit code is 0, which is this command's too."""
    from clew.record.instruments.personas.reported import environment

    with reporting.reporting() as found:
        gate = found.start_gate(name, stage=stage, required=not advisory)
    try:
        code = subprocess.run(words, env=settings.child_environment(environment(gate)), check=False).returncode
        code = 128 - code if code < 0 else code  # as a shell tells of a signal
        result, reason = ("passed", "") if code == 0 else ("failed", f"{words[0]} exited with {code}")
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
        result, reason = "error", f"{words[0]}: {error.strerror}"
    except KeyboardInterrupt:
        code, result, reason = 130, "error", "interrupted"
    with reporting.reporting() as found:
        found.end_gate(gate, result, reason=reason, check="command")  # type: ignore[arg-type]  # one of the three
    _say(name, result, reason, str(gate.attributes[STAGE]), reporting.took(gate, time.time_ns()))
    return code


def _tell(name: str, result: Any, reason: str, stage: str | None, advisory: bool) -> None:
    with reporting.reporting() as found:
        gate = found.start_gate(name, stage=stage, required=not advisory)
        found.end_gate(gate, result, reason=reason, check="manual")
    _say(name, result, reason, str(gate.attributes[STAGE]))


def _say(name: str, result: str, reason: str, stage: str, took: str = "") -> None:
    verdict = "could not be checked" if result == "error" else result
    after = f" after {took}" if took else ""
    invocation.page().line(f"gate {safe(name)} of stage {safe(stage)} {verdict}{after}{f': {safe(reason)}' if reason else ''}")

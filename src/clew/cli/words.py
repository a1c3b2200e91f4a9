"""``clew run "words"``: plans a workflow, shows it, and asks whether it may run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from clew import settings
from clew.cli import figures, invocation
from clew.cli.terminal import safe, safe_lines

if TYPE_CHECKING:
    from clew.act.workflow.document import Document
    from clew.act.workflow.metrics import MetricsCollector
    from clew.act.workflow.planner.planning import PlanResult
    from clew.act.workflow.planner.steps import Planned
    from clew.act.workflow.planner.trace import PlannerTraceCollector

WORKFLOWS: Final = "workflows"
"""Folder, of the data directory and of the current one, that holds known workflows."""
NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.yaml)?")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about planning."""

    model: str | None
    timeout_s: float
    directories: Sequence[Path]
    trace: Path | None
    """Directory for the trace file; None: no trace."""
    record: bool
    yes: bool
    dry_run: bool
    save: str | None


def are_words(text: str) -> bool:
    """Whether a workflow is asked for, and not a file named: there is a space in it, and no file of that name."""
    if not re.search(r"\s", text.strip()):
        return False
    try:
        return not Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return True


def check(options: Options) -> str:
    """The model to plan with. Called before anything is spent.

    :raises UsageError: there is no model, nobody can be asked for consent, or the workflow cannot be kept under that name
    """
    model = settings.get("planner_model", options.model)
    if model is None:
        raise click.UsageError(
            "words are planned by a model, and none is named; give --planner-model PROVIDER:MODEL, or set CLEW_PLANNER_MODEL "
            "(if a file was meant: there is none of that name)"
        )
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise click.UsageError(
            "nobody can be asked whether the planned workflow may run, as stdin is no terminal; add --yes to run it unasked, or --dry-run to see it only"
        )
    if options.save is not None:
        if not NAME.fullmatch(options.save):
            raise click.UsageError(f"--save {options.save!r} is no name; use letters, digits, _ and -")
        if (path := _kept(options.save)).exists():
            raise click.UsageError(f"--save: {path} is there already; choose another name")
    return str(model)


def _kept(name: str) -> Path:
    return invocation.data_dir() / WORKFLOWS / f"{name.removesuffix('.yaml')}.yaml"


def plan(words: str, given: Mapping[str, Any], model: str, options: Options, metrics: MetricsCollector | None) -> PlanResult:
    """Plans, and says on stderr what came out of it: the workflow and its inputs, or what was tried last."""
    from clew.act.workflow.planner.planning import plan_words
    from clew.act.workflow.registry import node_types

    directories = options.directories or (Path(WORKFLOWS), invocation.data_dir() / WORKFLOWS)
    with _progress(model) as watch:
        result = plan_words(
            words,
            model=model,
            types=node_types(),
            directories=directories,
            given=given,
            timeout_s=options.timeout_s,
            metrics_collector=metrics,
            trace_collector=_trace(words, options),
            record=options.record,
            watch=watch,
        )
    for fault in result.faults:
        invocation.warn(f"warning: {safe(fault)}")
    if result.planned is not None:
        _show(result.planned, figures.duration(result.duration_ns))
    elif result.draft is not None:
        _say("the last document that was tried:", result.draft)
    if result.trace_path is not None:
        invocation.warn(f"trace: {safe(str(result.trace_path))}")
    if result.run_id is not None:
        invocation.warn(f"clew show {result.run_id[:8]}   how it was planned")
    return result


def _trace(words: str, options: Options) -> PlannerTraceCollector | None:
    if options.trace is None:
        return None
    from clew.act.workflow.planner.trace import PlannerTraceCollector

    return PlannerTraceCollector(options.trace, words, warn=lambda text: invocation.warn(f"warning: {safe(text)}"))


@contextmanager
def _progress(model: str) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, which step is under way."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{safe(model)} plans")) as status:
        yield lambda step: status.update(Text(f"{safe(model)} plans: {step}"))


def _show(planned: Planned, took: str) -> None:
    document, source = planned.document, planned.source
    what = (
        f"the known workflow {safe(document.name)} of {safe(str(source.path))}"
        if planned.path_taken == "A"
        else f"a new workflow, {safe(document.name)}"
    )
    _say(f"planned in {took}: {what}: {safe(planned.reason)}", source.text)
    shown = _inputs(document, planned.given)
    if shown:
        invocation.warn("with " + ", ".join(f"{name}={value}" for name, value in shown.items()))


def _inputs(document: Document, given: Mapping[str, Any]) -> dict[str, str]:
    """The inputs as they may be written."""
    from clew.wire.redaction import MASK, redact_text

    return {name: MASK if document.inputs[name].secret else redact_text(safe(str(value))) for name, value in given.items()}


def _say(text: str, document: str) -> None:
    from clew.wire.redaction import redact_text

    invocation.warn(text)
    click.echo("\n".join(f"  {line}" for line in safe_lines(redact_text(document).rstrip("\n"))), err=True)


def keep(planned: Planned, name: str) -> None:
    """Writes a new workflow to the known ones of the data directory, for the user alone; a known one is where it is. What cannot be written is
    a warning: the workflow has been paid for, and may still be run."""
    if planned.path_taken == "A":
        invocation.warn(f"--save: nothing is kept, the workflow is in {safe(str(planned.source.path))} already")
        return
    path = _kept(name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(planned.source.text)
    except OSError as error:
        invocation.warn(f"warning: {safe(str(path))} cannot be written: {error.strerror}; what was planned stands above")
        return
    invocation.warn(f"kept as {safe(str(path))}")


def may_run(options: Options) -> bool:
    """Whether the user consents."""
    return options.yes or click.confirm("Run it?", default=False, err=True)

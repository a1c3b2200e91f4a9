"""``clew workflows``: workflow files for editors, and the run that they report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import figures, invocation, reporting
from clew.cli.terminal import Cell, Column, safe

if TYPE_CHECKING:
    from clew.connect.editors.declared import Workflow
    from clew.connect.editors.files import File

DONE, FAILED = 0, 1
ALL = "all"


@click.group("workflows")
def command() -> None:
    """Write workflow files for editors, check them, and begin and end the run that they report.

    A workflow file is a prompt by which an editor's agent goes through stages, each as another persona, and reports with clew persona, stage and gate.
    """


@command.command("list")
@invocation.as_json
@invocation.common
def list_(as_json: bool) -> None:
    """List the workflows that there are files for."""
    from clew.connect.editors.declared import workflows

    found = list(workflows().values())
    page = invocation.page()
    if as_json:
        page.json(found)
        return
    columns = (Column("workflow"), Column("stages", "right"), Column("personas", shrink_to=20), Column("about", shrink_to=20))
    rows = [(Cell(row.name, "strong"), Cell(str(len(row.stages))), Cell(", ".join(row.personas)), Cell(row.about)) for row in found]
    page.table(columns, rows)


_EDITOR = click.option(
    "--for", "editors", metavar="EDITOR", multiple=True, help="augment, cline, copilot, claude or cursor; may be given several times."
)
_WORKFLOW = click.option(
    "--workflow", "names", metavar="NAME", multiple=True, default=(ALL,), help="Which workflow, or all, as when it is not given."
)
_DIR = click.option(
    "--dir",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The project's directory; the current one unless given.",
)


@command.command("write")
@_EDITOR
@_WORKFLOW
@_DIR
@click.option("--force", is_flag=True, help="Write over files that were edited, too.")
@invocation.common
def write(editors: Sequence[str], names: Sequence[str], directory: Path, force: bool) -> int:
    """Write workflow files where an editor looks for them.

    A file that was edited, or that Clew did not write, is kept, and the exit code is 1; --force writes over it.
    """
    from clew.connect.editors import files
    from clew.connect.editors.formats import EDITORS

    if not editors:
        raise click.UsageError("which editor? --for augment, cline, copilot, claude or cursor")
    if not directory.is_dir():
        raise click.UsageError(f"{directory} is not a directory; name the project's with --dir")
    lines, kept = [], 0
    for editor in _editors(editors):
        for workflow in _workflows(names):
            path = files.place(workflow, EDITORS[editor], directory)
            outcome = files.write(workflow, EDITORS[editor], directory, force=force)
            kept += outcome == "kept"
            invoked = EDITORS[editor].invoked.format(name=workflow.name)
            more = "; it was edited, --force writes over it" if outcome == "kept" else f"; in {EDITORS[editor].title}: {invoked}"
            lines.append(f"{outcome:9} {safe(str(path))}{more}")
    invocation.page().lines(lines)  # when all is written: a reader may close the pipe
    return FAILED if kept else DONE


@command.command("check")
@_EDITOR
@_WORKFLOW
@_DIR
@invocation.as_json
@invocation.common
def check(editors: Sequence[str], names: Sequence[str], directory: Path, as_json: bool) -> int:
    """Check workflow files: that they are there, up to date, and that every command in them would be understood.

    Without --for, those of every editor that has one. An edited file is fine as long as its commands are. The exit code is 1 when something is wrong.
    """
    from clew.connect.editors import files
    from clew.connect.editors.formats import EDITORS

    found = [
        files.look(workflow, EDITORS[editor], directory, fault) for editor in _editors(editors or (ALL,)) for workflow in _workflows(names)
    ]
    if not editors:
        used = {file.editor for file in found if file.state != "missing"}
        found = [file for file in found if file.editor in used]
    page = invocation.page()
    if as_json:
        page.json(
            [
                {"path": str(file.path), "editor": file.editor, "workflow": file.workflow, "state": file.state, "faults": file.faults}
                for file in found
            ]
        )
    else:
        for file in found:
            page.line(f"{file.state:9} {safe(str(file.path))}{'' if file.state in ('current', 'edited') else _remedy(file)}")
            page.lines(f"  {page.style(safe(text), 'error')}" for text in file.faults)
        if not found:
            page.line(f"No workflow files in {safe(str(directory))}. clew workflows write --for EDITOR writes them.")
    wrong = [file for file in found if file.state in ("missing", "outdated") or file.faults]
    return FAILED if wrong or not found else DONE


@command.command("start")
@click.argument("name")
@click.option("--anew", is_flag=True, help="Give up a run that is open, as lost, instead of refusing.")
@invocation.common
def start(name: str, anew: bool) -> None:
    """Begin a run that stages, personas and gates are reported to."""
    with reporting.reporting() as found:
        run = found.start_run(name, anew=anew)
    invocation.page().line(f"run {safe(name)} begun · {run.trace_id}")


@command.command("end")
@click.option("--failed", metavar="REASON", default="", help="It failed, and why. It has also failed when a stage or a required gate did.")
@invocation.common
def end(failed: str) -> int:
    """End the run, and the session of the persona that acts."""
    with reporting.reporting() as found:
        left = found.remaining()
        ended = found.end_run(failed=failed)
    if ended.lost:
        invocation.warn(f"nobody had ended {figures.plural(len(ended.lost), 'stage')}, now lost: {', '.join(map(safe, ended.lost))}")
    outcome = f"failed: {safe(ended.failed)}" if ended.failed else "ended well"
    page = invocation.page()
    page.line(
        f"run {safe(ended.run.name)} {outcome}, after {reporting.took(ended.run, time.time_ns())}; clew show {ended.run.trace_id[:8]} shows it"
    )
    over = {name: number for name, number in left.items() if number < 0}
    for name, number in over.items():
        page.line(f"persona {safe(name)} used {-number:,} tokens more than its budget")
    return DONE


def fault(words: Sequence[str]) -> str | None:
    """Why a command line would be refused, given as the words after ``clew``; None when it would be understood."""
    from clew.cli.main import main
    from clew.errors import PersonaError
    from clew.record.instruments.personas.profiles import profile

    current: click.Command = main
    context = click.Context(main, info_name="clew")
    left = list(words)
    while isinstance(current, click.Group):
        if not left:
            return f"{context.command_path} needs a command"
        found = current.get_command(context, left[0])
        if found is None:
            return f"there is no command {left[0]!r}"
        current, left = found, left[1:]
        if isinstance(current, click.Group):
            context = click.Context(current, parent=context, info_name=current.name)
    try:
        with current.make_context(current.name, left, parent=context) as made:
            given = made.params
        persona = given.get("name") if list(words[:2]) == ["persona", "switch"] else given.get("persona")
        if persona is not None:
            profile(persona)
    except click.exceptions.Exit:  # --help
        return None
    except click.UsageError as error:
        return error.format_message()
    except PersonaError as error:
        return str(error)
    return None


def _remedy(file: File) -> str:
    return f"; clew workflows write --for {file.editor} --workflow {file.workflow}"


def _editors(asked: Sequence[str]) -> list[str]:
    from clew.connect.editors.formats import EDITORS

    for name in asked:
        if name != ALL and name not in EDITORS:
            raise click.UsageError(f"there is no editor {name!r}; there are {', '.join(EDITORS)}, or all")
    return list(EDITORS) if ALL in asked else list(dict.fromkeys(asked))


def _workflows(asked: Sequence[str]) -> list[Workflow]:
    from clew.connect.editors.declared import workflow, workflows

    return list(workflows().values()) if ALL in asked else [workflow(name) for name in dict.fromkeys(asked)]

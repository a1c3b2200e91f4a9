"""``clew stage``: what part of a workflow is being worked on."""

from __future__ import annotations

import shlex
import time

import click

from clew.cli import invocation, reporting
from clew.cli.terminal import safe


@click.group("stage")
def command() -> None:
    """Report the stages of a workflow from a shell or an editor's agent.

    A stage that one command starts and another ends is one span of the run, with the persona that acted.
    """


@command.command("start")
@click.argument("name")
@click.option("--persona", metavar="NAME", help="Who is at work; the persona that acts unless given.")
@click.option("--beside", is_flag=True, help="Beside the stages that are open, instead of within the one that was started last.")
@click.option("--export", is_flag=True, help="Write the line that lets programs of this shell record within the stage, for eval.")
@invocation.common
def start(name: str, persona: str | None, beside: bool, export: bool) -> None:
    """Start a stage of the open run, or of a new one."""
    from clew.record.instruments.personas.profiles import profile
    from clew.record.instruments.personas.reported import environment

    if persona is not None:
        profile(persona, invocation.data_dir())
    with reporting.reporting() as found:
        reporting.run_of(found)
        stage = found.start_stage(name, persona=persona, beside=beside)
        who = persona or found.work.persona
    page = invocation.page()
    if export:
        page.line("export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in environment(stage).items()))
    else:
        page.line(f"stage {safe(name)} started{f' by {safe(who)}' if who else ''}")


@command.command("end")
@click.argument("name", required=False)
@click.option("--failed", metavar="REASON", default="", help="It failed, and why: then the run fails too.")
@invocation.common
def end(name: str | None, failed: str) -> None:
    """End a stage: the one that was started last unless named."""
    with reporting.reporting() as found:
        stage = found.end_stage(name, failed=failed)
    outcome = f"failed: {safe(failed)}" if failed else "ended"
    invocation.page().line(f"stage {safe(stage.name)} {outcome} after {reporting.took(stage, time.time_ns())}")

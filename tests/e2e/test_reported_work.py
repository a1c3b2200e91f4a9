"""What an editor's agent or a shell reports, command by command, is one run that reads like any other."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clew.connect.editors.declared import Workflow, workflows
from clew.connect.editors.files import commands

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")

WORKFLOWS = workflows()


class Shell:
    """A shell in a project: each command is a process of its own."""

    def __init__(self, clew: Any, project: Path) -> None:
        self.clew = clew
        self.project = project
        self.runs: dict[str, dict[str, Any]] = {}
        """What ``clew show`` says of the runs of the workflow files, by workflow."""
        (project / ".git").mkdir(parents=True)

    def __call__(self, line: str, code: int = 0, **environment: str) -> str:
        out: str = self.clew.run(*shlex.split(line)[1:], cwd=self.project, code=code, env=environment)[0]
        return out

    def carry_out(self, workflow: Workflow) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Every command in a workflow's file, once; gives the run and its spans, as ``clew show`` has them."""
        if workflow.name not in self.runs:
            for line in commands((self.project / f".claude/commands/{workflow.name}.md").read_text("utf-8")):
                self(line)
                if line == f"clew stage start {workflow.stages[0].name}":
                    self("clew persona tokens 1100 --model gpt-4")
            self.runs[workflow.name] = self.clew.json("show", "last")
        found = self.runs[workflow.name]
        return found["run"], found["spans"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, command_line: Callable[..., Any]) -> Iterator[Shell]:
    """A shell in a project with the workflow files of an editor."""
    folder = tmp_path_factory.mktemp("reported")
    made = Shell(command_line(folder / "clew", {"CLEW_OWNER_LINGER_S": "60"}), folder / "lapse")
    made("clew workflows write --for claude")
    made("clew workflows check")
    yield made
    made.clew.stop_owner()


def last(shell: Shell) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The newest run and its spans."""
    found = shell.clew.json("show", "last")
    return found["run"], found["spans"]


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_the_commands_of_a_workflow_file_are_one_run(shell: Shell, workflow: Workflow) -> None:
    run, found = shell.carry_out(workflow)
    assert (run["status"], run["state"], run["service"], run["agents"]) == ("ok", "ended", "lapse", sorted(workflow.personas))
    by_id = {span["span_id"]: span for span in found}
    assert {span["state"] for span in found} == {"ended"}
    stages = [span for span in found if span["kind"] == "node"]
    assert [(span["name"], span["attributes"]["clew.persona"]) for span in stages] == [
        (stage.name, stage.persona) for stage in workflow.stages
    ]
    assert all(by_id[span["parent_span_id"]]["kind"] == "workflow" for span in stages)
    gates = [span for span in found if span["kind"] == "gate"]
    assert [(by_id[span["parent_span_id"]]["name"], span["name"]) for span in gates] == [
        (stage.name, gate) for stage in workflow.stages for gate in stage.gates
    ]
    assert {span["attributes"]["clew.gate.result"] for span in gates} == {"passed"}
    assert {span["name"] for span in gates if span["attributes"]["clew.gate.required"] == "false"} == {
        gate for stage in workflow.stages for gate in stage.advisory
    }


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_sessions_follow_each_other_and_the_last_one_ends_with_the_run(shell: Shell, workflow: Workflow) -> None:
    run, found = shell.carry_out(workflow)
    sessions = [span for span in found if span["kind"] == "agent"]
    assert [(span["attributes"]["clew.persona.from"], span["name"]) for span in sessions] == list(
        zip(["none", *workflow.personas], workflow.personas, strict=False)
    )
    assert {span["attributes"]["clew.chatmode"] for span in sessions} == {workflow.name}
    ends = [span["start_ns"] + span["duration_ns"] for span in sessions]
    assert all(end <= later["start_ns"] for end, later in zip(ends, sessions[1:], strict=False))
    assert ends[-1] <= run["start_ns"] + run["duration_ns"]
    for stage in [span for span in found if span["kind"] == "node"]:
        assert any(
            session["start_ns"] < stage["start_ns"] and stage["start_ns"] + stage["duration_ns"] < end
            for session, end in zip(sessions, ends, strict=True)
        ), "each stage lies in the session of its persona"


def test_tokens_and_switches_are_points_of_the_metrics(shell: Shell) -> None:
    query = "SELECT name, attributes, sum(value) AS value FROM points WHERE name LIKE 'hypertool%total' GROUP BY name, attributes"
    for workflow in WORKFLOWS.values():
        shell.carry_out(workflow)
    rows = shell.clew.rows(query)
    figures: dict[str, dict[tuple[str, ...], float]] = {}
    for row in rows:
        figures.setdefault(row["name"], {})[tuple(value for _, value in sorted(row["attributes"].items()))] = row["value"]
    used = figures["hypertool_persona_tokens_used_total"]
    assert sum(used.values()) == 3 * 1100
    assert used[("bug-fix", "gpt-4", "observability-expert")] == 1100
    switches = figures["hypertool_persona_switches_total"]
    assert len(switches) == 9
    assert set(switches.values()) == {1}
    assert ("package-release", "testing-specialist", "devops-engineer") in switches


def test_the_run_reads_well(shell: Shell) -> None:
    run, _ = shell.carry_out(WORKFLOWS["package-release"])
    lines = [" ".join(line.split()) for line in shell(f"clew show {run['run_id'][:8]}").splitlines()]
    assert lines[0].startswith("package-release done in ")
    told = [line.partition(" =")[0] for line in lines if line.split(" ")[0] in ("workflow", "agent", "node", "gate")]
    assert told[:6] == [
        "workflow package-release",
        "agent backend-engineer",
        "node version-bump · backend-engineer",
        "gate version-agrees · passed",
        "gate changelog · passed",
        "agent testing-specialist",
    ]


def test_what_nobody_ends_is_running_and_then_lost(shell: Shell, tmp_path: Path) -> None:
    shell = Shell(shell.clew, tmp_path / "left")
    shell("clew workflows start left")
    shell("clew stage start kept")
    run, found = last(shell)
    assert (run["name"], run["state"], {span["state"] for span in found}) == ("left", "running", {"running"})
    shell("clew workflows start left-again --anew")
    assert {span["state"] for span in shell.clew.json("show", run["run_id"])["spans"]} == {"lost"}
    shell("clew stage start forgotten")
    shell("clew workflows end")
    again, found = last(shell)
    assert (again["name"], again["state"]) == ("left-again", "ended")
    assert [(span["name"], span["state"]) for span in found if span["kind"] == "node"] == [("forgotten", "lost")]


def test_a_failed_gate_fails_the_run_with_its_reason(shell: Shell, tmp_path: Path) -> None:
    shell = Shell(shell.clew, tmp_path / "failing")
    shell("clew workflows start failing")
    shell("clew stage start test")
    shell("clew gate check tests -- sh -c 'exit 3'", code=3)
    shell("clew gate fail style --advisory")
    shell("clew stage end")
    shell("clew workflows end")
    run, found = last(shell)
    assert (run["status"], run["error"]) == ("error", "gate tests failed: sh exited with 3")
    gates = [span for span in found if span["kind"] == "gate"]
    assert [(span["name"], span["attributes"]["clew.gate.result"], span["status"]) for span in gates] == [
        ("tests", "failed", "error"),
        ("style", "failed", "ok"),
    ]


def test_a_program_of_the_shell_records_within_the_stage(shell: Shell, tmp_path: Path) -> None:
    shell = Shell(shell.clew, tmp_path / "program")
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import clew
        with clew.llm("chat", model="gpt-4") as call:
            call.usage(input_tokens=10, output_tokens=5)
    """)
    )
    shell("clew workflows start program")
    shell("clew persona switch data-scientist")
    script = f'eval "$({sys.executable} -m clew.cli.main stage start analyse --export)"; {sys.executable} {program}'
    environment = {**shell.clew.environment, "CLEW_DATA_DIR": str(shell.clew.data_dir)}
    subprocess.run(["sh", "-c", script], cwd=shell.project, check=True, env=os.environ | environment)
    shell("clew stage end")
    shell("clew workflows end")
    _, found = last(shell)
    (stage,) = [span for span in found if span["kind"] == "node"]
    (call,) = [span for span in found if span["kind"] == "llm"]
    assert call["parent_span_id"] == stage["span_id"]
    told = ("clew.persona", "clew.chatmode", "gen_ai.workflow.name", "clew.stage")
    assert [call["attributes"][name] for name in told] == ["data-scientist", "program", "program", "analyse"], "it is the persona's"
    assert stage["start_ns"] < call["start_ns"] < stage["start_ns"] + stage["duration_ns"]


def test_several_shells_report_at_once_and_nothing_is_lost_or_doubled(shell: Shell, tmp_path: Path) -> None:
    shell = Shell(shell.clew, tmp_path / "together")
    shell("clew workflows start together")

    def work(name: str) -> None:
        shell(f"clew stage start {name} --beside --persona testing-specialist")
        shell(f"clew gate pass done --stage {name}")
        shell("clew persona tokens 100 --model gpt-4 --persona testing-specialist")
        shell(f"clew stage end {name}")

    names = [f"part-{number}" for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, names))
    assert json.loads(shell("clew persona status --json"))["remaining"]["testing-specialist"] == 1500 - 300
    shell("clew workflows end")
    _, found = last(shell)
    root = found[0]["span_id"]
    stages = [span for span in found if span["kind"] == "node"]
    assert sorted(span["name"] for span in stages) == names
    assert {span["parent_span_id"] for span in stages} == {root}
    assert {span["state"] for span in found} == {"ended"}
    gates = {span["parent_span_id"] for span in found if span["kind"] == "gate"}
    assert gates == {span["span_id"] for span in stages}


@pytest.mark.needs("prometheus_client")
def test_the_server_shows_the_metrics_of_what_shells_reported(shell: Shell) -> None:
    from clew.observe.query.metrics import reading
    from clew.observe.store.store import Store

    for workflow in WORKFLOWS.values():
        shell.carry_out(workflow)
    shell.clew.stop_owner()
    with Store.open(shell.clew.data_dir, wait_s=30) as store:
        shown = {metric.name: dict(found) for metric, found in reading(store)}
    stages = [(workflow, stage) for workflow in WORKFLOWS.values() for stage in workflow.stages]
    took = shown["hypertool_workflow_stage_duration_seconds"]
    assert all(took[workflow.name, stage.name, stage.persona].count == 1 for workflow, stage in stages)
    gates = shown["hypertool_workflow_quality_gate_total"]
    assert {(workflow.name, stage.name): gates[workflow.name, stage.name, "passed"].value for workflow, stage in stages} == {
        (workflow.name, stage.name): len(stage.gates) for workflow, stage in stages
    }
    acted = shown["hypertool_persona_duration_seconds"]
    assert all(acted[persona, workflow.name].count == 1 for workflow in WORKFLOWS.values() for persona in workflow.personas)
    assert shown["hypertool_persona_tokens_used_total"]["backend-engineer", "package-release", "gpt-4"].value == 1100
    assert shown["hypertool_persona_token_budget_remaining"]["observability-expert",].value == 900

"""Workflow files are written where each editor looks, in its form, never over a user's edits, and say nothing that Clew would refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from clew.cli.workflows import fault
from clew.connect.editors import files
from clew.connect.editors.declared import workflow, workflows
from clew.connect.editors.formats import EDITORS
from clew.errors import ReportError
from clew.record.instruments.personas.profiles import profiles

PLACES = {
    "augment": ".augment/commands/bug-fix.md",
    "cline": ".clinerules/workflows/bug-fix.md",
    "copilot": ".github/prompts/bug-fix.prompt.md",
    "claude": ".claude/commands/bug-fix.md",
    "cursor": ".cursor/commands/bug-fix.md",
}
PERSONAS = {
    "feature-implementation": ("backend-engineer", "frontend-engineer", "testing-specialist"),
    "bug-fix": ("observability-expert", "backend-engineer", "testing-specialist"),
    "package-release": ("backend-engineer", "testing-specialist", "devops-engineer"),
}


def front(text: str) -> dict[str, str]:
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return yaml.safe_load(match[1]) if match else {}


def test_three_workflows_each_with_its_three_personas() -> None:
    assert {name: found.personas for name, found in workflows().items()} == PERSONAS
    assert {persona for found in PERSONAS.values() for persona in found} <= profiles().keys()
    for found in workflows().values():
        for stage in found.stages:
            assert stage.gates
            assert set(stage.advisory) <= set(stage.gates)
            assert stage.steps


@pytest.mark.parametrize("editor", EDITORS)
def test_each_editor_finds_its_file_in_its_form(editor: str, tmp_path: Path) -> None:
    found = workflow("bug-fix")
    assert files.write(found, EDITORS[editor], tmp_path) == "written"
    text = (tmp_path / PLACES[editor]).read_text("utf-8")
    keys = {
        "augment": {"description", "argument-hint"},
        "cline": set(),
        "copilot": {"description", "agent", "argument-hint"},
        "claude": {"description", "argument-hint", "allowed-tools"},
        "cursor": set(),
    }
    assert front(text).keys() == keys[editor]
    assert front(text).get("description", found.about) == found.about
    asked = {"augment": "$ARGUMENTS", "claude": "$ARGUMENTS", "copilot": f"${{input:task:{found.asks}}}"}
    assert asked.get(editor, "what the user wrote with this command") in text
    assert "{asks}" not in text


def test_every_editor_is_told_the_same_commands(tmp_path: Path) -> None:
    for found in workflows().values():
        told = {tuple(files.commands(files.text_of(found, editor))) for editor in EDITORS.values()}
        assert len(told) == 1
        (lines,) = told
        assert [line for line in lines if line.startswith("clew persona switch")] == [
            f"clew persona switch {stage.persona} --chatmode {found.name}" for stage in found.stages
        ]
        assert [line.split()[3] for line in lines if line.startswith("clew gate")] == [
            gate for stage in found.stages for gate in stage.gates
        ]


@pytest.mark.parametrize("editor", EDITORS)
@pytest.mark.parametrize("name", PERSONAS)
def test_every_command_in_every_file_would_be_understood(editor: str, name: str, tmp_path: Path) -> None:
    files.write(workflow(name), EDITORS[editor], tmp_path)
    found = files.look(workflow(name), EDITORS[editor], tmp_path, fault)
    assert (found.state, found.faults) == ("current", ())


def test_a_users_edit_is_kept_until_it_is_forced_away(tmp_path: Path) -> None:
    found, editor = workflow("bug-fix"), EDITORS["claude"]
    path = files.place(found, editor, tmp_path)
    assert files.look(found, editor, tmp_path).state == "missing"
    assert files.write(found, editor, tmp_path) == "written"
    assert files.write(found, editor, tmp_path) == "unchanged"
    path.write_text(path.read_text().replace("Mend the cause", "Mend our cause"))
    assert files.look(found, editor, tmp_path).state == "edited"
    assert files.write(found, editor, tmp_path) == "kept"
    assert "Mend our cause" in path.read_text()
    assert files.write(found, editor, tmp_path, force=True) == "written"
    assert files.look(found, editor, tmp_path).state == "current"


def test_a_file_of_an_earlier_version_is_brought_up_to_date_and_one_of_the_users_own_is_kept(tmp_path: Path) -> None:
    found, editor = workflow("bug-fix"), EDITORS["cursor"]
    path = files.place(found, editor, tmp_path)
    path.parent.mkdir(parents=True)
    older = "# As it was\n\n```sh\nclew workflows start bug-fix\n```\n"
    path.write_text(f"{older}\n<!-- Written by clew workflows write; sha256 {files._digest(older)} -->\n")
    assert files.look(found, editor, tmp_path).state == "outdated"
    assert files.write(found, editor, tmp_path) == "written"
    path.write_text("# All mine\n")
    assert files.look(found, editor, tmp_path).state == "edited"
    assert files.write(found, editor, tmp_path) == "kept"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("clew stages start x", "there is no command 'stages'"),
        ("clew stage begin x", "there is no command 'begin'"),
        ("clew stage", "clew stage needs a command"),
        ("clew stage start", "Missing argument 'NAME'."),
        ("clew gate pass x --because y", "No such option '--because'"),
        ("clew persona switch backend", "there is no persona 'backend'; did you mean backend-engineer?"),
        ("clew persona tokens many --model m", "Invalid value for 'COUNT'"),
        ("clew gate fail x --reason 'open", "No closing quotation"),
    ],
)
def test_a_command_that_would_be_refused_is_named_with_its_line(line: str, why: str, tmp_path: Path) -> None:
    found, editor = workflow("bug-fix"), EDITORS["cursor"]
    path = files.place(found, editor, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(f"# Mine\n\nSee `clew runs`.\n\n```sh\nclew runs\n{line}\n```\n")
    (complaint,) = files.look(found, editor, tmp_path, fault).faults
    assert complaint.startswith(f"line 7: {line}: ")
    assert why in complaint


def test_an_unknown_workflow_is_named_with_the_nearest() -> None:
    with pytest.raises(ReportError, match=r"there is no workflow 'bugfix'; did you mean bug-fix\?"):
        workflow("bugfix")
    with pytest.raises(ReportError, match="there is no workflow 'x'; there are feature-implementation, bug-fix, package-release"):
        workflow("x")

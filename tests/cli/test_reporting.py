"""What a shell or an editor's agent reports fits what is open, or is refused with the next step."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.cli.main import main, run
from clew.record import detached, state
from clew.record.metrics import live

Clew = Callable[..., tuple[str, str]]


@pytest.fixture
def clew(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Clew]:
    """``clew`` in this process, in a project of its own: stdout and stderr of a command that must end with a code."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)

    def call(*words: str, code: int = 0) -> tuple[str, str]:
        found = run(main, list(words))
        out, err = capsys.readouterr()
        assert found == code, f"clew {' '.join(words)} ended with {found}\n{out}{err}"
        return out, err

    yield call
    state.forget()
    live.forget()


def status(clew: Clew) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(clew("persona", "status", "--json")[0])
    return found


def test_a_run_is_begun_by_name_and_only_once(clew: Clew) -> None:
    assert clew("workflows", "start", "bug-fix")[0].startswith("run bug-fix begun · ")
    assert "a run of bug-fix is open since" in (refused := clew("workflows", "start", "bug-fix", code=1)[1])
    assert "clew workflows end ends it, --anew gives it up as lost" in refused
    clew("workflows", "start", "bug-fix", "--anew")
    assert "run bug-fix ended well, after " in clew("workflows", "end")[0]
    assert clew("workflows", "end", code=1)[1] == "clew: no run is open; clew workflows start NAME begins one\n"


def test_without_a_run_one_of_the_projects_name_is_begun(clew: Clew) -> None:
    out, err = clew("stage", "start", "build")
    assert (out, err) == ("stage build started\n", "clew: no run was open: run project has begun; clew workflows end ends it\n")


def test_a_persona_is_one_of_the_profiles(clew: Clew, data_dir: Path) -> None:
    assert "there is no persona 'backend'; did you mean backend-engineer?" in clew("persona", "switch", "backend", code=1)[1]
    assert status(clew)["run"] is None, "nothing was begun for it"
    out, _ = clew("persona", "switch", "backend-engineer", "--chatmode", "review")
    assert out == "persona backend-engineer acts now, chatmode review, 2,000 of 2,000 tokens left\n"
    assert "acts already" in clew("persona", "switch", "backend-engineer", "--chatmode", "review")[0]
    assert "there is no persona 'nobody'" in clew("stage", "start", "x", "--persona", "nobody", code=1)[1]


def test_tokens_are_the_acting_personas_and_may_go_below_zero(clew: Clew) -> None:
    clew("workflows", "start", "bug-fix")
    assert clew("persona", "tokens", "5", "--model", "m", code=1)[1].startswith(
        "clew: no persona acts; clew persona switch NAME says who does"
    )
    clew("persona", "switch", "testing-specialist")
    assert clew("persona", "tokens", "600", "--model", "gpt-4")[0] == "persona testing-specialist used 600 tokens of gpt-4, 900 left\n"
    assert clew("persona", "tokens", "1000", "--model", "gpt-4")[0].endswith(", 100 too many\n")
    assert clew("persona", "tokens", "10", "--model", "gpt-4", "--persona", "data-scientist")[0].endswith(", 1,690 left\n")
    assert status(clew)["remaining"] == {
        "backend-engineer": 2000,
        "frontend-engineer": 1800,
        "devops-engineer": 1800,
        "testing-specialist": -100,
        "observability-expert": 2000,
        "data-scientist": 1690,
    }
    assert clew("workflows", "end")[0].splitlines()[1] == "persona testing-specialist used 100 tokens more than its budget"
    clew("workflows", "start", "bug-fix")
    assert clew("persona", "switch", "testing-specialist")[0].endswith("1,500 of 1,500 tokens left\n"), "each run has its own"


def test_stages_nest_and_end_from_the_inside(clew: Clew) -> None:
    clew("workflows", "start", "w")
    clew("stage", "start", "outer")
    assert "stage outer is open since" in clew("stage", "start", "outer", code=1)[1]
    clew("stage", "start", "inner")
    clew("stage", "start", "apart", "--beside")
    assert clew("stage", "end", "outer", code=1)[1] == "clew: stage inner is open inside outer; clew stage end inner ends it\n"
    assert clew("stage", "end", "x", code=1)[1] == "clew: no stage 'x' is open; open: outer, inner, apart\n"
    clew("stage", "end", "inner")
    clew("stage", "end")
    assert clew("stage", "end")[0].startswith("stage outer ended after ")
    assert clew("stage", "end", code=1)[1] == "clew: no stage is open; clew stage start NAME begins one\n"
    assert clew("stage", "end", "x", code=1)[1] == "clew: no stage 'x' is open; clew stage start x begins it\n"


def test_a_required_gate_decides_the_run_by_its_last_verdict(clew: Clew) -> None:
    clew("workflows", "start", "w")
    assert clew("gate", "pass", "tests", code=1)[1] == "clew: no stage is open for gate tests; clew stage start NAME begins one\n"
    clew("stage", "start", "s")
    assert clew("gate", "fail", "tests", "--reason", "2 of 9 fail")[0] == "gate tests of stage s failed: 2 of 9 fail\n"
    assert clew("gate", "fail", "style", "--advisory")[0] == "gate style of stage s failed\n"
    assert status(clew)["objections"] == {"gate s/tests": "gate tests failed: 2 of 9 fail"}
    assert clew("gate", "pass", "tests", "--stage", "s")[0] == "gate tests of stage s passed\n"
    assert status(clew)["objections"] == {}
    clew("gate", "fail", "tests")
    clew("stage", "end", "--failed", "no time")
    assert "run w failed: gate tests failed; stage s failed: no time, after " in clew("workflows", "end")[0]


def test_a_gate_may_be_a_command(clew: Clew) -> None:
    clew("stage", "start", "s")
    assert clew("gate", "check", "ok", "--", "true")[0].startswith("gate ok of stage s passed after ")
    assert ": sh exited with 3\n" in clew("gate", "check", "no", "--advisory", "--", "sh", "-c", "exit 3", code=3)[0]
    assert "could not be checked" in clew("gate", "check", "what", "--", "not-there-at-all", code=127)[0]
    assert list(status(clew)["objections"]) == ["gate s/what"]
    clew("gate", "check", "what", "--", "sh", "-c", "test -n $TRACEPARENT && test $CLEW_LABELS = workflow=project,stage=s")


def test_what_nobody_ended_is_told_and_lost(clew: Clew) -> None:
    clew("workflows", "start", "w")
    clew("stage", "start", "a")
    clew("stage", "start", "b")
    _, err = clew("workflows", "end")
    assert err == "clew: nobody had ended 2 stages, now lost: a, b\n"
    assert status(clew)["stages"] == []


def test_work_that_nobody_reports_on_any_more_is_given_up(clew: Clew, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clew("workflows", "start", "w")
    clew("stage", "start", "a")
    (kept,) = (data_dir / "work").glob("*.json")
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps(document | {"touched_s": document["touched_s"] - 43_201}))
    out, err = clew("persona", "status")
    assert err == "clew: nobody reported for 12 h 00 min; given up as lost: w, a\n"
    assert out.startswith("Nothing is open in ")


def test_each_project_has_its_own_run_and_clew_work_names_another(clew: Clew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clew("workflows", "start", "here")
    below = Path.cwd() / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert status(clew)["run"]["name"] == "here"
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert status(clew)["run"] is None
    monkeypatch.setenv("CLEW_WORK", "nightly")
    clew("workflows", "start", "there")
    monkeypatch.chdir(below)
    assert (status(clew)["work"], status(clew)["run"]["name"]) == ("nightly", "there")


def test_a_command_that_dies_between_keeping_and_recording_leaves_a_stage_that_can_be_ended(
    clew: Clew, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    clew("workflows", "start", "w")
    with monkeypatch.context() as patch:
        patch.setattr(detached, "start", dies)
        clew("stage", "start", "a", code=130)
    assert clew("stage", "end", "a")[0].startswith("stage a ended after ")
    with monkeypatch.context() as patch:
        patch.setattr(detached, "end", dies)
        clew("workflows", "end", code=130)
    assert "run w ended well" in clew("workflows", "end")[0]


def test_a_damaged_file_is_named(clew: Clew, data_dir: Path) -> None:
    clew("workflows", "start", "w")
    (kept,) = (data_dir / "work").glob("*.json")
    kept.write_text("{")
    assert f"{kept} is damaged" in clew("persona", "status", code=1)[1]


def test_while_recording_is_off_reporting_says_so(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_DISABLED", "1")
    assert clew("workflows", "start", "w", code=1)[1] == "clew: recording is off, so nothing can be reported; unset CLEW_DISABLED\n"


def test_a_shell_may_take_up_a_stage(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> None:
    clew("workflows", "start", "w")
    clew("persona", "switch", "data-scientist", "--chatmode", "deep work")
    _, *exported = shlex.split(clew("stage", "start", "a", "--export")[0])
    variables = dict(variable.split("=", 1) for variable in exported)
    assert variables["CLEW_LABELS"] == "persona=data-scientist,chatmode=deep work,workflow=w,stage=a"
    monkeypatch.setenv("TRACEPARENT", variables["TRACEPARENT"])
    clew("stage", "start", "b", "--beside")
    clew("stage", "start", "c")
    stages = {stage["name"]: stage for stage in status(clew)["stages"]}
    assert stages["c"]["parent_span_id"] == stages["a"]["span_id"], "the shell is in a, though b was started last"
    for name in "cba":
        clew("stage", "end", name)
    clew("stage", "start", "d")
    (stage,) = status(clew)["stages"]
    assert stage["parent_span_id"] == status(clew)["run"]["span_id"], "what has ended takes up nothing"


def test_the_files_of_the_work_are_the_users_alone(clew: Clew, data_dir: Path) -> None:
    clew("workflows", "start", "w")
    assert {oct(path.stat().st_mode & 0o777) for path in (data_dir / "work").iterdir()} == {"0o600"}
    assert os.stat(data_dir / "work").st_mode & 0o777 == 0o700


def test_the_personas_are_listed_with_their_file(clew: Clew, data_dir: Path) -> None:
    out, _ = clew("persona", "list")
    assert [line.split()[:2] for line in out.splitlines()[1:7]] == [
        ["backend-engineer", "2,000"],
        ["frontend-engineer", "1,800"],
        ["devops-engineer", "1,800"],
        ["testing-specialist", "1,500"],
        ["observability-expert", "2,000"],
        ["data-scientist", "1,700"],
    ]
    assert str(data_dir / "personas.toml") in out
    (data_dir).mkdir(exist_ok=True)
    (data_dir / "personas.toml").write_text("[writer]\ntokens = 5\n")
    assert json.loads(clew("persona", "list", "--json")[0])[-1]["name"] == "writer"


def test_files_are_written_and_checked(clew: Clew, tmp_path: Path) -> None:
    assert clew("workflows", "check", code=1)[0].startswith("No workflow files in ")
    out, _ = clew("workflows", "write", "--for", "claude", "--for", "cursor", "--workflow", "bug-fix")
    assert out.splitlines() == [
        "written   .claude/commands/bug-fix.md; in Claude Code: /bug-fix",
        "written   .cursor/commands/bug-fix.md; in Cursor: /bug-fix",
    ]
    assert clew("workflows", "check", "--for", "claude", "--workflow", "bug-fix")[0] == "current   .claude/commands/bug-fix.md\n"
    assert (
        "missing   .claude/commands/package-release.md; clew workflows write --for claude --workflow package-release"
        in (clew("workflows", "check", code=1)[0])
    )
    clew("workflows", "write", "--for", "all")
    clew("workflows", "check")
    path = Path(".claude/commands/bug-fix.md")
    path.write_text(path.read_text().replace("clew stage end mend", "clew stage stop mend"))
    out, _ = clew("workflows", "check", code=1)
    assert "edited    .claude/commands/bug-fix.md\n  line " in out
    assert "clew stage stop mend: there is no command 'stop'" in out
    assert "it was edited, --force writes over it" in clew("workflows", "write", "--for", "claude", code=1)[0]
    clew("workflows", "write", "--for", "claude", "--force")
    clew("workflows", "check")
    assert "which editor? --for augment" in clew("workflows", "write", code=2)[1]
    assert (
        "there is no editor 'vim'; there are augment, cline, copilot, claude, cursor, or all"
        in clew("workflows", "write", "--for", "vim", code=2)[1]
    )

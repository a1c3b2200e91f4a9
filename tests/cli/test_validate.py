"""clew validate and clew graph, as a user types them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clew.cli import main

pytestmark = pytest.mark.needs("pocketflow", "pydantic", "pydantic_ai", "yaml")

GOOD = "name: good\nnodes:\n- {id: a, type: shell, params: {command: ls}}\n"
BAD = "name: bad\nnodes:\n- id: a\n  type: shel\n- {id: a, type: shell, params: {comand: ls}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def clew(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(main.main, list(arguments))
    written = capsys.readouterr()
    return code, written.out, written.err


@pytest.mark.usefixtures("here")
def test_every_mistake_is_a_line_that_an_editor_can_follow(capsys: pytest.CaptureFixture[str]) -> None:
    assert clew(capsys, "validate", "good.yaml", "bad.yaml", "none.yaml") == (
        1,
        "good.yaml is fine: 1 node\n"
        'bad.yaml:4: nodes[0].type: there is no node type "shel"; did you mean shell?\n'
        "bad.yaml:5: nodes[1].params.comand: unknown key comand; did you mean command?\n"
        'bad.yaml:5: nodes[1].id: "a" is the id of nodes[0] already; choose another\n'
        "bad.yaml has 3 mistakes\n"
        "none.yaml: cannot be read: No such file or directory; did you mean good.yaml?\n"
        "none.yaml has 1 mistake\n",
        "",
    )
    assert clew(capsys, "validate", "good.yaml") == (0, "good.yaml is fine: 1 node\n", "")


@pytest.mark.usefixtures("here")
def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = clew(capsys, "validate", "--json", "good.yaml", "bad.yaml")
    good, bad = json.loads(out)
    assert (code, good) == (1, {"file": "good.yaml", "ok": True, "problems": []})
    assert (bad["ok"], len(bad["problems"])) == (False, 3)
    assert bad["problems"][0] == {
        "file": "bad.yaml",
        "line": 4,
        "place": "nodes[0].type",
        "message": 'there is no node type "shel"; did you mean shell?',
        "nearest": "shell",
    }


def test_a_sub_workflow_s_mistakes_name_its_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "outer.yaml").write_text("name: o\nnodes:\n- {id: a, type: workflow, params: {path: bad.yaml}}\n")
    code, out, _ = clew(capsys, "validate", "outer.yaml")
    assert (code, out.splitlines()[0]) == (1, 'bad.yaml:4: nodes[0].type: there is no node type "shel"; did you mean shell?')
    assert out.splitlines()[-1] == "outer.yaml has 3 mistakes"


def test_stdin_is_a_dash(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    code, out, _ = clew(capsys, "validate", "-")
    assert (code, out.splitlines()[0]) == (1, '-:4: nodes[0].type: there is no node type "shel"; did you mean shell?')


def test_what_a_document_says_cannot_steer_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.yaml").write_text('name: x\nnodes: [{id: a, type: "\\e[31m\\nfine"}]\n"k\\e[0m": 1\n')
    _, out, _ = clew(capsys, "validate", "bad.yaml")
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "Missing argument 'FILE...'"), (("--schema", "good.yaml"), "--schema takes no FILE"), (("--jsn", "x"), "No such option")],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = clew(capsys, "validate", *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_the_schema_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = clew(capsys, "validate", "--schema")
    found: dict[str, Any] = json.loads(out)
    assert (code, found["title"], found["required"]) == (0, "Clew workflow", ["name", "nodes"])


@pytest.mark.usefixtures("here")
def test_a_graph_is_drawn_of_a_sound_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert clew(capsys, "graph", "good.yaml") == (0, 'flowchart TD\n    start(["good"]) --> n0\n    n0["a<br/>shell"]\n', "")
    code, out, err = clew(capsys, "graph", "bad.yaml")
    assert (code, out) == (1, "")
    assert err.splitlines()[:2] == [
        "clew: bad.yaml has 3 mistakes:",
        '  nodes[0].type (line 4): there is no node type "shel"; did you mean shell?',
    ]


def test_without_the_extra_the_install_line_is_told(here: Path) -> None:
    hidden = (
        "import sys; sys.modules['pocketflow'] = None; from clew.cli import main; sys.exit(main.run(main.main, ['validate', 'good.yaml']))"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "clew: A workflow needs the package 'pocketflow', which is not installed; run: pip install 'clew[workflow]'\n"

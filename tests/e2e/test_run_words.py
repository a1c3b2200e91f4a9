"""``clew run "words"`` as a process, with a real server in the place of the model."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("pydantic_ai", "pocketflow", "chdb")

WORDS = "say hello to Ada"
HELLO = "name: hello\ninputs:\n  who: {type: string}\nnodes:\n  - {id: greet, type: shell, params: {command: [echo, 'hello ${inputs.who}']}}\noutputs: {text: '${greet.stdout}'}\n"


def written(yaml: str = HELLO, **inputs: str) -> str:
    return json.dumps({"yaml": yaml, "inputs": [{"name": key, "value": value} for key, value in inputs.items()], "reason": "nothing fits"})


Serve = Callable[..., Any]


@pytest.fixture
def serve(clew: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a model with these answers, which the commands of this test then plan with."""
    from clew.testing import ModelServer

    monkeypatch.chdir(tmp_path)
    servers: list[Any] = []

    def start(*replies: Any) -> Any:
        server = ModelServer(replies).__enter__()
        servers.append(server)
        clew.environment |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test", "CLEW_PLANNER_MODEL": "openai:gpt-4.1"}
        return server

    yield start
    for server in servers:
        server.__exit__()


def test_words_become_a_workflow_that_is_shown_and_run(clew: Any, serve: Serve) -> None:
    serve(written(who="Ada"))
    out, err = clew.run("run", WORDS, "--yes", "--trace", "--trace-planner")
    assert out == "hello Ada\n"
    assert "a new workflow, hello: nothing fits\n  name: hello\n" in err
    assert "clew: with who=Ada\n" in err
    kinds = [file.name.split("-")[0] for file in sorted((clew.data_dir / "traces").iterdir())]
    assert kinds == ["planner", "workflow"]
    planning, run = (clew.json("show", line.split()[3]) for line in err.splitlines() if line.startswith("clew: clew show "))
    assert [(planning["spans"][0]["kind"], planning["run"]["name"], planning["run"]["model_calls"])] == [("agent", "planner", 1)]
    assert (run["run"]["name"], run["run"]["model_calls"]) == ("hello", 0)


def test_the_figures_count_planning_apart_and_fit_the_schema(clew: Any, serve: Serve) -> None:
    import jsonschema

    schema = json.loads((Path(__file__).parents[2] / "docs" / "run-output.schema.json").read_text())
    serve(written(who="Ada"))
    found = json.loads(clew.run("run", WORDS, "--yes", "--output-format", "json", "--trace-planner")[0])
    jsonschema.validate(found, schema)
    assert found["result"] == {"text": "hello Ada\n"}
    assert found["duration_planner_ms"] > 0
    assert found["metrics"]["planner"]["cost_usd"] == found["total_cost_usd"] > 0
    assert (found["metrics"]["workflow"]["cost_usd"], found["num_nodes"]) == (0.0, 4)
    assert [Path(file).name.split("-")[0] for file in found["trace_files"]] == ["planner"]

    from clew.testing.model_server import Refusal

    serve(written("nodes: 7"), Refusal(500, "oops"))
    failed = json.loads(clew.run("run", WORDS, "--yes", "--output-format", "json", "--trace-planner", code=1)[0])
    jsonschema.validate(failed, schema)
    assert (failed["is_error"], failed["result"], len(failed["trace_files"])) == (True, None, 1)
    assert "failed (HTTP 500: oops)" in failed["error"]
    assert failed["metrics"]["total"]["total_calls"] == 2
    assert clew.json("show", failed["run_id"])["run"]["name"] == "planner"


def test_without_a_terminal_consent_comes_from_yes_alone(clew: Any, serve: Serve) -> None:
    server = serve(written(who="Ada"))
    out, err = clew.run("run", WORDS, code=2)
    assert out == ""
    assert "stdin is no terminal; add --yes to run it unasked, or --dry-run to see it only" in err
    assert server.asked == []


def test_a_dry_run_plans_and_runs_nothing(clew: Any, serve: Serve, tmp_path: Path) -> None:
    serve(written(HELLO.replace("[echo, ", f"[touch, {tmp_path}/touched, "), who="Ada"))
    out, err = clew.run("run", WORDS, "--dry-run")
    assert "hello would run 1 node; nothing was run" in out
    assert "  name: hello\n" in err
    assert not (tmp_path / "touched").exists()


def answered(clew: Any, words: str, answer: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a run on a terminal, where ``answer`` is typed when it asks."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover
        os.environ.update({"CLEW_DATA_DIR": str(clew.data_dir), "TERM": "dumb"} | clew.environment)
        os.execv(sys.executable, [sys.executable, "-m", "clew.cli.main", "run", words, *arguments])
    seen, typed = b"", 0
    while typed < 60:
        if not select.select([terminal], [], [], 1 if typed else 60)[0]:
            typed += 1
            # An interrupt between the question and the reading of the answer is noticed with the next one only. One that comes while
            # the program is ending, because it was interrupted, ends it by the signal and not with its own code.
            if b"clew: interrupted" not in seen:
                os.write(terminal, answer.encode())
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        seen += part
        if not typed and b"Run it? [y/N]" in seen:
            os.write(terminal, answer.encode())
            typed = 1
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode().replace("\r\n", "\n")


def test_on_a_terminal_the_user_is_asked(clew: Any, serve: Serve) -> None:
    serve(written(who="Ada"), written(who="Ada"), written(who="Ada"))
    code, seen = answered(clew, WORDS, "y\n")
    assert code == 0
    assert "hello Ada" in seen
    code, seen = answered(clew, WORDS, "n\n")
    assert code == 1
    assert "clew: not run: there was no consent" in seen
    assert "hello Ada" not in seen
    code, seen = answered(clew, WORDS, "\x03")
    assert code == 130, seen


def test_a_new_workflow_can_be_kept_and_is_chosen_next_time(clew: Any, serve: Serve) -> None:
    again = json.dumps({"number": 1, "inputs": [{"name": "who", "value": "Bo"}], "reason": "the same"})
    serve(written(who="Ada"), again)
    _, err = clew.run("run", WORDS, "--yes", "--save", "hello")
    path = clew.data_dir / "workflows" / "hello.yaml"
    assert f"clew: kept as {path}" in err
    assert path.read_text() == HELLO
    assert path.stat().st_mode & 0o777 == 0o600
    out, err = clew.run("run", "say hello to Bo", "--yes")
    assert out == "hello Bo\n"
    assert f"the known workflow hello of {path}: the same" in err
    assert "is there already" in clew.run("run", WORDS, "--yes", "--save", "hello", code=2)[1]
    assert "is no name" in clew.run("run", WORDS, "--yes", "--save", "../x", code=2)[1]


def test_known_workflows_come_from_the_current_directory_or_a_named_one(clew: Any, serve: Serve, tmp_path: Path) -> None:
    for directory in ("workflows", "other"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "w.yaml").write_text(HELLO.replace("name: hello", f"name: from {directory}"))
    again = json.dumps({"number": 1, "inputs": [{"name": "who", "value": "Bo"}], "reason": "fits"})
    serve(again, again)
    assert "the known workflow from workflows of workflows/w.yaml" in clew.run("run", WORDS, "--yes")[1]
    assert "the known workflow from other of other/w.yaml" in clew.run("run", WORDS, "--yes", "--workflows", "other")[1]
    assert "'nowhere' does not exist" in clew.run("run", WORDS, "--yes", "--workflows", "nowhere", code=2)[1]


def test_a_planner_that_hangs_is_cut_off_and_leaves_its_trace_and_record(clew: Any, serve: Serve) -> None:
    from clew.testing.model_server import Hang

    serve(Hang())
    _, err = clew.run("run", WORDS, "--yes", "--planner-timeout", "0.5", "--trace-planner", code=1)
    assert "clew: openai:gpt-4.1 had planned nothing after 0.5 s" in err
    (file,) = (clew.data_dir / "traces").iterdir()
    assert json.loads(file.read_text())["status"] == "failed"
    assert clew.json("runs")[0]["status"] == "error"


def test_a_plan_that_cannot_be_run_is_shown(clew: Any, serve: Serve) -> None:
    serve(*[written("name: x\nnodes:\n  - {id: a, type: shel}\n")] * 4)
    _, err = clew.run("run", WORDS, "--yes", code=1)
    assert "clew: the last document that was tried:\n  name: x\n" in err
    assert "wrote no workflow that can be run in 4 tries" in err
    assert not (clew.data_dir / "traces").exists()


def test_what_a_model_writes_cannot_steer_the_terminal(clew: Any, serve: Serve) -> None:
    serve(written(HELLO + 'description: "\\e[31m\x1b[31m\u202e"\n', who="Ada\x1b[2J"), *[written(who="Ada")] * 3)
    _, err = clew.run("run", WORDS, "--yes")
    assert "\x1b" not in err
    assert "\u202e" not in err


def test_words_need_a_model_and_a_file_is_no_words(clew: Any, tmp_path: Path) -> None:
    _, err = clew.run("run", "do some thing", "--yes", code=2)
    assert "none is named; give --planner-model PROVIDER:MODEL, or set CLEW_PLANNER_MODEL" in err
    path = tmp_path / "with a space.yaml"
    path.write_text(HELLO)
    out, err = clew.run("run", path, "-i", "who=you", "--trace-planner")
    assert out == "hello you\n"
    assert "clew: warning: FILE is a document, so nothing is planned, and --trace-planner has no effect" in err
    assert "cannot be read" in clew.run("run", "nothing.yaml", code=1)[1]
    assert "no provider is called 'moon'" in clew.run("run", WORDS, "--yes", "--planner-model", "moon:full", code=1)[1]

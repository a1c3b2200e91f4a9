"""``clew run`` as a process: exit codes, what it writes where, interrupts, kills, full disks, secrets."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("pydantic_ai", "pocketflow", "chdb")

HELLO = """
name: hello
inputs:
  who: {type: string, default: world}
nodes:
  - {id: greet, type: shell, params: {command: [echo, "hello ${inputs.who}"]}}
outputs:
  text: ${greet.stdout}
"""

WAITING = """
name: waiting
nodes:
  - {id: quick, type: shell, params: {command: echo quick}}
  - {id: second, type: shell, params: {command: echo second}}
  - {id: hang, type: shell, params: {command: "echo $$ > pid; touch begun; exec sleep 600"}}
edges:
  - {from: quick, to: second}
  - {from: second, to: hang}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "workflow.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def read_trace(path: Path) -> dict[str, Any]:
    from clew.act.workflow import trace_file  # the extra may be missing, and the tests then skip

    return trace_file.read_trace(path)


def traces(clew: Any) -> list[Path]:
    return sorted((clew.data_dir / "traces").glob("*"))


def test_a_run_prints_its_result_and_says_where_to_look(clew: Any, write: Callable[..., Path]) -> None:
    out, err = clew.run("run", write(HELLO), "-i", "who=you")
    assert out == "hello you\n"
    assert "clew: done in" in err
    (shown,) = [line for line in err.splitlines() if line.startswith("clew: clew show ")]
    run_id = shown.split()[3]
    trace = clew.json("show", run_id)
    assert [(span["kind"], span["name"], span["status"]) for span in trace["spans"]] == [
        ("workflow", "hello", "ok"),
        ("node", "greet", "ok"),
        ("execution", "shell", "ok"),
    ]
    assert clew.json("runs")[0]["state"] == "ended"


def test_inputs_come_from_the_command_line_over_a_file(clew: Any, write: Callable[..., Path]) -> None:
    file = write(json.dumps({"who": "file"}), "inputs.json")
    assert clew.run("run", write(HELLO), "--inputs", file)[0] == "hello file\n"
    assert clew.run("run", write(HELLO), "--inputs", "-", input=b"who: stdin")[0] == "hello stdin\n"
    assert clew.run("run", write(HELLO), "--inputs", file, "--input", "who=line")[0] == "hello line\n"


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        (HELLO, ["-i", "wo=x"], 2, "inputs.wo: the workflow has no input of that name; did you mean who?"),
        (HELLO, ["-i", "who"], 2, "'who' is not name=value"),
        (HELLO, ["--inputs", "-", "--output-format", "xml"], 2, "'xml' is not one of 'text', 'json'"),
        (HELLO.replace("shell", "shel"), [], 1, "did you mean shell?"),
        (HELLO.replace("${inputs.who}", "${inputs.wo}"), [], 1, "did you mean who?"),
        (HELLO.replace("nodes:", "nodes: ["), [], 1, "workflow.yaml"),
        (HELLO.replace("[echo, ", "[no-such-program, "), [], 1, "clew: node greet failed: no-such-program"),
        (HELLO.replace("[echo, ", '["false", '), [], 1, "clew: node greet failed: false hello world ended with exit code 1"),
    ],
    ids=["unknown input", "no value", "unknown format", "unknown type", "missing key", "no YAML", "no program", "exit code"],
)
def test_what_is_wrong_is_said_and_told_by_the_exit_code(
    clew: Any, write: Callable[..., Path], text: str, arguments: list[str], code: int, said: str
) -> None:
    out, err = clew.run("run", write(text), *arguments, code=code, input=b"{}")
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_a_dry_run_takes_some_inputs_and_refuses_wrong_ones(clew: Any, write: Callable[..., Path]) -> None:
    document = write(HELLO.replace("default: world", "required: true"))
    assert clew.run("run", document, "--dry-run")[0].startswith("hello would run 1 node; nothing was run\n")
    assert "did you mean who?" in clew.run("run", document, "--dry-run", "-i", "wo=x", code=2)[1]


def test_json_is_written_whatever_goes_wrong(clew: Any, write: Callable[..., Path]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[2] / "docs" / "run-output.schema.json").read_text("utf-8"))
    for text, code in ((HELLO, 0), (HELLO.replace("[echo, ", '["false", '), 1), (HELLO.replace("shell", "shel"), 1)):
        out, _ = clew.run("run", write(text), "--output-format", "json", code=code)
        found = json.loads(out)
        jsonschema.validate(found, schema)
        assert found["is_error"] is (code != 0)
        assert ("run_id" in found) is ("shel," not in text)
    found = json.loads(clew.run("run", write(HELLO), "--output-format", "json", "-i", "wo=1", code=2)[0])
    jsonschema.validate(found, schema)
    assert found["num_nodes"] == 0


def test_no_record_writes_nothing(clew: Any, write: Callable[..., Path]) -> None:
    out, err = clew.run("run", write(HELLO), "--no-record")
    assert out == "hello world\n"
    assert "clew show" not in err
    assert not clew.data_dir.exists()


def test_a_dry_run_runs_nothing(clew: Any, write: Callable[..., Path], tmp_path: Path) -> None:
    out, _ = clew.run("run", write(HELLO.replace("[echo, ", f"[touch, {tmp_path}/touched, ")), "--dry-run")
    assert "nothing was run" in out
    assert not (tmp_path / "touched").exists()
    assert not (clew.data_dir / "spool").exists()


def started(clew: Any, write: Callable[..., Path], tmp_path: Path, until: Callable[..., Any], *arguments: str) -> subprocess.Popen[bytes]:
    process: subprocess.Popen[bytes] = clew.start("run", write(WAITING), *arguments)
    until(lambda: (tmp_path / "begun").exists(), "the last node to begin")
    return process


def test_an_interrupt_keeps_the_trace_and_ends_what_was_started(
    clew: Any, write: Callable[..., Path], tmp_path: Path, until: Callable[..., Any]
) -> None:
    process = started(clew, write, tmp_path, until, "--trace", "--output-format", "json")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    found = json.loads(out)
    assert (found["is_error"], found["error"], found["failed_node"], found["num_nodes"]) == (True, "interrupted", "hang", 3)
    (path,) = traces(clew)
    assert read_trace(path)["final_status"] == "interrupted"
    child = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{child}").exists(), "the command to be ended")
    spans = clew.json("show", found["run_id"])["spans"]
    status = {span["name"]: (span["state"], span["status"]) for span in spans if span["kind"] in ("workflow", "node")}
    assert status == {"waiting": ("ended", "error"), "quick": ("ended", "ok"), "second": ("ended", "ok"), "hang": ("ended", "error")}


def test_a_killed_run_leaves_its_finished_nodes_and_a_readable_trace(
    clew: Any, write: Callable[..., Path], tmp_path: Path, until: Callable[..., Any]
) -> None:
    process = started(clew, write, tmp_path, until, "--trace")
    spool = clew.data_dir / "spool"
    until(lambda: b'"hang"' in b"".join(file.read_bytes() for file in spool.glob("*.jsonl")), "the start record of the last node")
    process.kill()
    process.communicate(timeout=60)
    (path,) = traces(clew)
    assert path.name.endswith(".json.part")
    trace = read_trace(path)
    assert [(node["node_id"], node["success"]) for node in trace["nodes"]] == [("quick", True), ("second", True)]
    assert [node["node_id"] for node in trace["running"]] == ["hang"]
    assert trace["final_status"] == "incomplete"
    assert trace["nodes"][1]["shared_after"]["second"]["stdout"] == "second\n"
    spans = clew.json("show", "last")["spans"]
    states = {span["name"]: span["state"] for span in spans if span["kind"] in ("workflow", "node")}
    assert states == {"waiting": "lost", "quick": "ended", "second": "ended", "hang": "lost"}
    subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True)  # the kernel does not end it with its parent


def test_a_finished_node_is_recorded_at_once(clew: Any, write: Callable[..., Path], tmp_path: Path, until: Callable[..., Any]) -> None:
    """Killed without any wait: what had ended is in the store all the same."""
    process = clew.start("run", write(WAITING), env={"CLEW_FLUSH_S": "600"})
    until(lambda: (tmp_path / "begun").exists(), "the last node to begin")
    process.kill()
    process.communicate(timeout=60)
    spans = clew.json("show", "last")["spans"]
    states = {span["name"]: span["state"] for span in spans if span["kind"] in ("workflow", "node")}
    assert states == {"waiting": "lost", "quick": "ended", "second": "ended"}
    subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True)


def test_a_full_disk_costs_record_and_trace_and_not_the_run(clew: Any, write: Callable[..., Path]) -> None:
    """No file may grow beyond 600 bytes: as on a full disk, writes fail in the middle of a line."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    out, err = clew.run("run", write(HELLO), "--trace", preexec_fn=limit)
    assert out == "hello world\n"
    assert "clew: warning: the trace ends early: File too large" in err
    assert "could not be recorded" in err


def test_nothing_secret_reaches_the_disk_or_a_message(clew: Any, write: Callable[..., Path]) -> None:
    document = """
name: login
inputs:
  password: {type: string, secret: true}
nodes:
  - {id: use, type: shell, params: {command: [echo, "with ${inputs.password}"]}}
  - {id: fail, type: shell, params: {command: "echo ${use.stdout} >&2; exit 3"}}
edges:
  - {from: use, to: fail}
"""
    secret = "correct horse battery"
    out, err = clew.run("run", write(document), "-i", f"password={secret}", "--trace", "--output-format", "json", code=1)
    assert secret not in out + err
    assert "[redacted]" in err
    clew.run("runs")
    clew.stop_owner()
    written = [path for path in clew.data_dir.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert secret not in clew.run("show", "last", "--all")[0]


def test_a_terminal_sees_which_node_runs(clew: Any, write: Callable[..., Path]) -> None:
    seen = clew.on_terminal("run", str(write(HELLO)))
    assert "hello: greet (1/1)" in seen
    assert "hello world" in seen
    assert "clew: done in" in seen

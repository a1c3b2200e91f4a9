"""Trace files: what they hold, what they keep secret, and what a killed process or a full disk leaves of them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.act.workflow.plain import encode
from clew.act.workflow.run import RunResult
from clew.act.workflow.trace import INLINE_CHARACTERS, WorkflowTraceCollector
from clew.act.workflow.trace_file import TraceFile, read_trace, resolve_blobs, store_at
from clew.errors import WorkflowError

Run = Callable[..., RunResult]
NOON = datetime(2026, 1, 2, 12, 0, 0).astimezone()


def say(**params: Any) -> dict[str, Any]:
    return {"type": "say", "params": params}


def call(function: Callable[..., Any], **args: Any) -> dict[str, Any]:
    return {"type": "call", "params": {"function": function, "args": args}}


@pytest.fixture
def trace(tmp_path: Path) -> WorkflowTraceCollector:
    return WorkflowTraceCollector(tmp_path, "test", warn=pytest.fail)


def document(found: RunResult) -> dict[str, Any]:
    assert found.trace_path is not None
    return read_trace(found.trace_path)


def stores(found: dict[str, Any], moment: str) -> list[dict[str, Any]]:
    return [store_at(found, node, moment) for node in found["nodes"]]


def test_each_node_has_the_store_before_and_after_it(run_document: Run, trace: WorkflowTraceCollector) -> None:
    found = document(run_document(say(a=1), say(b="${n0.a}"), given={}, trace_collector=trace))
    assert stores(found, "shared_before") == [{"inputs": {}}, {"inputs": {}, "n0": {"a": 1}}]
    assert stores(found, "shared_after") == [{"inputs": {}, "n0": {"a": 1}}, {"inputs": {}, "n0": {"a": 1}, "n1": {"b": 1}}]
    assert [node["mutations"] for node in found["nodes"]] == [
        {"added": {"n0": {"a": 1}}, "removed": [], "modified": {}},
        {"added": {"n1": {"b": 1}}, "removed": [], "modified": {}},
    ]
    assert (found["final_status"], found["nodes_executed"], found["nodes_failed"], found["json_output"]) == ("success", 2, 0, {"b": 1})


def test_a_later_change_does_not_show_in_earlier_entries(run_document: Run, trace: WorkflowTraceCollector) -> None:
    def spoil(items: list[int]) -> None:
        items.append(4)

    found = document(run_document(say(items=[1, 2, 3]), say(kept="${n0.items}"), call(spoil, items="${n1.kept}"), trace_collector=trace))
    after = stores(found, "shared_after")
    assert [store["n0"]["items"] for store in after] == [[1, 2, 3], [1, 2, 3], [1, 2, 3, 4]]
    assert after[2]["n1"]["kept"] == [1, 2, 3, 4]  # the same list, handed on
    assert found["nodes"][2]["mutations"]["modified"].keys() == {"n0", "n1"}


def test_a_loop_shows_each_visit(run_document: Run, trace: WorkflowTraceCollector) -> None:
    left = [3]

    def again() -> dict[str, Any]:
        left[0] -= 1
        return {"left": left[0]}

    edges = [{"from": "n0", "to": "n1"}, {"from": "n1", "to": "n0", "action": "0"}]
    found = document(run_document(call(again), say(action="${n0.left}"), edges=edges, trace_collector=trace))
    assert [node["node_id"] for node in found["nodes"]] == ["n0", "n1"]
    assert found["final_status"] == "failed"


def test_nodes_inside_have_their_own_store_and_name_the_node_around_them(
    run_document: Run, make_document: Any, trace: WorkflowTraceCollector
) -> None:
    from clew.act.workflow import running

    def inside(number: int) -> dict[str, Any]:
        return running.run_inside(make_document(say(deep=number)), {}, base=Path())

    batch = {**call(inside, number="${item}"), "batch": {"items": [7, 8], "parallel": 2}}
    found = document(run_document(say(a=1), batch, trace_collector=trace))
    inner = [node for node in found["nodes"] if node["node_id"] == "n1/n0"]
    assert sorted(store_at(found, node, "shared_after")["n0"]["deep"] for node in inner) == [7, 8]
    (outer,) = [node for node in found["nodes"] if node["node_id"] == "n1"]
    assert {node["parent"] for node in inner} == {outer["seq"]}
    params = {(note["param"], note["resolved"]) for note in outer["template_resolutions"]}
    assert params == {("[0].args.number", 7), ("[1].args.number", 8)}
    assert store_at(found, outer, "shared_after")["n1"]["count"] == 2


def test_large_values_are_written_once(run_document: Run, trace: WorkflowTraceCollector) -> None:
    text = "long " * 2000
    nodes = [say(text=text), *(say(text=f"${{n{number}.text}}") for number in range(20))]
    found = run_document(*nodes, trace_collector=trace)
    assert found.trace_path is not None
    assert found.trace_path.read_text().count(text) == 1
    assert stores(document(found), "shared_after")[-1]["n20"]["text"] == text


def test_a_trace_grows_with_what_is_written_and_not_with_the_square_of_the_nodes(run_document: Run, tmp_path: Path) -> None:
    sizes = []
    for count in (400, 800):
        trace = WorkflowTraceCollector(tmp_path, "test", warn=pytest.fail)
        found = run_document(*(say(text=f"node {number}") for number in range(count)), trace_collector=trace)
        assert found.trace_path is not None
        sizes.append(found.trace_path.stat().st_size)
        whole = document(found)
        assert whole["nodes"][-1]["shared_before"].keys() == {"$after"}
        assert len(store_at(whole, whole["nodes"][-1], "shared_after")) == count + 1
        assert store_at(whole, whole["nodes"][250], "shared_before").keys() == {"inputs", *(f"n{number}" for number in range(250))}
    assert sizes[1] - sizes[0] < 400 * 500  # an entry of a store that is too large to repeat
    assert sizes[0] < 400 * (2 * INLINE_CHARACTERS)


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def test_what_json_does_not_have_becomes_a_text(run_document: Run, trace: WorkflowTraceCollector) -> None:
    cycle: dict[str, Any] = {"name": "loop"}
    cycle["itself"] = cycle
    odd = {
        "bytes": b"\x00\x01\xff",
        "cycle": cycle,
        "set": {1},
        "nan": float("nan"),
        "odd": Odd(),
        "surrogate": "\ud83d",
        "path": Path("a/b"),
    }
    found = document(run_document(call(lambda: odd), trace_collector=trace))
    after = stores(found, "shared_after")[0]["n0"]
    assert (after["bytes"], after["set"], after["nan"], after["surrogate"], after["path"]) == ("<3 bytes>", [1], "nan", "\ud83d", "a/b")
    assert after["cycle"] == {"name": "loop", "itself": "<cycle>"}
    assert "RuntimeError" in after["odd"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(JSON_VALUES)
@settings(max_examples=200)
def test_every_json_value_stays_what_it_is(value: Any) -> None:
    assert json.loads(encode(value)) == value


def test_secrets_reach_no_trace_file(run_document: Run, trace: WorkflowTraceCollector) -> None:
    secret, key = 'hunter2"\\x', "ghp_" + "A1b2" * 9
    declared = {"password": {"secret": True}, "pin": {"secret": True, "type": "integer"}, "nested": {"secret": True}}
    found = run_document(
        say(text="login ${inputs.password}", api_key="open sesame", auth={"token": "t" * 20}, pin="${inputs.pin}"),
        say(deep=["${n0.text}", {"x": "${inputs.nested}"}]),
        call(lambda: (_ for _ in ()).throw(ValueError(f"refused {secret} and {key}"))),
        inputs=declared,
        given={"password": secret, "pin": 12, "nested": {"inner": ["innermost secret"]}},
        trace_collector=trace,
    )
    assert found.trace_path is not None
    text = found.trace_path.read_text()
    assert json.loads(text)["inputs"] == {"password": "[redacted]", "pin": "[redacted]", "nested": "[redacted]"}
    for hidden in (secret, json.dumps(secret)[1:-1], "hunter2", key, "open sesame", "t" * 20, "innermost secret"):
        assert hidden not in text
    assert '"pin","template":"${inputs.pin}","resolved":"[redacted]"' in text


def test_names_that_are_taken_get_a_number(tmp_path: Path) -> None:
    (tmp_path / "workflow-20260102-120000.json").write_text("{}")
    first = TraceFile(tmp_path, "workflow", lists=("node",), warn=pytest.fail, now=NOON)
    second = TraceFile(tmp_path, "workflow", lists=("node",), warn=pytest.fail, now=NOON)
    assert [path.name for path in (first.path, second.path) if path] == [
        "workflow-20260102-120000-2.json",
        "workflow-20260102-120000-3.json",
    ]
    assert first.part is not None
    assert first.part.stat().st_mode & 0o777 == 0o600
    first.write("meta", '{"a":1}')
    assert first.finish() == first.path
    assert first.path is not None
    assert json.loads(first.path.read_text()) == {"a": 1, "nodes": [], "blobs": {}}
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert not first.part.exists()


def lines_of(tmp_path: Path) -> TraceFile:
    file = TraceFile(tmp_path, "workflow", lists=("node",), warn=pytest.fail, now=NOON)
    file.write("meta", '{"execution_id":"x"}')
    file.write("start", '{"seq":1,"node_id":"a"}')
    file.write("node", f'{{"seq":1,"node_id":"a","value":{file.value("value", "b" * 2000)}}}')
    file.write("start", '{"seq":2,"node_id":"b"}')
    return file


def test_the_lines_of_a_killed_process_read_as_a_trace(tmp_path: Path) -> None:
    file = lines_of(tmp_path)
    assert file.part is not None
    assert file.path is not None
    for path in (file.part, file.path):  # by either name
        found = read_trace(path)
        assert (found["execution_id"], found["final_status"]) == ("x", "incomplete")
        assert [resolve_blobs(node, found) for node in found["nodes"]] == [{"seq": 1, "node_id": "a", "value": "b" * 2000}]
        assert found["running"] == [{"seq": 2, "node_id": "b"}]


def test_every_prefix_of_the_lines_reads(tmp_path: Path) -> None:
    file = lines_of(tmp_path)
    assert file.part is not None
    whole = file.part.read_bytes()
    cut = tmp_path / "cut.json.part"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        assert read_trace(cut)["final_status"] == "incomplete"
    cut.write_bytes(whole.replace(b'"start"', b"start", 1))
    with pytest.raises(WorkflowError, match="is no trace"):
        read_trace(cut)
    with pytest.raises(WorkflowError, match="cannot be read: No such file"):
        read_trace(tmp_path / "nothing.json")


def test_a_full_disk_costs_the_trace_and_not_the_run(run_document: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up in the middle of a line: what is left of it is taken back."""
    complaints: list[str] = []
    trace = WorkflowTraceCollector(tmp_path, "test", warn=complaints.append)
    room, write = [1500], os.write

    def full(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(file, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", full)
    found = run_document(*(say(text=number) for number in range(20)), trace_collector=trace)
    assert (found.status, found.trace_path) == ("ok", None)
    (complaint,) = complaints
    (part,) = tmp_path.iterdir()
    assert complaint == f"the trace ends early: No space left on device: {part}; what was written is in {part}"
    kept = read_trace(part)["nodes"]
    assert 0 < len(kept) < 20
    assert part.read_bytes().endswith(b"}\n")


def test_a_folder_that_cannot_be_made_costs_the_trace_and_not_the_run(run_document: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    complaints: list[str] = []
    trace = WorkflowTraceCollector(tmp_path / "file" / "traces", "test", warn=complaints.append)
    found = run_document(say(a=1), trace_collector=trace)
    assert (found.status, found.result, found.trace_path) == ("ok", {"a": 1}, None)
    assert complaints == [f"no trace is written: Not a directory: {tmp_path / 'file' / 'traces'}"]


def test_an_interrupted_run_has_its_trace(run_document: Run, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_document(say(a=1), call(interrupt), trace_collector=WorkflowTraceCollector(tmp_path, "test", warn=pytest.fail))
    (path,) = tmp_path.iterdir()
    found = read_trace(path)
    assert (found["final_status"], found["failed_node"]) == ("interrupted", "n1")
    assert [(node["node_id"], node["success"]) for node in found["nodes"]] == [("n0", True), ("n1", False)]


def test_a_node_of_no_library_may_write_anywhere(trace: WorkflowTraceCollector) -> None:
    """The wrapper around a node that has no namespace: every key is looked at."""
    from clew.act.workflow.instrumented import InstrumentedNodeWrapper

    class Anywhere:
        def _run(self, shared: dict[str, Any]) -> None:
            shared["new"] = 1
            shared["list"].append(2)
            del shared["gone"]

    trace.run_started(run_id=None, inputs={})
    InstrumentedNodeWrapper(Anywhere(), "a", trace_collector=trace)._run({"list": [1], "gone": 1, "same": 1})
    path = trace.run_ended("ok")
    assert path is not None
    (node,) = read_trace(path)["nodes"]
    assert node["shared_before"] == {"list": [1], "gone": 1, "same": 1}
    assert node["shared_after"] == {"list": [1, 2], "same": 1, "new": 1}
    assert node["mutations"] == {"added": {"new": 1}, "removed": ["gone"], "modified": {"list": [1, 2]}}

"""A span that one process starts and another ends is one span, with the times and the parent of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, pathlib, sys
from dataclasses import asdict
from clew.model.ids import parse_traceparent
from clew.record.detached import Detached, end, give_up, new, start

step, kept, *rest = sys.argv[1:]
kept = pathlib.Path(kept)
if step == "start":
    parent = parse_traceparent(rest[0]) if rest else None
    span = new("node", "build", parent, stage="build", n=3)
    kept.write_text(json.dumps(asdict(span)))
    start(span)
else:
    span = Detached(**json.loads(kept.read_text()))
    {"end": lambda: end(span, {"clew.persona": "tester"}), "fail": lambda: end(span, status="error", message="it broke"), "lose": lambda: give_up(span)}[step]()
"""


def run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], check=True)


def spans(data_dir: Path) -> list[dict[str, Any]]:
    """Every span record of the spool, in the order of writing, with its resource."""
    found = []
    for path in sorted((data_dir / "spool").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
        for line in path.read_text().splitlines():
            for group in json.loads(line).get("resourceSpans", ()):
                resource = values(group["resource"]["attributes"])
                found += [{**span, "resource": resource} for scope in group["scopeSpans"] for span in scope["spans"]]
    return found


def values(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values())) for pair in pairs}


def test_start_and_end_in_two_processes_are_one_span(data_dir: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    run("start", kept, parent)
    run("end", kept)
    first, last = spans(data_dir)
    assert (first["traceId"], first["parentSpanId"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    same = ("traceId", "spanId", "parentSpanId", "name")
    assert {key: first[key] for key in same} == {key: last[key] for key in same}
    assert abs(int(first["startTimeUnixNano"]) - int(last["startTimeUnixNano"])) == 0
    assert first["endTimeUnixNano"] == "0" != last["endTimeUnixNano"]
    assert int(last["endTimeUnixNano"]) > int(last["startTimeUnixNano"])
    assert values(last["attributes"]) == {"clew.span.kind": "node", "clew.stage": "build", "n": "3", "clew.persona": "tester"}
    assert last["status"] == {"code": 1}
    assert first["resource"]["clew.detached"] is True
    assert "clew.detached" not in last["resource"]
    assert first["resource"]["service.instance.id"] != last["resource"]["service.instance.id"]


def test_a_failure_keeps_what_was_known_and_says_why(data_dir: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    run("start", kept)
    run("fail", kept)
    last = spans(data_dir)[-1]
    assert last["status"] == {"code": 2, "message": "it broke"}
    assert values(last["attributes"])["n"] == "3"
    assert "parentSpanId" not in last


def test_nothing_is_written_while_recording_is_off(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.record import detached, state

    monkeypatch.setenv("CLEW_DISABLED", "1")
    state.forget()
    try:
        assert detached.new("node", "build", None) is None
    finally:
        state.forget()
    assert not data_dir.exists()


@pytest.mark.needs("chdb", "clickhouse_connect")
def test_it_runs_until_it_is_ended_and_is_lost_once_it_is_given_up(data_dir: Path, tmp_path: Path) -> None:
    from clew.observe.ingest.spool import sweep
    from clew.observe.store.store import Store

    kept, other = tmp_path / "kept.json", tmp_path / "other.json"
    run("start", kept)
    run("start", other)
    with Store.open(data_dir) as store:

        def states() -> list[str]:
            sweep(store)
            return sorted(store.value("SELECT groupArray(state) FROM spans"))

        assert states() == ["running", "running"], "although the processes that said so have ended"
        run("end", kept)
        assert states() == ["ended", "running"]
        run("lose", other)
        assert states() == ["ended", "lost"]
        assert store.value("SELECT count() FROM conflicts") == 0

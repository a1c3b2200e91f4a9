"""Importing from Langfuse: what a project holds becomes spans, of both generations of its interface, once, and goes on where it broke off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clew.connect.langfuse.importing import Batch, batches
from clew.connect.langfuse.rest import Rest
from clew.errors import LangfuseError
from clew.testing import RecordedSpan, decode

from .conftest import AT, Langfuse

TRACE = "25f4bdeebaab60e6e1bee7e8469554bc"
UUID = "123e4567-e89b-12d3-a456-426614174000"


def observation(id: str, trace_id: str = TRACE, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "traceId": trace_id,
        "type": "SPAN",
        "name": id,
        "startTime": "2026-01-31T12:00:00.000Z",
        "endTime": "2026-01-31T12:00:02.500Z",
        "projectId": "p",
        "parentObservationId": None,
        "userId": "u1",
        "sessionId": "s1",
        **more,
    }


GENERATION = observation(
    "5cb389a3bdd21a6e",
    parentObservationId="0a4fac2553f22f2e",
    type="GENERATION",
    name="chat",
    model="gpt-4o",
    modelParameters={"temperature": 0.2},
    input=[{"role": "user", "content": "Hi"}],
    output="Hello",
    usageDetails={"input": 12, "input_cached_tokens": 8, "output": 3, "output_reasoning_tokens": 2, "total": 25},
    costDetails={"total": 0.01},
    completionStartTime="2026-01-31T12:00:00.500Z",
    promptName="greet",
    promptVersion=3,
    level="ERROR",
    statusMessage="slow down",
    metadata={"note": "x", "resourceAttributes": {"service.name": "shop"}, "attributes": {"gen_ai.system": "openai"}},
)
OBSERVATIONS = [observation("0a4fac2553f22f2e", name="root", traceName="release", tags=["nightly"]), GENERATION, observation("old", UUID)]


def score(id: str, subject: dict[str, Any], value: Any, kind: str = "NUMERIC") -> dict[str, Any]:
    about = {"projectId": "p", "source": "API", "timestamp": AT, "environment": "default", "createdAt": AT, "updatedAt": AT}
    return {"id": id, "name": "quality", "dataType": kind, "value": value, "comment": "because", "subject": subject, **about}


SCORES = [
    score("1", {"kind": "observation", "id": "5cb389a3bdd21a6e", "traceId": TRACE}, 0.5),
    score("2", {"kind": "trace", "id": TRACE}, "good", "CATEGORICAL"),
    score("3", {"kind": "session", "id": "s1"}, 1.0),
]


def filled(server: Langfuse, version: int) -> Langfuse:
    server.version = version
    server.observations, server.given_scores = list(OBSERVATIONS), list(SCORES)
    mine = [item for item in OBSERVATIONS if item["traceId"] == TRACE]
    old_scores = [
        {
            "id": "1",
            "traceId": TRACE,
            "observationId": "5cb389a3bdd21a6e",
            "name": "quality",
            "value": 0.5,
            "comment": "because",
            "timestamp": AT,
        },
        {"id": "2", "traceId": TRACE, "name": "quality", "stringValue": "good", "value": None, "comment": "because", "timestamp": AT},
    ]
    about = {"timestamp": "2026-01-31T12:00:00.000Z", "userId": "u1", "sessionId": "s1"}
    server.traces = [
        {"id": TRACE, "name": "release", "tags": ["nightly"], "observations": mine, "scores": old_scores, **about},
        {"id": UUID, "name": "legacy", "tags": [], "observations": [OBSERVATIONS[2]], "scores": [], **about},
    ]
    return server


def spans(found: list[Batch]) -> dict[tuple[str, str], RecordedSpan]:
    made = [span for batch in found for line in batch.lines.splitlines() for span in decode(line)]
    return {(span.name, span.parent_span_id or ""): span for span in made}


def rest_of(server: Langfuse) -> Rest:
    return Rest(server.url, *server.keys, sleep=lambda seconds: None)


@pytest.mark.parametrize("version", [4, 3])
def test_observations_scores_sessions_and_users(server: Langfuse, version: int) -> None:
    found = list(batches(rest_of(filled(server, version))))
    assert (sum(batch.observations for batch in found), found[-1].mark["stage"]) == (3, "done")
    by_name = spans(found)
    root, chat = by_name["root", ""], by_name["chat", "0a4fac2553f22f2e"]
    assert (root.trace_id, root.span_id, root.attributes["langfuse.trace.name"]) == (TRACE, "0a4fac2553f22f2e", "release")
    assert root.attributes["langfuse.trace.tags"] == ["nightly"]
    assert (chat.end_ns - chat.start_ns) / 1e9 == 2.5
    told = chat.attributes
    assert (told["gen_ai.conversation.id"], told["user.id"]) == ("s1", "u1")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (20, 5)
    assert (told["gen_ai.usage.cache_read.input_tokens"], told["gen_ai.usage.reasoning.output_tokens"]) == (8, 2)
    assert (told["langfuse.observation.type"], told["langfuse.observation.model.name"]) == ("generation", "gpt-4o")
    assert (told["gen_ai.prompt.name"], told["gen_ai.prompt.version"]) == ("greet", "3")
    assert told["gen_ai.response.time_to_first_chunk"] == 0.5
    assert told["gen_ai.request.temperature"] == 0.2
    assert (told["gen_ai.system"], told["langfuse.observation.metadata"]) == ("openai", '{"note": "x"}')
    assert "clew.cost.usd" not in told  # Langfuse computed it: it is not what the provider charged
    assert (chat.status, chat.message) == ("error", "slow down")
    one, whole = by_name["quality", "5cb389a3bdd21a6e"], by_name["quality", "0a4fac2553f22f2e"]
    assert (one.kind, one.attributes["gen_ai.evaluation.score.value"], one.attributes["gen_ai.evaluation.explanation"]) == (
        "evaluation",
        0.5,
        "because",
    )
    assert whole.attributes["gen_ai.evaluation.score.label"] == "good"
    assert by_name["old", ""].trace_id == UUID.replace("-", "")  # the ids of older Langfuses stay told apart
    assert len(by_name["old", ""].span_id) == 16


def test_a_whole_that_is_told_beside_its_parts_is_not_added_to_them(server: Langfuse) -> None:
    told = [
        ({"input": 20, "input_cached_tokens": 8, "output": 5, "total": 25}, (20, 5)),
        ({"input": 12, "input_cached_tokens": 8, "output": 5, "total": 25}, (20, 5)),
        ({"input": 12, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output": 5}, (20, 5)),
        ({"total": 25}, (None, None)),
        ({}, (None, None)),
    ]
    server.observations = [observation(f"o{number}", usageDetails=details) for number, (details, _) in enumerate(told)]
    by_name = spans(list(batches(rest_of(server))))
    found = [by_name[f"o{number}", ""].attributes for number in range(len(told))]
    assert [(each.get("gen_ai.usage.input_tokens"), each.get("gen_ai.usage.output_tokens")) for each in found] == [
        counts for _, counts in told
    ]


@pytest.mark.parametrize("version", [4, 3])
def test_it_goes_on_where_it_broke_off_and_gives_the_same(server: Langfuse, version: int) -> None:
    filled(server, version).page = 1
    rest = rest_of(server)
    whole = list(batches(rest))
    assert len(whole) > 1
    again: list[Batch] = []
    mark: dict[str, Any] | None = None
    while mark is None or mark["stage"] != "done":
        batch = next(batches(rest, mark=mark))  # broken off after each step
        again.append(batch)
        mark = json.loads(json.dumps(batch.mark))
    assert set(spans(again)) >= {key for key in spans(whole) if key[0] != "quality"}
    assert sum(batch.scores for batch in again) == sum(batch.scores for batch in whole)
    assert sum(batch.observations for batch in again) == 3


def test_a_busy_langfuse_is_waited_for_and_one_that_stays_busy_is_told(server: Langfuse) -> None:
    waited: list[float] = []
    filled(server, 4).refusals = [429, 500]
    rest = Rest(server.url, *server.keys, sleep=waited.append)
    assert sum(batch.observations for batch in batches(rest)) == 3
    assert waited == [7.0, 2.0]
    server.refusals = [429] * 6
    with pytest.raises(LangfuseError, match="v2/observations answered 429"):
        list(batches(rest))


def test_a_window_of_time(server: Langfuse) -> None:
    server.observations = [observation(f"o{day}", startTime=f"2026-01-0{day}T00:00:00.000Z") for day in range(1, 6)]
    found = batches(rest_of(server), since="2026-01-02T00:00:00.000Z", until="2026-01-04T00:00:00.000Z")
    assert sum(batch.observations for batch in found) == 3


def clew(*words: str, server: Langfuse, data_dir: Path) -> subprocess.CompletedProcess[str]:
    keys = dict(zip(("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"), server.keys, strict=True))
    environment = {**os.environ, **keys, "CLEW_DATA_DIR": str(data_dir), "CLEW_OWNER_LINGER_S": "30"}
    return subprocess.run([sys.executable, "-m", "clew.cli.main", *words], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.needs("chdb", "clickhouse_connect")
def test_the_command_imports_a_project_and_importing_it_again_changes_nothing(
    server: Langfuse, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    names = ("pydantic-ai-2025-06-06", "beeai-2025-08-01", "vercel-aisdk-2025-11-17")
    for name in names:
        dump = json.loads(shared_data(f"framework_traces/{name}.trace.json").read_text())
        server.observations += [{**item, "sessionId": name} for item in dump["observations"]]
    known = {"id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type", "name", "level", "statusMessage", "model", "input", "output",
             "metadata", "modelParameters", "usageDetails", "costDetails", "sessionId"}  # fmt: skip
    server.observations = [{key: value for key, value in item.items() if key in known} for item in server.observations]
    for item in server.observations:
        for key in ("metadata", "modelParameters"):
            item[key] = json.loads(item[key]) if isinstance(item.get(key), str) else item.get(key)
    trace_id, span_id = server.observations[0]["traceId"], server.observations[0]["id"]
    server.given_scores = [score("1", {"kind": "observation", "id": span_id, "traceId": trace_id}, 0.5)]
    server.page = 10
    source = f"langfuse://127.0.0.1:{server.port}"
    first = clew("import", source, server=server, data_dir=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(f"{source}: {len(server.observations) + 1} spans")
    figures = {"spans": "count()", "sessions": "uniqExact(session_id)", "calls": "sum(kind = 'llm')", "tokens": "sum(input_tokens)"}
    count = f"SELECT {', '.join(f'{sql} AS {name}' for name, sql in figures.items())}, sum(kind = 'evaluation') AS scores FROM spans"
    told = clew("sql", count, "--json", server=server, data_dir=tmp_path)
    again = clew("import", source, server=server, data_dir=tmp_path)
    assert again.returncode == 0
    assert clew("sql", count, "--json", server=server, data_dir=tmp_path).stdout == told.stdout
    (row,) = json.loads(told.stdout)
    assert (row["spans"], row["scores"]) == (len(server.observations) + 1, 1)
    assert row["sessions"] == len(names) + 1  # and the score, which is of no session
    assert row["calls"] > 3
    assert row["tokens"] > 0


@pytest.mark.needs("chdb", "clickhouse_connect")
def test_the_command_says_what_is_wrong_and_goes_on_the_next_time(server: Langfuse, tmp_path: Path) -> None:
    source = f"langfuse+http://127.0.0.1:{server.port}"
    filled(server, 4).page = 1
    wrong = clew("import", f"{source}?form=x", server=server, data_dir=tmp_path)
    assert wrong.returncode == 2
    assert "the option 'form'; there are from, to, again" in wrong.stderr
    assert clew("import", f"{source}?from=yesterday", server=server, data_dir=tmp_path).returncode == 2
    server.answers = 2
    broken = clew("import", source, server=server, data_dir=tmp_path)
    assert broken.returncode == 1
    assert "refused the keys" in broken.stderr
    assert "run this again to go on" in broken.stderr
    server.answers = None
    server.asked.clear()
    done = clew("import", source, server=server, data_dir=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.asked.count("GET v2/observations") == 1  # of three pages, two were taken in before
    assert json.loads(clew("sql", "SELECT count() AS n FROM spans", "--json", server=server, data_dir=tmp_path).stdout) == [{"n": 5}]


def test_what_cannot_be_read_costs_itself_alone(server: Langfuse) -> None:
    filled(server, 3).traces[0]["observations"].append({**GENERATION, "id": "odd", "startTime": "never"})
    found = list(batches(rest_of(server)))
    assert [fault.partition(":")[0] for batch in found for fault in batch.faults] == ["observation odd"]
    assert {"root", "chat", "old"} <= {name for name, _ in spans(found)}

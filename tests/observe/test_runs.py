"""The list of runs says what the view of them says, however it was read, and finds what goes on without looking at all that has ended."""

from __future__ import annotations

from typing import Any

import pytest

from clew.observe.query import runs
from clew.observe.query.run_summary import summary
from clew.observe.store.store import Store


def call(otlp: Any, number: int, trace: int, parent: int = 1, **more: Any) -> dict[str, Any]:
    """A model call; ``more`` are attributes, with _ for a dot."""
    given = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
    return otlp.span(number, trace, parent, attributes=given | {name.replace("__", "."): value for name, value in more.items()})  # type: ignore[no-any-return]


def usage(tokens: int) -> dict[str, Any]:
    return {"gen_ai__usage__input_tokens": tokens, "gen_ai__usage__output_tokens": tokens // 10}


@pytest.fixture
def filled(store: Store, otlp: Any) -> Store:
    """Runs of every sort: priced, reported, unpriced, cached, without usage, with an agent that repeats its calls' usage, without any call, and two that go on."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    repeats = agent | {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
    unknown: dict[str, Any] = {"gen_ai__request__model": "nobody-knows-it"}
    open_ = {"endTimeUnixNano": "0"}
    sent = [
        *(otlp.span(1, trace, attributes=agent) for trace in (1, 2, 3, 4, 5, 7)),
        otlp.span(1, 6, attributes=repeats, status={"code": 2, "message": "it broke"}),
        otlp.span(1, 8, attributes=agent, **open_),
        otlp.span(1, 9, attributes=agent),
        otlp.span(2, 9, 1, **open_),
        call(otlp, 2, 1, **usage(1000)),
        call(otlp, 3, 1, **usage(50)),
        call(otlp, 2, 2, **usage(1000), clew__cost__reported_usd=0.5),
        call(otlp, 2, 3, **usage(1000), **unknown),
        call(otlp, 3, 3, **usage(1000)),
        call(otlp, 2, 4, **usage(1000), clew__cache__hit=True),
        call(otlp, 2, 5),
        call(otlp, 2, 6, **usage(1000)),
    ]
    otlp.take(store, otlp.lines(otlp.traces(*sent)))
    return store


def test_a_page_of_runs_says_what_the_view_says(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = filled.rows(f"SELECT {runs.RUN_COLUMNS} FROM runs ORDER BY start_ns DESC, run_id")
    wanted = [runs.Run(**row) for row in rows]
    assert len(wanted) == 9
    assert {run.cost_usd is None for run in wanted} == {True, False}
    assert runs.page(filled).runs == wanted
    assert runs.page(filled, "calls:>=0").runs == wanted
    assert runs.runs_of(filled, [run.run_id for run in wanted]) == wanted
    monkeypatch.setattr(runs, "MOST_SPANS", 0)
    assert runs.page(filled).runs == wanted


def test_runs_that_go_on_are_found_without_a_look_at_those_that_have_ended(filled: Store, otlp: Any) -> None:
    page = runs.page(filled, "state:running")
    assert [run.run_id for run in page.runs] == [otlp.trace_id(8)]
    assert page.looked_at == 2  # the other has a span that goes on, and is over itself
    assert [run.run_id for run in runs.page(filled, "-state:ended").runs] == [otlp.trace_id(8)]
    assert runs.page(filled, "state:lost").runs == []


def test_a_summary_counts_the_runs_that_a_page_lists(filled: Store) -> None:
    for text in ("", "status:error", "model:nobody*", "-state:ended"):
        listed, found = runs.page(filled, text).runs, summary(filled, text)
        assert (found.runs, found.failed) == (len(listed), sum(run.status == "error" for run in listed)), text
        assert found.partial_cost_usd == pytest.approx(sum(run.partial_cost_usd for run in listed)), text
        assert (found.cost_usd is None) == any(run.cost_usd is None for run in listed), text
        models = {one.value: one.count for facet in found.facets if facet.field == "model" for one in facet.values}
        assert models == {model: sum(model in run.models for run in listed) for run in listed for model in run.models}, text
        assert found.starts is not None
        assert sum(map(sum, (found.starts.ok, found.starts.error, found.starts.running, found.starts.lost))) == len(listed), text

"""Search finds the newest spans that match, whichever way it takes: to the places of what is rare, back in time for what is common."""

from __future__ import annotations

import random
from typing import Any

import pytest

from clew.observe.query import search as searching
from clew.observe.query.search import search
from clew.observe.store.store import Store

WORDS = ("the", "often", "some", "seldom", "once")
"""Each half as often as the one before."""
FILTERS: dict[str, Any] = {
    "the": lambda span: "the" in span["words"],
    "seldom": lambda span: "seldom" in span["words"],
    "nowhere": lambda span: False,
    "the often": lambda span: {"the", "often"} <= span["words"],
    "-the": lambda span: "the" not in span["words"],
    "the -often": lambda span: "the" in span["words"] and "often" not in span["words"],
    "once OR status:error": lambda span: "once" in span["words"] or span["failed"],
    "often tool:hammer": lambda span: "often" in span["words"] and span["tool"] == "hammer",
    "named": lambda span: span["failed"],
    "the OR named": lambda span: "the" in span["words"] or span["failed"],
    '"the often"': lambda span: "the often" in span["text"],
    "agent:above": lambda span: span["agent"] == "above",
    "-agent:above": lambda span: span["agent"] != "above",
    "agent:own status:error": lambda span: span["agent"] == "own" and span["failed"],
    "agent:above tool:hammer": lambda span: span["agent"] == "above" and span["tool"] == "hammer",
    "agent:above OR tool:hammer": lambda span: span["agent"] == "above" or span["tool"] == "hammer",
    "agent:above often": lambda span: span["agent"] == "above" and "often" in span["words"],
    "agent:none": lambda span: False,
}

WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "everything is rare": {"_FEW": 10_000},
    "nothing is rare": {"_FEW": 0, "_COMMON": 10_000},
    "the newest first": {"_FEW": 0, "_COMMON": 1, "_RECENT": 20},
    "the very newest first": {"_FEW": 0, "_COMMON": 1, "_RECENT": 2},
    "some judged first": {"_JUDGED_FIRST": 100, "_JUDGED_MOST": 100},
    "few judged first": {"_JUDGED_FIRST": 2, "_JUDGED_MOST": 60},
    "many judged at last": {"_JUDGED_FIRST": 4},
}


@pytest.fixture
def spans(store: Store, otlp: Any) -> list[dict[str, Any]]:
    """300 spans in 30 traces, newest first. The first of each trace is an agent, of every other one with a name; a third of the rest is below
    it, and some name another agent."""
    rnd = random.Random(1)
    made: list[dict[str, Any]] = []
    for number in range(1, 301):
        chosen = [word for at, word in enumerate(WORDS, 1) if rnd.random() < 2**-at]
        rnd.shuffle(chosen)
        failed = number % 41 == 0
        trace = 1 + number % 30
        top = 30 if trace == 1 else trace - 1
        named = "above" if trace % 2 else ""
        below = number > 30 and number % 3 == 0
        own = named if number == top else "own" if number % 7 == 0 else ""
        made.append(
            {
                "number": number,
                "trace": trace,
                "parent": top if below else 0,
                "own": own,
                "agent": own or (named if below else ""),
                "kind": "AGENT" if number == top else "",
                "words": set(chosen),
                "text": " ".join(chosen),
                "failed": failed,
                "tool": rnd.choice(["hammer", "saw"]),
            }
        )
    otlp.take(
        store,
        otlp.lines(
            *(
                otlp.traces(
                    otlp.span(
                        span["number"],
                        span["trace"],
                        span["parent"],
                        {
                            "input.value": f"{span['text']} {span['number']}",
                            "gen_ai.tool.name": span["tool"],
                            "gen_ai.agent.name": span["own"],
                            "openinference.span.kind": span["kind"],
                        },
                        status={"code": 2, "message": "an error that is named"} if span["failed"] else {},
                    )
                )
                for span in made
            )
        ),
    )
    return made[::-1]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_finds_the_same_newest_spans(
    store: Store, spans: list[dict[str, Any]], otlp: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for name, value in WAYS[way].items():
        monkeypatch.setattr(searching, name, value)
    for text, matches in FILTERS.items():
        wanted = [otlp.span_id(span["number"]) for span in spans if matches(span)]
        for limit in (60, 400):
            found: list[str] = []
            after = None
            while True:
                page = search(store, text, limit=limit, after=after)
                found += [hit.span_id for hit in page.hits]
                after = page.next
                if after is None:
                    break
            assert (text, limit, found) == (text, limit, wanted)


def test_an_agent_is_the_one_a_span_names_last_or_the_nearest_above(store: Store, otlp: Any) -> None:
    def request(*spans: tuple[int, int, dict[str, Any]]) -> Any:
        return otlp.traces(*(otlp.span(number, 1, parent, attributes) for number, parent, attributes in spans))

    planner = {"openinference.span.kind": "AGENT", "gen_ai.agent.name": "planner"}
    named, unnamed = {"gen_ai.agent.name": "coder"}, {"gen_ai.tool.name": "saw"}
    otlp.take(store, otlp.lines(request((1, 0, planner), (2, 1, unnamed), (3, 1, named))))
    otlp.take(store, otlp.lines(request((3, 1, {"gen_ai.agent.name": "reviewer"}))))

    def found(text: str) -> list[str]:
        return sorted(hit.span_id for hit in search(store, text).hits)

    first, second, third = map(otlp.span_id, (1, 2, 3))
    assert found("agent:planner") == [first, second]
    assert found("agent:coder") == []
    assert found("agent:review*") == [third]
    assert found("agent:(planner,reviewer)") == [first, second, third]
    assert found("-agent:reviewer") == [first, second]
    assert found("agent:*") == [first, second, third]

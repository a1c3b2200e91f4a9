"""Completion in a large store: names and frequent values of attributes from sketches, which follow what comes in and what goes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from clew.observe.query import completion
from clew.observe.query.completion import Suggestion
from clew.observe.store import deletion, retention, rollups, sketches
from clew.observe.store.store import Store

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")


@pytest.fixture
def large(store: Store, otlp: Any) -> Store:
    """A store that counts as large, with ten spans: half of them name a door."""
    store.roll_from = 0
    spans = [
        otlp.span(
            n, n, attributes={"session.id": f"s{n % 3}", "Room": "hall", "note": "x" * 300} | ({"door": f"d{n % 2}"} if n < 5 else {})
        )
        for n in range(1, 11)
    ]
    otlp.take(store, otlp.lines(otlp.traces(*spans, resource={"service.name": "maze"})))
    rollups.roll(store)
    assert rollups.exist(store)
    return store


def names(store: Store, prefix: str = "") -> list[tuple[str, int | None]]:
    return [(one.text, one.count) for one in completion.attributes(store, prefix).suggestions if one.text in ("Room", "door", "window")]


def test_a_small_store_does_without_sketches(store: Store, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, attributes={"door": "north"}))))
    assert completion.values(store, "@door").suggestions == [Suggestion("north", 1)]
    assert not store.has(sketches.TABLES)


def test_a_large_store_has_them_from_the_first_question_on_and_they_follow_what_comes_in(large: Store, otlp: Any) -> None:
    assert names(large) == [("Room", 10), ("door", 4)]
    assert names(large, "rO") == [("Room", 10)]
    assert completion.values(large, "@door").suggestions == [Suggestion("d0", 2), Suggestion("d1", 2)]
    assert completion.values(large, "@note").suggestions == []  # nobody completes three hundred characters
    assert completion.values(large, "session", "S").suggestions == [Suggestion("s1", 4), Suggestion("s0", 3), Suggestion("s2", 3)]
    assert completion.values(large, "session", "s1", of="runs").suggestions == [Suggestion("s1", 4)]
    otlp.take(large, otlp.lines(otlp.traces(otlp.span(20, 20, attributes={"door": "d1", "window": "w"}))))
    assert names(large) == [("Room", 10), ("door", 5), ("window", 1)]
    assert completion.values(large, "@door", limit=1) == completion.Suggestions([Suggestion("d1", 3)], more=True)
    before = large.value("SELECT count() FROM sketches")
    with large.ingesting:
        sketches.refresh(large)  # nothing came in
    assert large.value("SELECT count() FROM sketches") == before


def test_of_many_spans_at_once_some_are_read_and_stand_for_all(large: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(large)
    monkeypatch.setattr(sketches, "SAMPLE", 100)
    spans = [otlp.span(n, n, attributes={"window": f"w{n % 2}"}) for n in range(1000, 1800)]
    otlp.take(large, otlp.lines(otlp.traces(*spans)))
    [found] = completion.attributes(large, "window").suggestions
    assert found.count is not None
    assert found.count % 8 == 0
    assert 400 < found.count < 1600
    assert {one.text for one in completion.values(large, "@window").suggestions} == {"w0", "w1"}


def test_what_is_deleted_or_dropped_is_not_suggested(large: Store, otlp: Any) -> None:
    otlp.take(large, otlp.lines(otlp.traces(otlp.span(20, 20, attributes={"window": "secret"}))))
    assert completion.values(large, "@window").suggestions == [Suggestion("secret", 1)]
    deletion.delete(large, [otlp.trace_id(20)])
    assert completion.values(large, "@window").suggestions == []
    assert names(large) == [("Room", 10), ("door", 4)]
    retention.prune(large, retention.Keep(1, 1, 1, 0), now_s=time.time() + 3 * retention.DAY_S)
    assert large.value("SELECT count() FROM sketches") == 0
    assert names(large) == []

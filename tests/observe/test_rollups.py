"""Rollups give the numbers that the spans give, whatever arrived in whatever order, and whatever of it is settled or rolled up by now."""

from __future__ import annotations

import itertools
import lzma
import random
import re
import shutil
import time
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clew.errors import FilterError
from clew.observe.ingest.batch import Batch, Numbered
from clew.observe.query import aggregates, completion, costs
from clew.observe.query.aggregates import aggregate, profiles
from clew.observe.query.completion import Suggestion
from clew.observe.store import rollups
from clew.observe.store.prices import refresh_prices
from clew.observe.store.settle import settle, touch
from clew.observe.store.store import Store
from clew.wire.check import check_json


def test_a_store_gets_rollups_when_it_is_large_enough_and_goes_on_where_it_was_broken_off(store: Store, otlp: Any) -> None:
    insert(store, otlp, [otlp.span(n, n, 0, USED, **at(otlp, 60 * n)) for n in range(1, 7)])
    settled(store)
    assert not rollups.roll(store)
    assert rollups.progress(store) is None
    store.roll_from = 6
    asked = iter([False, True])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "AT_ONCE", 2)
        assert rollups.roll(store, stop=lambda: next(asked))
    assert rollups.progress(store) == (6, 4)
    assert tokens(store, "program")[0] == tokens(store, "program")[1]
    assert rollups.roll(store)  # an hour waits until nothing happens in it
    assert rollups.progress(store) == (6, 0)
    assert store.pairs("SELECT level, uniqExact(at) FROM rollups GROUP BY level") == {"minute": 6}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "HOUR_QUIET_S", 0.0)
        assert not rollups.roll(store)
    assert store.pairs("SELECT level, sum(spans) FROM rollups GROUP BY level") == dict.fromkeys(("minute", *rollups.HOURLY), 6)
    assert [(row.key, row.spans) for row in aggregate(store, by="model").rows] == [("flat", 6)]


@pytest.fixture(scope="module")
def rolling(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Iterator[Store]:
    """A store that has rollups from its first span on."""
    path = tmp_path_factory.mktemp("rolling") / "data"
    shutil.copytree(made, path, symlinks=True)
    (path / "prices.toml").write_text(PRICES)
    with Store.open(path) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "HOUR_QUIET_S", 0.0)
        opened.roll_from = 0
        rollups.roll(opened)
        assert rollups.progress(opened) == (0, 0)
        yield opened
        opened._written = False


PRICES = """
[[price]]
model = "tiered"
input = 1.0
output = 5.0
tiers = [{ above = 200000, input = 2.0, output = 9.0 }]

[[price]]
model = "flat"
input = 3.0
output = 15.0

[[price]]
model = "dated"
input = 1.0
output = 1.0
[[price]]
model = "dated"
starts = 2025-10-09T09:00:00Z
input = 7.0
output = 7.0
"""


def insert(store: Store, otlp: Any, spans: Sequence[dict[str, Any]], **resource: Any) -> None:
    """Spans into the store, and nothing more: not settled."""
    checked = check_json(otlp.lines(otlp.traces(*spans, resource={"service.name": "program", **resource})))
    with store.ingesting:
        assert not Batch(checked.signal, "json", "test", [Numbered(1, time.time_ns(), checked)]).insert(store)


def settled(store: Store) -> None:
    with store.ingesting:
        settle(store)
        refresh_prices(store)


def rolled_up(store: Store) -> None:
    """Everything is settled and rolled up."""
    settled(store)
    while rollups.roll(store):
        pass
    progress = rollups.progress(store)
    assert progress is not None
    assert progress.stale == 0


def from_spans(ask: Callable[[], Any]) -> Any:
    """The answer that a store without rollups gives."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (aggregates, costs):
            patch.setattr(module, "rolled", lambda *_, **__: None)
        return ask()


def alike(found: Any, wanted: Any) -> None:
    """The same figures: counts and tokens exactly, amounts to the rounding of their last digits; percentiles are looked at elsewhere."""
    if isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            alike(one, other)
    elif is_dataclass(wanted):
        for field in fields(wanted):
            one, other = getattr(found, field.name), getattr(wanted, field.name)
            if field.name in PERCENTILES:
                assert (one is None) == (other is None)
            else:
                alike(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-15)
    else:
        assert found == wanted


PERCENTILES = ("p50_ns", "p95_ns", "p99_ns", "p50Latency", "p95Latency", "p99Latency")


def questions(service: str) -> list[Callable[[Store], Any]]:
    of = f"service:{service}"
    since = "start:>=2025-10-09T08:54:10 start:<2025-10-09T09:20:30"
    return [
        lambda store: aggregate(store, of),
        *(lambda store, by=by: sorted_rows(aggregate(store, of, by=by, limit=50)) for by in rollups.LABELS),
        lambda store: sorted_rows(aggregate(store, f"{of} {since}", by="model", bucket="1m")),
        lambda store: sorted_rows(aggregate(store, f"{of} status:error OR {of} agent:planner", by="agent", bucket="1h")),
        lambda store: sorted_rows(aggregate(store, f"{of} -model:tiered kind:(llm,tool)", by="tool")),
        lambda store: sorted_rows(aggregate(store, of, by="model", bucket="1h", parts=["times"])),
        lambda store: profiles(store, of).profiles,
        lambda store: profiles(store, f"{of} {since} agent:*"),
        *(
            lambda store, by=by: sorted_costs(costs.costs(store, by=by, where=of))
            for by in ("model", "agent", "provider", "service", "day")
        ),
        lambda store: sorted_costs(costs.costs(store, by="model", where=f"{of} {since} -status:error")),
    ]


def sorted_rows(found: aggregates.Aggregates) -> Any:
    return sorted(found.rows, key=lambda row: (row.start_ns or 0, row.key)), found.more


def sorted_costs(found: costs.Costs) -> Any:
    return sorted(found.rows, key=lambda row: row.key), found.total, found.more


# --- any order, repetition and splitting -------------------------------------------------------------------------------------------------

CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "house"}
AGENT = {"gen_ai.operation.name": "invoke_agent"}
TOOL = {"gen_ai.operation.name": "execute_tool"}

ATTRIBUTES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {"gen_ai.request.model": st.sampled_from(["tiered", "flat", "dated", "unknown"])},
        optional={
            "gen_ai.usage.input_tokens": st.sampled_from([0, 7, 199_999, 200_000, 200_001, 10**6]),
            "gen_ai.usage.output_tokens": st.integers(0, 1000),
            "gen_ai.usage.cache_read.input_tokens": st.integers(0, 5),
            "clew.cost.usd": st.floats(0, 1),
            "gen_ai.agent.name": st.sampled_from(["planner", "coder"]),
            "clew.cache.hit": st.booleans(),
            "gen_ai.response.model": st.just("flat"),
        },
    ).map(lambda more: CALL | more),
    st.fixed_dictionaries({}, optional={"gen_ai.agent.name": st.just("planner"), "gen_ai.usage.input_tokens": st.integers(1, 9)}).map(
        lambda more: AGENT | more
    ),
    st.fixed_dictionaries({"gen_ai.tool.name": st.sampled_from(["search", "shell"])}).map(lambda more: TOOL | more),
    st.just({}),
)
SPANS = st.lists(
    st.tuples(
        st.integers(1, 9),  # number: the same again is another version of that span
        st.integers(0, 9),  # parent
        ATTRIBUTES,
        st.integers(0, 40 * 60),  # seconds from the start
        st.one_of(st.none(), st.integers(0, 10**11)),  # duration in nanoseconds; None: not ended
        st.booleans(),  # failed
    ),
    min_size=1,
    max_size=14,
)
STEPS = st.lists(st.tuples(st.integers(0, 13), st.sampled_from(["insert", "settle", "roll"])), min_size=1, max_size=4)

examples = itertools.count(1)


@given(SPANS, STEPS, st.sets(st.sampled_from(range(len(questions("")))), min_size=3, max_size=4))
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_rollups_and_spans_give_the_same_number(rolling: Store, otlp: Any, spans: Any, steps: Any, chosen: set[int]) -> None:
    trace = next(examples)
    service = f"s{trace}"
    made = []
    for number, parent, attributes, second, duration, failed in spans:
        start = otlp.START + second * otlp.SECOND + number
        fields = {
            "name": f"span {number % 4}",
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": "0" if duration is None else str(start + duration),
            "status": {"code": 2} if failed else {},
        }
        made.append(otlp.span(number, trace, parent if parent != number else 0, attributes, **fields))
    for cut, then in [*steps, (len(made), "settle")]:
        insert(rolling, otlp, made[: cut + 1] if cut % 2 else list(reversed(made[: cut + 1])), **{"service.name": service})
        if then != "insert":
            settled(rolling)
        if then == "roll":
            rollups.roll(rolling)
    # Settled, and of the minutes some rolled up and some not; then all of them.
    for _ in range(2):
        compare(rolling, service, chosen)
        rolled_up(rolling)


def compare(store: Store, service: str, chosen: Iterable[int] = range(len(questions("")))) -> None:
    asked = questions(service)
    for ask in (asked[number] for number in chosen):
        alike(ask(store), from_spans(partial(ask, store)))


# --- each way in which a minute can change -----------------------------------------------------------------------------------------------


def tokens(store: Store, service: str) -> Any:
    """(what rollups say, what spans say) of the input tokens by minute."""

    def ask() -> Any:
        return {row.start_ns: row.input_tokens for row in aggregate(store, f"service:{service}", bucket="1m").rows if row.model_calls}

    return ask(), from_spans(ask)


def minute(otlp: Any, number: int) -> int:
    return int((otlp.START // 60_000_000_000 + number) * 60_000_000_000)


def at(otlp: Any, second: int) -> dict[str, str]:
    return {
        "startTimeUnixNano": str(minute(otlp, 1) + second * otlp.SECOND),
        "endTimeUnixNano": str(minute(otlp, 1) + (second + 1) * otlp.SECOND),
    }


USED = CALL | {"gen_ai.request.model": "flat", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1}


def test_a_call_within_an_earlier_one_changes_the_minute_of_that(rolling: Store, otlp: Any) -> None:
    insert(rolling, otlp, [otlp.span(1, 1001, 0, USED, **at(otlp, 0))], **{"service.name": "late"})
    rolled_up(rolling)
    assert tokens(rolling, "late") == ({minute(otlp, 1): 10},) * 2
    insert(rolling, otlp, [otlp.span(2, 1001, 1, USED, **at(otlp, 300))], **{"service.name": "late"})
    settled(rolling)
    assert rollups.progress(rolling).stale == 2  # type: ignore[union-attr]
    assert tokens(rolling, "late") == ({minute(otlp, 6): 10},) * 2
    rolled_up(rolling)
    assert tokens(rolling, "late") == ({minute(otlp, 6): 10},) * 2


def test_models_without_a_price_are_named_whatever_the_hours_are_asked_by(rolling: Store, otlp: Any) -> None:
    call = USED | {"gen_ai.request.model": "nobody knows", "gen_ai.agent.name": "namer"}
    insert(rolling, otlp, [otlp.span(1, 1011, 0, call, **at(otlp, 0))], **{"service.name": "unpriced"})
    rolled_up(rolling)
    [row] = costs.costs(rolling, by="agent", where="agent:namer start:>=2025-10-09T08:00 start:<2025-10-09T12:00").rows
    assert (row.key, row.unpriced_calls, row.unpriced_models) == ("namer", 1, ["nobody knows"])


def test_questions_of_one_moment_share_the_rows_of_stale_minutes_and_see_the_next_change(rolling: Store, otlp: Any) -> None:
    def made() -> int:
        return int(rolling.value("SELECT uniqExact(made_ns) FROM unrolled"))

    for number in (1, 2):
        insert(rolling, otlp, [otlp.span(number, 1012, 0, USED, **at(otlp, number))], **{"service.name": "shared"})
        settled(rolling)
        assert tokens(rolling, "shared") == ({minute(otlp, 1): 10 * number},) * 2
        before = made()
        assert aggregate(rolling, "service:shared", by="model").rows[0].input_tokens == 10 * number
        assert made() == before


def test_a_span_that_moves_to_another_minute_leaves_the_first(rolling: Store, otlp: Any) -> None:
    insert(rolling, otlp, [otlp.span(1, 1002, 0, USED, **at(otlp, 0))], **{"service.name": "moved"})
    rolled_up(rolling)
    insert(rolling, otlp, [otlp.span(1, 1002, 0, USED, **at(otlp, 120))], **{"service.name": "moved"})
    rolled_up(rolling)
    assert tokens(rolling, "moved") == ({minute(otlp, 3): 10},) * 2


def test_spans_that_are_deleted_leave_the_rollups(rolling: Store, otlp: Any) -> None:
    insert(rolling, otlp, [otlp.span(n + 1, 1003 + n, 0, USED, **at(otlp, 60 * n)) for n in (0, 1)], **{"service.name": "deleted"})
    rolled_up(rolling)
    which = "trace_id = {id:String}"
    for delete in (True, False):
        with rolling.ingesting:
            touch(rolling, which, {"id": otlp.trace_id(1003)})
            if delete:
                rolling.command(f"DELETE FROM span_records WHERE {which}", {"id": otlp.trace_id(1003)})
        assert tokens(rolling, "deleted") == ({minute(otlp, 2): 10},) * 2
        rolled_up(rolling)
    assert tokens(rolling, "deleted") == ({minute(otlp, 2): 10},) * 2
    assert rolling.value("SELECT groupArray(at) FROM rollups WHERE level = 'minute' AND service = 'deleted'") == [
        minute(otlp, 2) // 60_000_000_000
    ]


def test_an_answer_is_right_while_minutes_are_written_and_when_that_is_broken_off(
    rolling: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(rolling, otlp, [otlp.span(1, 1005, 0, USED, **at(otlp, 0))], **{"service.name": "killed"})
    rolled_up(rolling)
    insert(rolling, otlp, [otlp.span(2, 1005, 0, USED, **at(otlp, 1))], **{"service.name": "killed"})
    settled(rolling)
    command = rolling.command

    def break_off(sql: str, parameters: Any = None) -> None:
        if "arrayJoin" in sql and "rollup_minutes" in sql:
            raise KeyboardInterrupt
        command(sql, parameters)

    monkeypatch.setattr(rolling, "command", break_off)
    with pytest.raises(KeyboardInterrupt):
        rollups.roll(rolling)
    monkeypatch.undo()
    assert (
        rolling.value("SELECT count() FROM rollups WHERE level = 'minute' AND service = 'killed'") > 1
    )  # the rows are there, and do not count
    for _ in range(2):
        assert tokens(rolling, "killed") == ({minute(otlp, 1): 20},) * 2
        rolled_up(rolling)


def test_a_price_that_is_known_later_or_changes_counts_at_once(rolling: Store, otlp: Any) -> None:
    calls = [
        otlp.span(n, 1006, 0, CALL | {"gen_ai.request.model": "new", "gen_ai.usage.input_tokens": n * 100_000}, **at(otlp, 60 * n))
        for n in (1, 2, 3)
    ]
    insert(rolling, otlp, calls, **{"service.name": "dear"})
    rolled_up(rolling)

    def cost() -> Any:
        [row] = aggregate(rolling, "service:dear").rows
        return row.cost_usd

    assert cost() is None
    own = rolling.data_dir / "prices.toml"
    try:
        for price, usd in (
            ("input = 1", 0.6),
            ("input = 2", 1.2),
            ("input = 1\ntiers = [{above = 200000, input = 10, output = 0}]", 3.3),  # one of TIERS: from rollups
            ("input = 1\ntiers = [{above = 150000, input = 10, output = 0}]", 5.1),  # none of them: from spans
        ):
            own.write_text(f'{PRICES}[[price]]\nmodel = "new"\noutput = 0\n{price}\n')
            refresh_prices(rolling)
            assert cost() == pytest.approx(usd)
            assert from_spans(cost) == pytest.approx(usd)
    finally:
        own.write_text(PRICES)
        refresh_prices(rolling)


def test_percentiles_are_within_one_percent_of_their_place(rolling: Store, otlp: Any) -> None:
    chance = random.Random(1)
    durations = [int(chance.lognormvariate(18, 2)) for _ in range(6000)]
    spans = [
        otlp.span(1, 2000 + n, 0, **at(otlp, n % 600) | {"endTimeUnixNano": str(minute(otlp, 1) + n % 600 * otlp.SECOND + duration)})
        for n, duration in enumerate(durations)
    ]
    insert(rolling, otlp, spans, **{"service.name": "timed"})
    rolled_up(rolling)
    durations.sort()
    [found] = aggregate(rolling, "service:timed").rows
    for level, value in ((0.5, found.p50_ns), (0.95, found.p95_ns), (0.99, found.p99_ns)):
        assert value is not None
        assert bisect(durations, value) / len(durations) == pytest.approx(level, abs=0.01)


def test_completion_counts_what_is_rolled_up_however_old(rolling: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "RECENT", 1)
    spans = [otlp.span(n + 1, 3000, 0, TOOL | {"gen_ai.tool.name": f"drill-{n % 2}"}, **at(otlp, 60 * n)) for n in range(5)]
    insert(rolling, otlp, spans, **{"service.name": "workshop"})
    rolled_up(rolling)
    assert completion.values(rolling, "tool", "DRILL").suggestions == [Suggestion("drill-0", 3), Suggestion("drill-1", 2)]
    assert completion.values(rolling, "service", "works", of="runs").suggestions == [Suggestion("workshop", 5)]


@pytest.mark.parametrize("wrong", ["start:>yesteryear", "since:1x", "status:bad", "nothing:5", "agent:>5"])
def test_what_cannot_be_asked_is_refused_as_it_is_of_spans(rolling: Store, wrong: str) -> None:
    with pytest.raises(FilterError) as of_spans:
        from_spans(lambda: aggregate(rolling, wrong))
    for ask in (aggregate, profiles, lambda store, text: costs.costs(store, where=text)):
        with pytest.raises(FilterError, match=re.escape(str(of_spans.value))):
            ask(rolling, wrong)


def test_hours_between_stale_minutes_that_are_read_as_one_stretch_count_once(
    rolling: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [otlp.span(n, 1007, 0, USED, **at(otlp, 3600 * n)) for n in range(1, 6)]
    insert(rolling, otlp, spans, **{"service.name": "gappy"})
    rolled_up(rolling)
    insert(rolling, otlp, [otlp.span(10 + n, 1007, 0, USED, **at(otlp, 3600 * n)) for n in (1, 5)], **{"service.name": "gappy"})
    settled(rolling)
    ranges = rollups.ranges

    def few(numbers: Any) -> Any:
        return ranges(numbers, most=1 if max(numbers, default=0) > 10_000_000 else 100)  # of minutes, not of hours

    monkeypatch.setattr(rollups, "ranges", few)

    def found() -> Any:
        return [row.spans for row in aggregate(rolling, "service:gappy", bucket="1h").rows]

    assert found() == from_spans(found) == [2, 1, 1, 1, 2]
    rolled_up(rolling)


def test_what_is_left_of_a_stretch() -> None:
    whole = rollups.Range(10, 20)
    assert whole.without([]) == [whole]
    assert whole.without([rollups.Range(0, 9), rollups.Range(12, 13), rollups.Range(14, 14), rollups.Range(18, 30)]) == [(10, 11), (15, 17)]
    assert whole.without([rollups.Range(10, 20)]) == []


def test_stretches_of_minutes_are_few_and_hold_them_all() -> None:
    assert rollups.ranges([]) == []
    assert rollups.ranges([5, 3, 4, 9]) == [(3, 5), (9, 9)]
    assert rollups.ranges([1, 3, 10, 11, 30], most=2) == [(1, 11), (30, 30)]
    many = random.Random(2).sample(range(10_000), 3000)
    few = rollups.ranges(many, most=10)
    assert len(few) <= 10
    assert all(any(first <= one <= last for first, last in few) for one in many)


# --- real traces -------------------------------------------------------------------------------------------------------------------------


def test_real_traces_in_pieces_twice_and_in_any_order_are_the_same_in_rollups_and_spans(
    rolling: Store, otlp: Any, shared_data: Any
) -> None:
    chance = random.Random(7)
    files = ("trail/gaia.traces.otlp.jsonl.xz", "trail/swe_bench.traces.otlp.jsonl.xz")
    lines = [line for name in files for line in lzma.decompress(shared_data(name).read_bytes()).splitlines(keepends=True)]
    for _ in range(2):
        chance.shuffle(lines)
        for start in range(0, len(lines), len(lines) // 4 + 1):
            otlp.take(rolling, b"".join(lines[start : start + len(lines) // 4 + 1]))
    services = [name for (name,) in rolling.query("SELECT DISTINCT service FROM spans WHERE resource['pat.account.id'] != ''").result_rows]
    of = f"service:({','.join(services)})"
    rolled_up(rolling)
    total = costs.costs(rolling, where=of).total
    assert (total.calls, total.calls_with_usage, total.input_tokens, total.output_tokens) == (480, 477, 3_506_118, 402_372)
    assert total.partial_cost_usd == pytest.approx(9.1855368, abs=1e-6)
    for ask in (
        lambda: sorted_costs(costs.costs(rolling, where=of)),
        lambda: sorted_costs(costs.costs(rolling, by="agent", where=of)),
        lambda: sorted_costs(costs.costs(rolling, by="day", where=of)),
        lambda: sorted_rows(aggregate(rolling, of, by="kind")),
        lambda: sorted_rows(aggregate(rolling, of, by="name", bucket="1h", limit=200)),
        lambda: sorted_rows(aggregate(rolling, f"{of} status:error", by="error")),
        lambda: profiles(rolling, of, limit=500),
    ):
        alike(ask(), from_spans(ask))

"""Failures as groups: what is alike, where each began, what is new, and what sets one apart."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "lark")


def failed(otlp: Any, number: int, message: str, *, trace: int = 1, parent: int = 0, at: float | None = None, **fields: Any) -> Any:
    """A failed span; ``at`` is its start in seconds after START, ``type`` its class of error, ``stack`` that of an exception event."""
    attributes = {"clew.span.kind": "tool", **fields.pop("attributes", {})}
    if kind := fields.pop("type", None):
        attributes["error.type"] = kind
    made: dict[str, Any] = otlp.span(number, trace, parent, attributes=attributes, name="fetch", status={"code": 2, "message": message})
    if at is not None:
        start = otlp.START + int(at * otlp.SECOND)
        made |= {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + otlp.SECOND)}
    if stack := fields.pop("stack", None):
        said = {"exception.type": "module.BadThing", "exception.message": "it is bad", "exception.stacktrace": stack}
        made["events"] = [{"timeUnixNano": made["endTimeUnixNano"], "name": "exception", "attributes": otlp.attributes(said)}]
    return made | fields


def take(store: Any, otlp: Any, *spans: Any) -> None:
    from clew.observe.store import settle

    otlp.take(store, otlp.lines(otlp.traces(*spans)))
    settle.settle(store)


def errors(store: Any, text: str = "", **more: Any) -> Any:
    from clew.observe.query.errors import groups

    return groups.errors(store, text, **more)


def detail(store: Any, fingerprint: str, text: str = "", **more: Any) -> Any:
    from clew.observe.query.errors.detail import detail

    return detail(store, fingerprint, text, **more)


SAME = (
    ("429 after 3 attempts", "429 after 17 attempts", "# after # attempts"),
    ("no user 4f9a-11 in shop", "no user 77e2-b0 in shop", "no user # in shop"),
    ("call_a1B2c3 was not answered", "call_Zz9y8 was not answered", "# was not answered"),
    ("object at 0x7f3a11 is closed", "object at 0xdeadbeef is closed", "object at # is closed"),
    ("commit deadbeefcafe is gone", "commit 0123456789ab is gone", "commit # is gone"),
    ("cannot open /srv/a/b.txt", "cannot open ~/c/d/e.txt", "cannot open #"),
    ("cannot open src/till/split.py", "cannot open tests/test_split.py", "cannot open #"),
    (r"cannot open C:\work\a.txt", r"cannot open D:\b.txt", "cannot open #"),
    ("GET https://a.example/x?y=1 failed", "GET http://b.example:8080/ failed", "GET # failed"),
    ("no key 'alpha'", 'no key "beta gamma"', "no key #"),
    ("took 1.5s at 12:30:01", "took 20s at 2026-01-31T15:30:05.25", "took # at #"),
    ("mail to ada@example.org bounced", "mail to bob.b@mail.example bounced", "mail to # bounced"),
    ("lines 1, 2, 3 differ", "lines 4, 5 differ", "lines # differ"),
    ("two\n  lines", "two lines", "two lines"),
    ("ValueError: bad amount 3", "bad amount 4", "bad amount #"),
    ("it isn't there and can't be", "it isn't there and can't be", "it isn't there and can't be"),
)


def test_failures_that_differ_in_numbers_ids_paths_and_quoted_values_are_one_error(store: Any, otlp: Any) -> None:
    spans = [
        failed(otlp, 2 * row + which, text, trace=row + 1, type="shop.ValueError", attributes={"gen_ai.tool.name": f"tool-{row}"})
        for row, texts in enumerate(SAME)
        for which, text in enumerate(texts[:2], 1)
    ]
    take(store, otlp, *spans)
    found = errors(store, limit=100).errors
    assert sorted((error.place, error.message, error.count) for error in found) == sorted(
        (f"tool-{row}", pattern, 2) for row, (_, _, pattern) in enumerate(SAME)
    )
    assert {error.type for error in found} == {"ValueError"}


def test_failures_that_differ_in_class_message_kind_or_place_are_several_errors(store: Any, otlp: Any) -> None:
    tool = {"gen_ai.tool.name": "search"}
    take(
        store,
        otlp,
        failed(otlp, 1, "no", type="A", attributes=tool),
        failed(otlp, 2, "no", type="B", attributes=tool),
        failed(otlp, 3, "yes", type="A", attributes=tool),
        failed(otlp, 4, "no", type="A"),
        failed(otlp, 5, "no", type="A", attributes={"clew.span.kind": "git"}),
        failed(otlp, 6, "no", type="A", attributes=tool | {"gen_ai.agent.name": "coder"}),  # who met it does not count
    )
    found = errors(store)
    assert (found.groups, found.count, found.runs) == (5, 6, 1)
    assert (found.errors[0].count, found.errors[0].agents) == (2, ["coder"])


def test_a_call_of_a_model_is_one_error_whatever_its_model(store: Any, otlp: Any) -> None:
    def call(number: int, model: str) -> Any:
        attributes = {"clew.span.kind": "llm", "gen_ai.request.model": model}
        return failed(otlp, number, "slow down", type="rate_limit", attributes=attributes, name=f"chat {model}")

    take(store, otlp, call(1, "gpt-4o"), call(2, "claude-sonnet-4"))
    [error] = errors(store).errors
    assert (error.type, error.place, error.count, error.models) == ("rate_limit", "", 2, ["claude-sonnet-4", "gpt-4o"])


def test_a_failure_that_travelled_up_is_counted_where_it_began(store: Any, otlp: Any) -> None:
    agent = {"clew.span.kind": "agent", "gen_ai.agent.name": "coder"}
    take(
        store,
        otlp,
        failed(otlp, 1, "the run failed: step 7: ToolError: the disk /dev/sda is full"),
        failed(otlp, 2, "", parent=1, attributes=agent),
        failed(otlp, 3, "the disk /dev/sda is full", parent=2, type="ToolError"),
    )
    [error] = errors(store).errors
    assert (error.message, error.count, error.agents) == ("the disk # is full", 1, ["coder"])
    assert error.sample.span_id == otlp.span_id(3)


def test_what_is_known_of_a_failure_follows_its_trace(store: Any, otlp: Any) -> None:
    """It is kept as the settler finds it, and found again with each span that arrives, late or corrected."""
    from clew.observe.store.deletion import delete

    def began() -> list[tuple[str, str]]:
        found = errors(store).errors
        return [(error.sample.span_id, agent) for error in found for agent in error.agents or [""]]

    call = failed(otlp, 2, "no answer in time", parent=1, at=1)
    take(store, otlp, failed(otlp, 1, "TimeoutError: no answer in time", attributes={"clew.span.kind": "agent"}, name="planner", at=0))
    assert began() == [(otlp.span_id(1), "planner")]
    take(store, otlp, call)  # what it was about arrives an hour later
    assert began() == [(otlp.span_id(2), "planner")]
    take(store, otlp, call | {"name": "search", "startTimeUnixNano": str(otlp.START + 5 * otlp.SECOND)})  # corrected, with another start
    assert began() == [(otlp.span_id(2), "planner")]
    assert (errors(store).count, errors(store).errors[0].place) == (1, "search")
    take(store, otlp, call | {"status": {"code": 1}})
    assert began() == [(otlp.span_id(1), "planner")]
    delete(store, [otlp.trace_id(1)])
    assert (errors(store).errors, store.value("SELECT count() FROM failures FINAL WHERE held")) == ([], 0)


def test_each_attempt_began_anew_and_what_says_something_else_is_a_failure_of_its_own(store: Any, otlp: Any) -> None:
    take(
        store,
        otlp,
        failed(otlp, 1, "gave up on the whole plan", attributes={"clew.span.kind": "agent"}),
        *(failed(otlp, number, f"timed out after {number} s", parent=1) for number in (2, 3, 4)),
    )
    assert [(error.message, error.count) for error in errors(store).errors] == [
        ("timed out after # s", 3),
        ("gave up on the whole plan", 1),
    ]


def test_an_exception_says_what_a_span_without_a_message_does_not(store: Any, otlp: Any) -> None:
    take(store, otlp, failed(otlp, 1, "", stack="Traceback\nBadThing: it is bad"))
    [error] = errors(store).errors
    assert (error.type, error.message) == ("BadThing", "it is bad")
    found = detail(store, error.fingerprint)
    assert (found.stack.text, found.stack.span_id) == ("Traceback\nBadThing: it is bad", otlp.span_id(1))


HOUR = 3600.0
PERIOD = "start:2025-10-09T10:53:20..2025-10-09T11:53:19"
"""The third hour from START on."""


def test_errors_are_new_ongoing_regressed_or_gone_beside_the_period_before(store: Any, otlp: Any) -> None:
    hours = {"always": (0, 1, 2, 2), "back again": (0, 2), "first time": (2,), "was there": (1, 1), "long ago": (0,), "too late": (3,)}
    take(
        store,
        otlp,
        *(
            failed(otlp, number, text, trace=number, at=hour * HOUR + number)
            for number, (text, hour) in enumerate(((text, hour) for text, hours_ in hours.items() for hour in hours_), 1)
        ),
    )
    found = errors(store, PERIOD)
    assert {error.message: (error.state, error.count, error.before) for error in found.errors} == {
        "always": ("ongoing", 2, 1),
        "back again": ("regressed", 1, 0),
        "first time": ("new", 1, 0),
        "was there": ("gone", 0, 2),
    }
    assert (found.new, found.regressed, found.gone, found.groups, found.count, found.runs) == (1, 1, 1, 3, 4, 4)
    assert [error.message for error in errors(store, PERIOD, order="state").errors] == ["first time", "back again", "always", "was there"]
    assert errors(store, PERIOD, order="first").errors[0].message == "first time"
    gone = errors(store, PERIOD, state="gone", limit=1)
    assert ([error.message for error in gone.errors], gone.more, gone.new) == (["was there"], False, 1)
    [always] = [error for error in found.errors if error.message == "always"]
    assert always.first_ns == otlp.START + otlp.SECOND
    assert (sum(always.counts), sum(found.counts), found.first_ns % found.bucket_ns) == (2, 4, 0)
    assert errors(store).errors[0].state is None  # of the last day nothing is there


def test_what_was_not_looked_at_is_said_and_no_state_is_told_from_it(store: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.observe.query.errors import groups

    take(store, otlp, *(failed(otlp, number, "no", trace=number, at=number) for number in range(1, 6)))
    monkeypatch.setattr(groups, "LOOKED_AT", 3)
    found = errors(store, "since:2025-01-01")
    assert (found.count, found.looked_at, found.since_ns) == (3, 3, otlp.START + 3 * otlp.SECOND)
    assert found.errors[0].state is None


def test_what_was_before_the_period_before_is_looked_at_only_where_there_is_little(
    store: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clew.observe.query.errors import groups

    take(store, otlp, *(failed(otlp, number, "no", trace=number, at=day * 86_400) for number, day in ((1, 0), (2, 5), (3, 8), (4, 9))))
    since = "start:" + "..".join(
        datetime.fromtimestamp(otlp.START // otlp.SECOND + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for seconds in (int(8.5 * 86_400), 10 * 86_400)
    )
    assert (errors(store, since).looked_at, errors(store, since).since_ns) == (4, None)
    monkeypatch.setattr(groups, "FOR_HISTORY", 1)
    found = errors(store, since)
    assert (found.count, found.looked_at, found.errors[0].before, found.errors[0].state) == (1, 2, 1, "ongoing")
    assert otlp.START < found.since_ns <= otlp.START + 8 * 86_400 * otlp.SECOND


def test_a_filter_is_of_the_span_where_a_failure_began(store: Any, otlp: Any) -> None:
    take(
        store,
        otlp,
        failed(otlp, 1, "it broke", attributes={"clew.span.kind": "agent", "gen_ai.agent.name": "coder"}),
        failed(otlp, 2, "it broke", parent=1, attributes={"gen_ai.tool.name": "search"}),
        otlp.span(3, 1, 1),
    )
    assert [error.kind for error in errors(store, "agent:coder").errors] == ["tool"]
    assert errors(store, "kind:agent").errors == []
    assert errors(store, "kind:agent").counts == []


def test_a_filter_says_the_same_of_what_is_kept_as_of_the_spans(store: Any, otlp: Any) -> None:
    from clew.observe.query.errors.groups import _FIELDS

    who = {"clew.span.kind": "agent", "gen_ai.agent.name": "coder"}
    tool = {"gen_ai.tool.name": "search", "enduser.id": "ada"}
    call = {"clew.span.kind": "llm", "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024"}
    spans = [otlp.span(1, 1, attributes=who), failed(otlp, 2, "no 1", parent=1, attributes=tool, type="shop.TillError", name="step")]
    spans += [failed(otlp, 3, "no answer", trace=2, attributes=call), failed(otlp, 4, "it fell", trace=3, at=7, endTimeUnixNano="0")]
    take(store, otlp, *spans)
    values = {
        "kind": "tool",
        "name": "step",
        "service": "*",
        "agent": "coder",
        "model": "gpt-4o-2024",
        "tool": "search",
        "user": "ada",
        "error": "shop.TillError",
        "fingerprint": errors(store).errors[0].fingerprint,
        "run": otlp.trace_id(3),
        "span": otlp.span_id(3),
        "duration": ">0",
    }
    assert values.keys() == _FIELDS.keys()
    for field, value in values.items():
        for text in (f"{field}:{value}", f"-{field}:{value}", f"{field}:*" if field != "duration" else "duration:<1h"):
            kept, asked = ([one.fingerprint for one in errors(store, more).errors] for more in (text, f"{text} status:error"))
            assert kept == asked, text
        assert len(errors(store, f"{field}:{value}").errors) in ((3,) if field == "service" else (1, 2)), field


def test_a_fingerprint_finds_spans_and_runs(store: Any, otlp: Any) -> None:
    from clew.observe.query import runs, search

    take(store, otlp, failed(otlp, 1, "no 1"), failed(otlp, 2, "no 2", trace=2), failed(otlp, 3, "other", trace=3), otlp.span(4, 4))
    [first] = [error.fingerprint for error in errors(store).errors if error.message == "no #"]
    assert {hit.span_id for hit in search.search(store, f"fingerprint:{first}").hits} == {otlp.span_id(1), otlp.span_id(2)}
    assert {run.run_id for run in runs.page(store, f"fingerprint:{first[:6]}*").runs} == {otlp.trace_id(1), otlp.trace_id(2)}
    assert [error.message for error in errors(store, f"-fingerprint:{first}").errors] == ["other"]


def test_the_failures_of_an_error_come_in_pages_newest_first(store: Any, otlp: Any) -> None:
    from clew.errors import AmbiguousId, NotFound

    take(store, otlp, *(failed(otlp, number, f"no {number}", trace=number) for number in range(1, 6)), failed(otlp, 9, "yes", trace=9))
    fingerprint = next(error.fingerprint for error in errors(store).errors if error.message == "no #")
    seen, after = [], None
    while True:
        page = detail(store, fingerprint[:8], limit=2, after=after)
        seen += [failure.message for failure in page.failures]
        assert (page.apart is None) == (after is not None)
        if not page.more:
            break
        after = page.next
    assert seen == ["no 5", "no 4", "no 3", "no 2", "no 1"]
    with pytest.raises(NotFound, match="clew errors"):
        detail(store, "zzz")
    with pytest.raises(NotFound):
        detail(store, "")
    take(store, otlp, *(failed(otlp, number, "no", type="E" + "x" * number) for number in range(10, 28)))

    def by_their_first_digit() -> None:
        for digit in "0123456789abcdef":
            with suppress(NotFound):
                detail(store, digit)

    with pytest.raises(AmbiguousId, match="give more of the fingerprint"):  # of twenty, two begin alike
        by_their_first_digit()


def test_what_sets_failures_apart_is_told_beside_spans_of_the_same_tool(store: Any, otlp: Any) -> None:
    def search(number: int, region: str) -> Any:
        attributes = {"clew.span.kind": "tool", "gen_ai.tool.name": "search", "region": region, "retries": 1}
        return otlp.span(number, number, attributes=attributes)

    def broken(number: int) -> Any:
        attributes = {"gen_ai.tool.name": "search", "region": "north", "retries": 1}
        slow = str(otlp.START + (number + 60) * otlp.SECOND)
        return failed(otlp, number, "no route", trace=number, type="RouteError", attributes=attributes, endTimeUnixNano=slow)

    take(
        store,
        otlp,
        *(search(number, "north" if number % 10 == 0 else "south") for number in range(1, 41)),
        *(broken(number) for number in range(50, 54)),
    )
    [error] = errors(store).errors
    apart = detail(store, error.fingerprint).apart
    assert (apart.against, apart.failures, apart.rest) == ("place", 4, 40)
    assert [(one.field, one.value, one.failures, one.rest) for one in apart.values] == [("@region", "north", 4, 4)]
    assert [(one.field, one.failures, one.rest) for one in apart.numbers] == [("duration", 60e9, 1e9)]
    few = detail(store, error.fingerprint, f"run:{otlp.trace_id(50)}").apart
    assert (few.failures, few.values) == (1, [])

"""The tree of a run, as it is written."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from typing import Any

import pytest

from clew.cli import show, transcript, waterfall
from clew.cli.terminal import Page, cell_width
from clew.cli.tree import lines, message
from clew.observe.query.runs import Run
from clew.observe.query.traces import Event, Span, Trace

S = 1_000_000_000
START = 1_700_000_000 * S


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def span(number: int, depth: int, kind: str, name: str, **fields: Any) -> Span:
    """A span that starts ``at`` seconds after the run and takes ``took``."""
    at, took = fields.pop("at", 0.0), fields.pop("took", 1.0)
    values: dict[str, Any] = {
        "span_id": f"{number:08x}" + "0" * 8,
        "parent_span_id": "",
        "status": "unset",
        "state": "ended",
        "status_message": "",
        "agent": "",
        "model": "",
        "tool": "",
        "is_model_call": kind == "llm",
        "input_tokens": None,
        "output_tokens": None,
        "cache_read_tokens": None,
        "reasoning_tokens": None,
        "cost_usd": None,
        "cost_source": "",
        "events": [],
        "attributes": {},
        "content_keys": [],
    }
    values |= fields
    duration = None if took is None else int(took * S)
    return Span(depth=depth, kind=kind, name=name, start_ns=START + int(at * S), duration_ns=duration, **values)


def run(**fields: Any) -> Run:
    values: dict[str, Any] = {
        "run_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "name": "fix issue 12",
        "service": "demo",
        "status": "unset",
        "state": "ended",
        "start_ns": START,
        "duration_ns": 10 * S,
        "spans": 8,
        "errors": 0,
        "agents": ["planner"],
        "models": ["gpt-4o", "x-1"],
        "model_calls": 2,
        "calls_with_usage": 2,
        "input_tokens": 2048,
        "output_tokens": 70,
        "cost_usd": None,
        "partial_cost_usd": 0.0123,
        "unpriced_models": ["x-1"],
        "session_id": "s1",
        "error": "",
    }
    return Run(**values | fields)


def written(trace: Trace, width: int | None = None, *, everything: bool = False, colour: bool = False) -> list[str]:
    file = io.StringIO()
    show.write(Page(file, width=width, colour=colour), trace, now_ns=START + 130 * S, everything=everything)
    return file.getvalue().splitlines()


FAILED = Trace(
    run(status="error", errors=2),
    [
        span(1, 0, "workflow", "fix issue 12", took=10, status="error", status_message="tests failed:\n  test_a"),
        span(2, 1, "agent", "planner", took=6, agent="planner"),
        span(
            3, 2, "llm", "chat gpt-4o", took=2, model="gpt-4o", input_tokens=1024, output_tokens=35, cost_usd=0.0123, cost_source="computed"
        ),
        span(4, 2, "llm", "chat", at=2, took=2, model="x-1", input_tokens=1024, output_tokens=35, cost_source="unpriced"),
        *(span(10 + i, 2, "tool", "search", at=4 + i * 0.01, took=0.01) for i in range(37)),
        span(
            60,
            1,
            "tool",
            "run_tests",
            at=7,
            took=3,
            status="error",
            status_message="tests failed:\n  test_a",
            events=[Event(START, "exception", {"exception.type": "subprocess.CalledProcessError", "exception.message": "exit 1"})],
        ),
        span(61, 1, "git", "commit \x1b[31m[red]", at=9.9, took=None, state="lost"),
    ],
    0,
)


def test_a_failed_run_in_a_pipe() -> None:
    assert written(FAILED) == [
        "fix issue 12 failed after 10.0 s, 2 spans with an error",
        "2023-11-14 22:13:20 · 2 minutes ago · demo · 8 spans · 2 model calls · 2,048 → 70 tokens · ≥ $0.0123 · gpt-4o, x-1",
        "run 4bf92f3577b34da6a3ce929d0e0e4736 · session s1",
        "",
        "kind       name                                              span      duration      tokens     cost  status",
        "workflow   fix issue 12            ========================  00000001    10.0 s                       error",
        "             tests failed:",
        "               test_a",
        "agent        planner               ===============           00000002    6.00 s",
        "llm            chat gpt-4o         =====                     00000003    2.00 s  1,024 → 35  $0.0123",
        "llm            chat · x-1              ======                00000004    2.00 s  1,024 → 35        –",
        "tool           search ×37                   ==                           370 ms",
        "tool         run_tests                             ========  0000003c    3.00 s                       error",
        "               tests failed:",
        "                 test_a",
        "               CalledProcessError: exit 1",
        r"git          commit \x1b[31m[red]                         -  0000003d         –                       lost",
        "",
        "1 model call has no price: x-1; give one in prices.toml in the data directory",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_on_a_terminal_the_tree_fits_its_width(width: int) -> None:
    tree = [line for line in written(FAILED, width) if line.startswith(("workflow", "agent", "llm", "tool", "git", "kind"))]
    assert len(tree) == 8
    assert max(cell_width(line) for line in tree) <= max(width, 84)


def test_colour_marks_kind_and_error() -> None:
    text = "\n".join(written(FAILED, 120, colour=True))
    assert "\x1b[38;5;32mllm\x1b[0m" in text
    assert "\x1b[1;31merror\x1b[0m" in text
    assert "\x1b[31m[red]" not in text


def test_all_shows_every_repeat() -> None:
    assert sum("search" in line for line in written(FAILED, everything=True)) == 37


def test_a_message_that_a_span_only_passes_on_is_told_once() -> None:
    passed_on = [
        span(1, 0, "agent", "a", status="error", status_message="boom"),
        span(2, 1, "node", "b", status="error", status_message="boom"),
        span(3, 2, "tool", "c", status="error", status_message="boom"),
        span(4, 0, "tool", "d", status="error", status_message="boom"),
    ]
    assert [line.message for line in lines(passed_on)] == ["", "", "boom", "boom"]


def test_an_exception_is_named_before_its_message() -> None:
    raised = Event(START, "exception", {"exception.type": "app.QuotaError", "exception.message": "no more"})
    cases = [("no more", [raised]), ("", [raised]), ("call failed: no more", [raised]), ("call failed", [raised]), ("call failed", [])]
    spans = [span(i, 0, "tool", "t", status="error", status_message=text, events=events) for i, (text, events) in enumerate(cases)]
    assert [message(found) for found in spans] == [
        "QuotaError: no more",
        "QuotaError: no more",
        "call failed: no more",
        "call failed\nQuotaError: no more",
        "call failed",
    ]


def test_a_message_is_passed_on_with_whatever_is_put_before_it() -> None:
    def failed(number: int, depth: int, kind: str, text: str) -> Span:
        return span(number, depth, kind, kind, status="error", status_message=text)

    tree = [
        failed(0, 0, "workflow", "NodeFailed: node tests failed: 2 of 9 tests failed"),
        failed(1, 1, "node", "CommandFailed: 2 of 9 tests failed"),
        failed(2, 2, "execution", "2 of 9 tests failed"),
        failed(3, 1, "node", "another"),
        failed(4, 2, "execution", "2 of 9 tests failed"),
    ]
    assert [line.message for line in lines(tree)] == ["", "", "2 of 9 tests failed", "another", "2 of 9 tests failed"]


def test_repeated_subtrees_show_the_first_and_add_up_the_rest() -> None:
    tree = [span(0, 0, "workflow", "w", took=9)]
    for i in range(5):
        tree.append(span(10 * i + 1, 1, "node", "step", at=i, took=1))
        tree.append(
            span(
                10 * i + 2,
                2,
                "llm",
                "chat",
                at=i,
                took=1,
                model="m",
                input_tokens=10,
                output_tokens=1,
                cost_usd=0.5,
                cost_source="computed",
            )
        )
    found = [(line.span.name, line.times, line.more, len(line.spans)) for line in lines(tree)]
    assert found == [("w", 1, False, 1), ("step", 1, False, 1), ("chat", 1, False, 1), ("step", 4, True, 8)]
    last = written(Trace(run(), tree, 0))[-1]
    assert last.split() == ["node", "step", "×4", "more", "=" * 12, "4.00", "s", "40", "→", "4", "$2.0000"]


def test_nothing_that_failed_or_still_runs_is_collapsed() -> None:
    tree = [span(i, 0, "tool", "t", status="error" if i == 5 else "unset", state="running" if i == 11 else "ended") for i in range(16)]
    assert [(line.times, line.span.status, line.span.state) for line in lines(tree)] == [
        (5, "unset", "ended"),
        (1, "error", "ended"),
        (5, "unset", "ended"),
        (1, "unset", "running"),
        (4, "unset", "ended"),
    ]


def test_a_tree_of_5000_levels_is_written() -> None:
    deep = [span(i, i, "node", f"level {i}") for i in range(5000)]
    text = written(Trace(run(spans=5000), deep, 0), 120, everything=True)
    assert any("(4,999) level 4999" in line for line in text)
    assert max(cell_width(line) for line in text[4:]) <= 120


def test_a_tree_of_50000_spans_is_cut_and_says_so_with_the_errors_in_what_is_cut() -> None:
    wide = [span(0, 0, "workflow", "w")]
    wide += [
        span(i, 1, "tool", f"t{i}", status="error" if i == 49_999 else "unset", status_message="at the end" if i == 49_999 else "")
        for i in range(1, 50_000)
    ]
    text = written(Trace(run(spans=50_000), wide, 0))
    assert text[-3:] == [
        "",
        "49,000 more spans of 50,000, 1 of them with an error; --all shows them",
        "  0000c34f00000000 tool t49999: at the end",
    ] or text[-5:-2] == [
        "",
        "49,000 more spans of 50,000, 1 of them with an error; --all shows them",
        "  0000c34f00000000 tool t49999: at the end",
    ]
    assert len(text) < waterfall.MOST_LINES + 20
    assert len(written(Trace(run(spans=50_000), wide, 0), everything=True)) > 50_000


def test_a_run_that_runs_says_since_when() -> None:
    running = Trace(
        run(state="running", duration_ns=None, model_calls=0, models=[], session_id=""),
        [span(1, 0, "workflow", "w", took=None, state="running")],
        1,
    )
    assert written(running) == [
        "fix issue 12 running for 2 min 10 s",
        "2023-11-14 22:13:20 · 2 minutes ago · demo · 8 spans",
        "run 4bf92f3577b34da6a3ce929d0e0e4736",
        "",
        "kind       name                            span      duration  tokens  cost  status",
        "workflow   w     ------------------------  00000001         –                running",
        "",
        "1 span names a parent that is not in the store",
    ]


def test_messages_of_earlier_calls_are_folded() -> None:
    calls = [span(i, 0, "llm", "chat", model="m", input_tokens=1, output_tokens=1, cost_usd=0.0, cost_source="cached") for i in (1, 2)]
    first = {"llm.input_messages.0.message.content": "Be brief.", "llm.output_messages.0.message.content": "Yes.\x07"}
    second = first | {"llm.input_messages.1.message.content": "Yes.", "llm.input_messages.2.message.content": "More."}
    del second["llm.output_messages.0.message.content"]
    calls[0].attributes["llm.input_messages.0.message.role"] = calls[1].attributes["llm.input_messages.0.message.role"] = "system"
    file = io.StringIO()
    transcript.write(Page(file), [(calls[0], first), (calls[1], second)])
    assert file.getvalue().splitlines() == [
        "",
        "llm chat · m · 22:13:20.000 · 1.00 s · 1 → 1 tokens · $0.0000 cached · span 00000001",
        "  system",
        "    Be brief.",
        "  assistant",
        r"    Yes.\x07",
        "",
        "llm chat · m · 22:13:20.000 · 1.00 s · 1 → 1 tokens · $0.0000 cached · span 00000002",
        "  1 message as before; --all shows it again",
        "  user",
        "    Yes.",
        "  user",
        "    More.",
    ]

"""A decision in the tree says what was chosen, how sure, by whom and why."""

from __future__ import annotations

import io
from typing import Any

import pytest

from clew.cli import decisions, waterfall
from clew.cli.terminal import Page
from clew.observe.query.runs import Run
from clew.observe.query.traces import Span, Trace


def decision(number: int = 1, *, choice: str = "", confidence: str = "", by: str = "", **fields: Any) -> Span:
    given = {"clew.decision.choice": choice, "clew.decision.confidence": confidence, "clew.decision.by": by}
    values: dict[str, Any] = {
        "span_id": f"{number:016x}",
        "parent_span_id": "",
        "depth": 0,
        "kind": "decision",
        "name": "pick file",
        "status": "ok",
        "state": "ended",
        "status_message": "",
        "start_ns": number * 1000,
        "duration_ns": 1000,
        "agent": "",
        "model": "",
        "tool": "",
        "is_model_call": False,
        "input_tokens": None,
        "output_tokens": None,
        "cache_read_tokens": None,
        "reasoning_tokens": None,
        "cost_usd": None,
        "cost_source": "",
        "events": [],
        "attributes": {key: value for key, value in given.items() if value},
        "content_keys": [],
    }
    return Span(**values | fields)


@pytest.mark.parametrize(
    ("span", "reason", "lines"),
    [
        (
            decision(choice="a.py", confidence="0.9", by="planner"),
            "smaller\n  and older\n",
            ["→ a.py (confidence 0.90, by planner)", "  smaller", "    and older"],
        ),
        (decision(choice="a.py"), "", ["→ a.py"]),
        (decision(choice="a\x1b[2J\nb"), "\x1b]0;x", [r"→ a\x1b[2J b", r"  \x1b]0;x"]),
        (decision(confidence="rather sure"), "", ["nothing chosen (confidence rather sure)"]),
        (decision(), "no option fits", ["nothing chosen", "  no option fits"]),
        (decision(), "", ["nothing chosen"]),
        (decision(status="error"), "", []),
        (decision(state="running", duration_ns=None), "", []),
        (decision(kind="tool", choice="a.py"), "", []),
    ],
)
def test_what_is_said_below_a_decision(span: Span, reason: str, lines: list[str]) -> None:
    assert decisions.lines(span, reason) == lines


def test_only_equal_choices_are_one_line_and_that_line_gives_no_confidence() -> None:
    spans = [decision(number, choice="a.py" if number < 6 else "b.py", confidence=f"0.{number}") for number in range(1, 7)]
    run = Run("0" * 32, "r", "s", "ok", "ended", 0, 1, 6, 0, [], [], 0, 0, None, None, None, 0.0, [], "", "")
    file = io.StringIO()
    waterfall.write(Page(file), Trace(run, spans, 0), now_ns=10_000, reasons={spans[0].span_id: "first", spans[5].span_id: "last"})
    told = [line.split("  ")[0] if line.startswith("decision") else line.strip() for line in file.getvalue().splitlines()[1:]]
    assert told == ["decision", "→ a.py", "decision", "→ b.py (confidence 0.60)", "last"]
    assert "pick file ×5" in file.getvalue()

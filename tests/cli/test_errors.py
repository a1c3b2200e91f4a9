"""What ``clew errors`` writes."""

from __future__ import annotations

import io
from typing import Any

import pytest

from clew.cli import errors
from clew.cli.terminal import Page

pytestmark = pytest.mark.needs("msgspec")


def error(**fields: Any) -> Any:
    from clew.observe.query.errors.groups import Error, Sample

    values: dict[str, Any] = {
        "fingerprint": "0123456789abcdef",
        "type": "ToolError",
        "message": "disk # is full",
        "kind": "tool",
        "place": "save",
        "state": "new",
        "count": 4,
        "before": 0,
        "runs": 2,
        "users": 0,
        "agents": ["coder"],
        "models": [],
        "tools": ["save"],
        "services": ["program"],
        "first_ns": 0,
        "last_ns": 10**18,
        "counts": [0, 1, 3, 0],
        "sample": Sample("a" * 32, "b" * 16, "save", "disk 7 is full", 10**18),
    }
    return Error(**values | fields)


def listed(*found: Any, **fields: Any) -> str:
    from clew.observe.query.errors.groups import Errors, Period

    values: dict[str, Any] = {
        "errors": list(found),
        "more": False,
        "groups": len(found),
        "new": 1,
        "regressed": 0,
        "gone": 2,
        "count": 4,
        "runs": 2,
        "first_ns": 0,
        "bucket_ns": 1,
        "counts": [0, 1, 3, 0],
        "period": Period(0, 1),
        "before": Period(0, 1),
        "looked_at": 5,
        "since_ns": None,
    }
    out = io.StringIO()
    errors.write(Page(out), Errors(**values | fields))
    return out.getvalue()


def test_a_list_says_what_is_new_and_what_is_left_out() -> None:
    text = listed(error())
    assert "0123456789  new" in text
    assert "ToolError: disk # is full" in text
    assert "4 failures of 1 error in 2 runs: 1 new, 2 gone" in text
    assert "there are more" not in text
    assert "looked at" not in text
    cut = listed(error(), more=True, since_ns=0, looked_at=100_000)
    assert "there are more" in cut
    assert "The newest 100,000 failures were looked at" in cut


def test_recorded_text_cannot_steer_the_terminal() -> None:
    text = listed(error(type="\x1b[31mBad", message="\x07 \u202etxt.exe", place="\x1b]0;owned\x07"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_counts_over_time_are_a_line_of_bars() -> None:
    assert errors.spark([0, 1, 4, 8]) == " ▁▄█"
    assert errors.spark([0, 0]) == ""
    assert errors.spark([]) == ""


def test_one_error_says_what_sets_it_apart() -> None:
    from clew.observe.query.errors.apart import Apart, Number, Value
    from clew.observe.query.errors.detail import ErrorDetail, Failure, Stack

    failure = Failure("a" * 32, "b" * 16, "tool", "save", "coder", "", "save", "program", "", "disk 7 is full", 10**18, 5)
    apart = Apart("place", 4, 40, [Value("@region", "north", 4, 4)], [Number("duration", 60e9, 1e9)])
    stack = Stack("a" * 32, "b" * 16, "Traceback\n  at \x1b[2J", 40_000)
    out = io.StringIO()
    errors.write_one(Page(out), ErrorDetail(error(), 0, 1, [failure], True, "next", stack, apart))
    text = out.getvalue()
    assert "Apart from other spans of the same tool or name (40 looked at)" in text
    assert [line.split() for line in text.splitlines() if "@region" in line] == [["@region", "north", "100%", "10%"]]
    assert "duration" in text
    assert "1 min 00 s" in text
    assert "of 40,000 characters" in text
    assert "\x1b" not in text
    assert "The newest 1 of 4 failures" in text

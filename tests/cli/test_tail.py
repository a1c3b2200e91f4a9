"""clew tail reads the spool as it grows, and survives whatever the owner of the store does to it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cli import tail
from clew.cli.terminal import Page

S = 1_000_000_000


def line(name: str = "chat", *, end: int = 3 * S, span_id: str = "00f067aa0ba902b7", **more: Any) -> bytes:
    attributes = {
        "clew.span.kind": "llm",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": "1024",
        "gen_ai.usage.output_tokens": "35",
    }
    span = {
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": span_id,
        "name": name,
        "startTimeUnixNano": str(2 * S),
        "endTimeUnixNano": str(end),
        "attributes": [
            {"key": key, "value": {"intValue" if value.isdecimal() else "stringValue": value}} for key, value in attributes.items()
        ],
        **more,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "demo"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}).encode() + b"\n"


def text(data: bytes) -> list[str]:
    page = Page(io.StringIO())
    return [tail.text(page, span)[14:] for span in tail.spans(data)]


def test_a_span_is_one_line() -> None:
    assert text(line()) == ["demo              llm           1.00 s  chat · gpt-4o · 1,024 → 35 tokens"]
    assert text(line(end=0)) == ["demo              llm          running  chat · gpt-4o · 1,024 → 35 tokens"]
    failed = line("x\x1b[2J", status={"code": 2, "message": "quota\nexceeded"})
    assert text(failed) == [r"demo              llm           1.00 s  x\x1b[2J · gpt-4o · 1,024 → 35 tokens  error: quota …"]
    chosen = [
        {"key": key, "value": {"stringValue": value}} for key, value in (("clew.span.kind", "decision"), ("clew.decision.choice", "a.py"))
    ]
    assert text(line("pick file", attributes=chosen)) == ["demo              decision      1.00 s  pick file → a.py"]


def test_what_is_no_span_is_passed_over() -> None:
    for data in (
        b"{",
        b"[]",
        b"{}",
        b'{"resourceLogs":[{}]}',
        b'{"resourceSpans":{"a":1}}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[7]}]}]}',
        b"\xff",
    ):
        assert tail.spans(data) == []


@given(st.binary())
def test_any_bytes_are_survived(data: bytes) -> None:
    tail.spans(data)


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[tail.Follower]:
    with tail.Follower(tmp_path / "spool") as follower:
        yield follower


def test_only_whole_lines_are_read_and_each_once(tmp_path: Path, follower: tail.Follower) -> None:
    assert list(follower.read()) == []  # the directory comes later
    (tmp_path / "spool").mkdir()
    first, second = tmp_path / "spool" / "1.jsonl", tmp_path / "spool" / "2.jsonl"
    with first.open("ab", buffering=0) as file:
        file.write(b"one\ntw")
        assert list(follower.read()) == [b"one"]
        file.write(b"o\n")
        second.write_bytes(b"three\n")
        assert list(follower.read()) == [b"two", b"three"]
        assert list(follower.read()) == []


def test_a_deleted_file_is_read_to_its_end(tmp_path: Path, follower: tail.Follower) -> None:
    file = tmp_path / "spool" / "1.jsonl"
    file.parent.mkdir()
    file.write_bytes(b"one\n")
    assert list(follower.read()) == [b"one"]
    with file.open("ab") as more:
        more.write(b"two\n")
    file.unlink()
    assert list(follower.read()) == [b"two"]
    file.write_bytes(b"a new process\n")
    assert list(follower.read()) == [b"a new process"]


def test_of_a_long_file_only_the_end_is_looked_at(tmp_path: Path, follower: tail.Follower) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1.jsonl").write_bytes(b"".join(b"%07d\n" % i for i in range(100_000)))
    lines = list(follower.read(look_back=True))
    assert lines[-1] == b"0099999"
    assert len(lines) <= tail.LOOK_BACK_BYTES // 8
    assert {len(line) for line in lines} == {7}


def test_a_running_span_is_shown_once_and_again_when_it_ends() -> None:
    file = io.StringIO()
    page = Page(file)
    seen: set[str] = set()
    for data in (line(end=0), line(end=0), line(), line(span_id="1" * 16)):
        tail._write(page, tail.spans(data), seen)
    shown = file.getvalue().splitlines()
    assert ["running" in text for text in shown] == [True, False, False]

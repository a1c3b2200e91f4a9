"""A program that asks for it records what its process uses."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

import clew
from clew.testing import recording

pytestmark = pytest.mark.needs("psutil")


def points(lines: list[bytes]) -> list[tuple[str, dict[str, str]]]:
    return [
        (metric["name"], {pair["key"]: pair["value"]["stringValue"] for pair in point["attributes"]})
        for line in lines
        for resource in json.loads(line).get("resourceMetrics", ())
        for metric in resource["scopeMetrics"][0]["metrics"]
        for point in metric[next(kind for kind in ("gauge", "sum") if kind in metric)]["dataPoints"]
    ]


def test_a_process_records_what_it_uses_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording() as record, clew.task("quiet"):
        pass
    assert points(record.lines) == []
    with recording(resources=True, resources_s=30) as record:
        with clew.task("first"):
            pass
        record.flush()
        record.flush()  # not yet again
        names = [name for name, _ in points(record.lines)]
        assert names.count("process.memory.usage") == 1
        assert {"process.cpu.time", "process.thread.count", "process.uptime"} <= set(names)
        record.clock.advance(31)
        record.flush()
        assert [name for name, _ in points(record.lines)].count("process.memory.usage") == 2
        [modes] = {
            tuple(attributes.values())
            for name, attributes in points(record.lines)
            if name == "process.cpu.time" and attributes["cpu.mode"] == "user"
        }
        assert modes == ("user",)


def test_it_records_without_a_span_from_the_start_to_the_end(data_dir: Any) -> None:
    clew.init(resources=True, resources_s=3600)
    clew.shutdown()
    lines = [line for file in (data_dir / "spool").glob("*.jsonl") for line in file.read_bytes().splitlines()]
    [pid] = {
        pair["value"]["intValue"]
        for line in lines
        for resource in json.loads(line).get("resourceMetrics", ())
        for pair in resource["resource"]["attributes"]
        if pair["key"] == "process.pid"
    }
    assert pid == str(os.getpid())
    assert "process.memory.usage" in [name for name, _ in points(lines)]

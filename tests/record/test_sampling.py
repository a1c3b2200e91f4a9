"""Sampling is decided at the root, by every process alike; a trace that fails is kept whole."""

from __future__ import annotations

import random

import pytest

import clew
from clew.record import sampling
from clew.testing import recording


def test_a_share_of_the_traces_is_recorded_whole() -> None:
    with recording(sample=0.25, sample_errors=False) as record:
        clew.record.state.recorder.bits = random.Random(1).getrandbits
        for _ in range(1000):
            with clew.workflow("w"), clew.tool("t"):
                pass
    spans = record.spans
    assert 2 * 200 < len(spans) < 2 * 300
    assert len({span.trace_id for span in spans}) * 2 == len(spans)
    stats = record.stats()
    assert stats.emitted == 2000 == stats.written + stats.sampled_out


def test_the_decision_depends_on_the_trace_id_only() -> None:
    ids = [random.Random(2).getrandbits(128) for _ in range(100)]

    def chosen(share: float) -> set[int]:
        with recording(sample=share):
            return {trace_id for trace_id in ids if clew.record.state.recorder.sampling.chooses(trace_id)}

    assert chosen(0.0) == set()
    assert chosen(0.2) <= chosen(0.7) <= chosen(1.0) == set(ids)


def test_a_trace_that_fails_is_kept_whole() -> None:
    with recording(sample=0.0) as record:
        with clew.workflow("good"), clew.tool("fine"):
            pass
        with clew.workflow("bad"):
            with clew.tool("before"):
                pass
            with pytest.raises(ValueError, match="no"), clew.tool("fails"):
                raise ValueError("no")
            with clew.tool("after"):
                assert clew.traceparent().endswith("-01")
    assert record.tree() == ["workflow bad", "  tool before", "  tool fails !", "  tool after"]
    assert record.stats()[:4] == (6, 4, 2, 0)


def test_what_waits_is_counted_as_waiting() -> None:
    with recording(sample=0.0) as record, clew.workflow("w"):
        with clew.tool("t"):
            pass
        assert clew.traceparent().endswith("-00")
        assert record.stats()[:4] == (1, 0, 0, 1)


def test_what_waits_is_bounded_per_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_PER_TRACE", 3)
    with recording(sample=0.0) as record, clew.workflow("w") as workflow:
        for n in range(10):
            with clew.tool(f"t{n}"):
                pass
        workflow.fail("late")
    assert record.tree() == ["workflow w !", "  tool t7", "  tool t8", "  tool t9"]
    assert record.stats()[:4] == (11, 4, 7, 0)


def test_what_waits_is_bounded_over_all_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_WAITING", 3)
    with recording(sample=0.0) as record:
        roots = [clew.workflow(f"w{n}").start() for n in range(5)]
        for root in roots:
            child = clew.tool("t")
            child._begin(root)
            child.end()
        assert record.stats().waiting == 3
        roots[0].fail("its child has given way")
        for root in roots:
            root.end()
    assert record.tree() == ["workflow w0 !"]
    assert record.stats()[:4] == (10, 1, 9, 0)


def test_a_child_that_outlives_its_trace_is_counted() -> None:
    with recording(sample=0.0) as record:
        with clew.workflow("w"):
            late = clew.tool("late").start()
        late.end()
    assert record.stats()[:4] == (2, 0, 2, 0)

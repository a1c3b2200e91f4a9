"""The ledger has every model call once, whatever thread it comes from, and an entry says what is known and nothing else."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import replace

from clew.act.workflow import calls
from clew.act.workflow.calls import Ledger, ModelCall
from clew.model.usage import Usage

CALL = ModelCall(
    node_id="ask",
    model="gpt-4.1",
    provider="openai",
    usage=Usage(input_tokens=100, output_tokens=20, cache_read_tokens=64),
    cost_usd=0.25,
    duration_ns=1_234_567_890,
    error=None,
    prompt="hi",
    ended=1_700_000_001.23456789,
)


def test_an_entry_has_the_shape_of_the_calls_in_the_shared_store() -> None:
    assert CALL.entry() == {
        "node_id": "ask",
        "provider": "openai",
        "model": "gpt-4.1",
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "cache_read_input_tokens": 64,
        "cost_usd": 0.25,
        "served_from_cache": False,
        "duration_ms": 1234.57,
        "status": "ok",
        "error": None,
        "is_planner": False,
        "timestamp": "2023-11-14T22:13:20+00:00",
        "prompt": "hi",
    }


def test_what_is_not_known_is_none_and_never_nought() -> None:
    entry = replace(CALL, usage=None, cost_usd=None, prompt=None, error="timeout").entry(is_planner=True)
    assert entry == {
        "node_id": "ask",
        "provider": "openai",
        "model": "gpt-4.1",
        "input_tokens": None,
        "output_tokens": None,
        "total_tokens": None,
        "cost_usd": None,
        "served_from_cache": False,
        "duration_ms": 1234.57,
        "status": "error",
        "error": "timeout",
        "is_planner": True,
        "timestamp": "2023-11-14T22:13:20+00:00",
    }


def test_a_total_is_known_only_when_both_of_its_parts_are() -> None:
    assert calls.llm_usage("m", Usage(input_tokens=5)) == {"model": "m", "input_tokens": 5, "output_tokens": None, "total_tokens": None}


def test_a_call_that_was_served_from_a_recording_cost_nothing() -> None:
    assert replace(CALL, served_from_cache=True).entry()["cost_usd"] == 0.0


def test_a_call_outside_a_ledger_is_not_counted_and_does_no_harm() -> None:
    assert calls.current.get() is None
    calls.note(CALL)


def test_the_ledger_outside_gets_at_once_what_the_one_inside_gets() -> None:
    with calls.collecting() as outer:
        with calls.collecting() as inner:
            calls.note(CALL)
            assert outer.take() == [CALL]
        calls.note(replace(CALL, node_id="later"))
    assert [call.node_id for call in inner.take()] == ["ask"]
    assert [call.node_id for call in outer.take()] == ["later"]
    assert calls.current.get() is None


def test_threads_write_to_the_ledger_of_the_context_that_they_were_given() -> None:
    ledger = Ledger()
    token = calls.current.set(ledger)
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(calls.note, CALL)) for _ in range(20)]
    calls.current.reset(token)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.take()) == 20
    assert ledger.take() == []

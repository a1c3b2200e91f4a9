"""The collector under load: traces are settled, and the account is kept, beside the inserts that go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from clew.errors import StoreUnavailable

CALLS = 40


@pytest.fixture
def loaded(store: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A collector that has not begun to drain. Its log holds calls of a model, each twice: an agent that repeats the usage of its call, and the
    call itself in a later request. A batch is one request, and it settles as often as it can."""
    from clew.observe.ingest import collector as module
    from clew.wire.check import check_protobuf
    from clew.wire.otlp import TRACES

    for name, value in {"BATCH_BYTES": 1, "TEND_S": 0.0, "CHECKPOINT_S": 0.0, "RETRY_S": 0.01, "TURN_S": 600.0}.items():
        monkeypatch.setattr(module, name, value)
    collector = module.Collector(store, log_bytes=1 << 30)
    usage = {"llm.token_count.prompt": 100, "llm.token_count.completion": 10}
    agents = [otlp.span(2 * n, n, 0, {"openinference.span.kind": "AGENT", **usage}) for n in range(1, CALLS + 1)]
    calls = [otlp.span(2 * n + 1, n, 2 * n, {"openinference.span.kind": "LLM", **usage}) for n in range(1, CALLS + 1)]
    for span in agents + calls:
        collector.take(check_protobuf(TRACES, otlp.protobuf(otlp.traces(span))), "protobuf", "test").result(10)
    yield collector
    collector.close()


def tokens(store: Any) -> list[int | None]:
    from clew.observe.query.runs import runs

    return [run.input_tokens for run in runs(store)]


def drained(collector: Any) -> Any:
    """Its account, once it has nothing left to do."""
    collector.start()
    collector.wait_until_stored(600)
    collector.close()
    return collector.stats()


def settled_beside(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which is settled, as it happens."""
    from clew.observe.store.settle import Touched

    settle = Touched.settle
    threads: list[str] = []

    def noted(touched: Touched) -> int:
        threads.append(threading.current_thread().name)
        return settle(touched)

    monkeypatch.setattr(Touched, "settle", noted)
    return threads


def test_calls_count_once_though_they_were_settled_before_all_of_them_was_there(
    loaded: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = settled_beside(monkeypatch)
    stats = drained(loaded)
    assert sum("clew-settle" in name for name in threads) > 1
    assert (stats.received, stats.stored, stats.waiting, stats.gap) == (2 * CALLS, 2 * CALLS, 0, 0)
    assert tokens(store) == [100] * CALLS
    assert store.value("SELECT count() FROM touched") == store.value("SELECT count() FROM settling") == 0


def test_where_metrics_are_kept_nothing_is_inserted_while_is_counted(loaded: Any, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a span that comes between counting and noting what was counted would be noted, and never counted."""
    from clew.observe.ingest import collector as module
    from clew.observe.store import totals

    totals.begin(store)
    monkeypatch.setattr(module, "SETTLE_S", 0.0)
    count = totals.Totals.count_spans
    counting: list[str] = []

    def counted(kept: Any, where: str, settled: str) -> None:
        counting.append(threading.current_thread().name)
        before = store.value("SELECT count() FROM span_records")
        count(kept, where, settled)
        assert store.value("SELECT count() FROM span_records") == before

    monkeypatch.setattr(totals.Totals, "count_spans", counted)
    threads = settled_beside(monkeypatch)
    assert drained(loaded).trouble is None
    assert counting
    assert not any("clew-settle" in name for name in threads)
    assert store.value("SELECT uniqExact(trace, span) FROM counted_totals") == 2 * CALLS


def test_the_account_is_kept_while_inserts_go_on(loaded: Any, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on disk of it is of one moment: as if the process was killed then, the rest comes from the log."""
    from clew.observe.ingest.account import Account, State

    save = Account.save
    states: list[tuple[State, str]] = []

    def noted(account: Account, state: State) -> None:
        states.append((state, threading.current_thread().name))
        save(account, state)

    monkeypatch.setattr(Account, "save", noted)
    drained(loaded)
    assert sum("clew-settle" in name for _, name in states) > 1
    path = store.data_dir / "wal" / "account.json"
    before = 0
    for state, _ in states:
        path.write_bytes(state.data)
        kept = Account(path)
        assert kept.position == state.position
        [line] = kept.lines()
        assert line.received == line.stored >= before
        before = line.stored
    assert before == 2 * CALLS


def test_an_account_that_was_overtaken_is_not_kept(loaded: Any, store: Any) -> None:
    """One that was taken beside inserts, and whose turn comes when a newer one is on disk."""
    path = store.data_dir / "wal" / "account.json"
    older = loaded._account.state(loaded._done)
    drained(loaded)
    newer = path.read_bytes()
    assert older.data != newer
    loaded._checkpoint(older)
    assert path.read_bytes() == newer


def test_where_it_cannot_settle_nothing_is_lost_and_it_settles_later(loaded: Any, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.observe.store import settle as settling

    whole = settling._Chunk.settle
    failed: list[Any] = []

    def fail(chunk: Any) -> int:
        if len(failed) < 3:
            failed.append(chunk)
            raise StoreUnavailable("No space left on device")
        return int(whole(chunk))

    monkeypatch.setattr(settling._Chunk, "settle", fail)
    stats = drained(loaded)
    assert len(failed) == 3
    assert (stats.stored, stats.waiting, stats.gap, stats.trouble) == (2 * CALLS, 0, 0, None)
    assert tokens(store) == [100] * CALLS


@pytest.mark.parametrize("is_full", [True, False])
def test_under_full_load_merges_wait_and_settlements_are_rare(
    loaded: Any, store: Any, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    from clew.observe.ingest import collector as module
    from clew.observe.store import merges
    from clew.observe.store.settle import Touched

    for name, value in {"TURN_S": 0.0, "SETTLE_S": 0.0, "TEND_S": 600.0, "FULL_BYTES": 1 if is_full else 1 << 30}.items():
        monkeypatch.setattr(module, name, value)
    waiting: dict[str, list[int]] = {"let go": [], "settled": []}
    let_go, settle = merges.let_go, Touched.settle

    def noted_let_go(store: Any) -> None:
        waiting["let go"].append(loaded._log.unread_bytes())
        let_go(store)

    def noted_settle(touched: Touched) -> int:
        waiting["settled"].append(loaded._log.unread_bytes())
        return settle(touched)

    monkeypatch.setattr(merges, "let_go", noted_let_go)
    monkeypatch.setattr(Touched, "settle", noted_settle)
    drained(loaded)
    waiting["settled"] = waiting["settled"][1:]  # the first is due at once
    for found in waiting.values():
        assert found[-1] == 0
        assert (max(found) == 0) == is_full
    assert tokens(store) == [100] * CALLS


def test_what_comes_in_under_full_load_is_found_at_once_and_indexed_later(store: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.observe.ingest import collector as module
    from clew.observe.query.health import health
    from clew.observe.query.search import search
    from clew.observe.store import merges
    from clew.wire.check import check_protobuf
    from clew.wire.otlp import TRACES

    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    monkeypatch.setattr(module, "INDEX_S", 0.01)
    let_go = merges.let_go
    monkeypatch.setattr(merges, "let_go", lambda _: None)
    store.command("SYSTEM STOP MERGES")
    collector = module.Collector(store, log_bytes=1 << 30)
    for number in range(1, 5):
        asked = {"openinference.span.kind": "LLM", "input.value": f"the heron number {number}", "place": f"pond {number}"}
        body = otlp.protobuf(otlp.traces(otlp.span(number, number, 0, asked)))
        monkeypatch.setattr(module, "FULL_BYTES", len(body) + 1)
        collector.take(check_protobuf(TRACES, body), "protobuf", "test").result(10)
    drained(collector)
    assert store.value("SELECT count() FROM system.parts WHERE active AND table = 'payloads'") == 4
    assert health(store).unindexed == 3  # nothing was waiting behind the last

    def found(text: str) -> list[int]:
        return sorted(int(hit.span_id, 16) for hit in search(store, text).hits)

    def finds_all() -> None:
        assert found("heron") == [1, 2, 3, 4]
        assert found("heron 2") == [2]
        assert found('@place:"pond 3"') == [3]

    finds_all()
    store.command("ALTER TABLE payloads MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1")  # what lies side by side stays so
    let_go(store)
    collector = module.Collector(store, log_bytes=1 << 30)
    collector.start()  # after a restart as well
    deadline = time.monotonic() + 60
    while health(store).unindexed and time.monotonic() < deadline:
        time.sleep(0.05)
    collector.close()
    assert health(store).unindexed == 0
    assert store.value("SELECT count() FROM system.parts WHERE active AND table = 'payloads'") == 4
    finds_all()

"""Several collectors on one server: all take in, one settles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "zstandard")


def test_one_settles_what_the_others_took_in_and_forgets_nothing_that_came_meanwhile(
    clickhouse: Any, otlp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clew.observe.query.runs import runs
    from clew.observe.store import settle as settling
    from clew.observe.store.store import Store

    url = clickhouse.new_database()
    usage = {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}

    def request(trace: int) -> bytes:
        agent = otlp.span(2 * trace, trace, 0, {"openinference.span.kind": "AGENT", **usage})
        call = otlp.span(2 * trace + 1, trace, 2 * trace, {"openinference.span.kind": "LLM", **usage})
        return bytes(otlp.lines(otlp.traces(agent, call)))

    def tokens() -> list[int | None]:
        return sorted((run.input_tokens for run in runs(settler)), key=str)

    with Store.open(tmp_path / "settler", url=url) as settler:
        monkeypatch.setenv("CLEW_SETTLE", "0")
        with Store.open(tmp_path / "other", url=url) as other:
            otlp.take(other, request(1))
            assert tokens() == [2000]

            whole = settling._Chunk.settle

            def meanwhile(chunk: Any) -> int:
                found: int = whole(chunk)
                monkeypatch.setattr(settling._Chunk, "settle", whole)
                otlp.take(other, request(2))
                return found

            monkeypatch.setattr(settling._Chunk, "settle", meanwhile)
            assert settling.settle(settler) == 2
            assert tokens() == [1000, 2000]
            assert settling.settle(settler) == 2
            assert tokens() == [1000, 1000]
            assert settling.settle(settler) == 0

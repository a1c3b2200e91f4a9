"""A run that was exported is the same run wherever it is imported, and importing it again changes nothing."""

from __future__ import annotations

import io
import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clew.errors import MalformedRecord, NotFound
from clew.observe.ingest.files import import_file
from clew.observe.query.bundle import export
from clew.observe.query.traces import span_attributes, trace
from clew.observe.store.store import Store
from clew.wire import bundle

pytestmark = pytest.mark.needs("chdb", "zstandard")

VIEWS = {
    "spans": "sender, arrival_time, attribute_types, contents, content_types",
    "logs": "sender",
    "contents": "",
    "messages": "",
    "tool_calls": "start_time",
    "model_calls": "start_time, price_source",
}


def picture(store: Store, trace_id: str) -> dict[str, Any]:
    """What the public views say of a run, but for when and from where it arrived; maps in any order."""
    found: dict[str, Any] = {"conflicts": store.value("SELECT count() FROM conflicts FINAL")}
    for view, skipped in VIEWS.items():
        columns = f"* EXCEPT ({skipped})" if skipped else "*"
        rows = store.rows(f"SELECT {columns} FROM {view} WHERE trace_id = {{id:String}}", {"id": trace_id})
        found[view] = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return found


def exported(store: Store, run_id: str = "last") -> bytes:
    out = io.BytesIO()
    written = export(store, run_id, out)
    assert written.bytes == len(out.getvalue())
    return out.getvalue()


def elsewhere(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "elsewhere", symlinks=True)
    return Store.open(tmp_path / "elsewhere")


VALUES: dict[str, Any] = {
    "text": 'a "quoted" – text\n',
    "int": -(1 << 62),
    "double": 0.1,
    "whole": 3.0,
    "nan": float("nan"),
    "less": float("-inf"),
    "yes": True,
    "no": False,
    "list": ["a", 1, 2.5, True],
    "map": {"deep": {"er": [1, {"x": None}]}, "empty": []},
    "long": "content " * 100,
    "empty": "",
}


def test_every_value_has_its_type_after_export_and_import(store: Any, otlp: Any, made: Path, tmp_path: Path) -> None:
    event = {"timeUnixNano": str(otlp.START), "name": "said", "attributes": otlp.attributes(VALUES)}
    link = {"traceId": otlp.trace_id(8), "spanId": otlp.span_id(9), "attributes": otlp.attributes(VALUES)}
    rich = otlp.span(1, attributes=VALUES, events=[event], links=[link], traceState="k=v", kind=3, status={"code": 2, "message": "no"})
    resource = {"service.name": "program"} | VALUES
    scope = {"name": "test", "version": "1", "attributes": otlp.attributes(VALUES)}
    request = otlp.traces(rich, otlp.span(2, 1, 1, endTimeUnixNano="0"), resource=resource)
    request["resourceSpans"][0]["scopeSpans"][0]["scope"] = scope
    otlp.take(store, otlp.lines(request, otlp.traces(otlp.span(3, 2))))
    for body in ("text", 5, 2.0, True, {"a": [1]}):
        logs = otlp.logs(otlp.log(body, {"n": 1}, traceId=otlp.trace_id(1), spanId=otlp.span_id(1)), resource=resource)
        logs["resourceLogs"][0]["scopeLogs"][0]["scope"] = scope
        otlp.take(store, otlp.lines(logs))
    before = picture(store, otlp.trace_id(1))
    attributes = span_attributes(store, otlp.trace_id(1), otlp.span_id(1))
    shape = trace(store, otlp.trace_id(1))
    data = exported(store, otlp.trace_id(1))
    again = import_file(store, io.BytesIO(data))
    assert (again.format, again.spans, again.logs, again.faults) == ("bundle+zstd", 1, 0, [])  # the span that has not ended, as it was
    assert picture(store, otlp.trace_id(1)) == before
    store.close()
    with elsewhere(made, tmp_path) as other:
        taken = import_file(other, io.BytesIO(data))
        assert (taken.format, taken.spans, taken.logs, taken.faults) == ("bundle+zstd", 2, 5, [])
        assert picture(other, otlp.trace_id(1)) == before
        assert str(span_attributes(other, otlp.trace_id(1), otlp.span_id(1))) == str(attributes)
        assert trace(other, "last") == shape
        assert other.value("SELECT count() FROM runs") == 1
        assert import_file(other, io.BytesIO(exported(other))).logs == 0


def test_real_runs_are_the_same_elsewhere(
    store: Any, shared_data: Callable[[str], Path], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for signal in ("traces", "logs"):
        with lzma.open(shared_data(f"trail/swe_bench.{signal}.otlp.jsonl.xz")) as lines:
            import_file(store, io.BytesIO(b"".join(lines.readlines()[:3])))
    runs = [run for (run,) in store.query("SELECT run_id FROM runs").result_rows]
    assert len(runs) == 3
    data = {run: exported(store, run) for run in runs}
    before = {run: picture(store, run) for run in runs}
    costs = store.pairs("SELECT run_id, partial_cost_usd FROM runs")
    for run in runs:
        taken = import_file(store, io.BytesIO(data[run]))
        assert (taken.spans, taken.logs, taken.faulty) == (0, 0, 0)
    store.close()
    with elsewhere(made, tmp_path) as other:
        for run in runs:
            assert import_file(other, io.BytesIO(data[run])).faulty == 0
        assert {run: picture(other, run) for run in runs} == before
        assert other.pairs("SELECT run_id, partial_cost_usd FROM runs") == pytest.approx(costs)


def test_a_price_travels_with_the_run(store: Any, otlp: Any, made: Path, tmp_path: Path) -> None:
    """Of a model that has none where it is imported."""
    store.prices = tmp_path / "prices.toml"
    store.prices.write_text('[[price]]\nmodel = "mine"\ninput = 2.0\noutput = 4.0\n')
    call = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "home", "gen_ai.request.model": "mine"}
    usage = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0}
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, attributes=call | usage))))
    assert store.value("SELECT cost_usd FROM runs") == 2.0
    data = exported(store)
    store.close()
    with elsewhere(made, tmp_path) as other:
        import_file(other, io.BytesIO(data))
        assert other.value("SELECT cost_usd FROM runs") == 2.0
        assert "(bundle)" in other.value("SELECT price_source FROM model_calls")


def unpacked(data: bytes) -> list[bytes]:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress(data).splitlines(keepends=True)


def test_a_bundle_without_its_first_line_is_plain_otlp(store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1))))
    first, *lines = unpacked(exported(store))
    manifest = bundle.read_manifest(first)
    assert (manifest.run_id, manifest.name, manifest.spans, manifest.logs) == (otlp.trace_id(1), "span 1", 1, 0)
    taken = otlp.take(store, b"".join(lines))
    assert (taken.format, taken.spans) == ("json", 1)


def test_a_bundle_that_is_cut_gives_what_came_before(store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(*(otlp.span(number, attributes={"n": str(number) * 50}) for number in range(1, 900)))))
    data = exported(store)
    store.command("TRUNCATE TABLE span_records")
    taken = otlp.take(store, data[: len(data) - 40])
    assert 0 < taken.spans < 899
    assert taken.faults[-1].reason == f"the file ends early or is damaged: {taken.spans} of 899 spans and log records can be read"


def test_a_broken_line_costs_that_line(store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1))))
    first, line = unpacked(exported(store))
    store.command("TRUNCATE TABLE span_records")
    taken = otlp.take(store, first + b"[]\n" + b"{\n" + b'{"resourceSpans": 5}\n' + line)
    assert (taken.spans, taken.format, [fault.line for fault in taken.faults]) == (1, "bundle", [2, 3])


@pytest.mark.parametrize(
    "first",
    [
        b'{"clewBundle":"x"}',
        b'{"clewBundle":1}',
        b'{"clewBundle":',
        b'{"clewBundle":99,"run_id":"","name":"","written_by":"9","exported_ns":0,"spans":0,"logs":0,"prices":[]}',
    ],
)
def test_a_bundle_that_cannot_be_read_says_so(store: Any, otlp: Any, first: bytes) -> None:
    with pytest.raises(MalformedRecord, match="bundle"):
        otlp.take(store, first + b"\n")


def test_there_is_nothing_to_export_of_a_run_that_is_not_there(store: Any) -> None:
    with pytest.raises(NotFound):
        export(store, "abc", io.BytesIO())

"""What the store holds, what came in, and what was lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from clew.observe.query.costs import prices
from clew.observe.store.format import SCHEMA
from clew.observe.store.merges import UNINDEXED
from clew.observe.store.store import Store
from clew.wire.sizes import sizes


@dataclass(frozen=True, slots=True)
class Size:
    """One table of the store."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Account of one recording process: emitted = written + sampled_out + sum(dropped)."""

    process: str
    service: str
    emitted: int
    written: int
    sampled_out: int
    dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the store and of what feeds it."""

    version: str
    engine: str
    data_dir: str
    schema: int
    bytes: int
    """Whole data directory."""
    tables: list[Size]
    unindexed: int
    """Texts that came in under full load: their words are found by reading them until the engine merges them."""
    spool_files: int
    spool_bytes: int
    spans: int
    running: int
    lost: int
    conflicts: int
    """Spans that arrived again with other content."""
    quarantined: int
    """Requests that were set aside because the engine refused them."""
    losses: list[Loss]
    model_calls: int
    calls_with_usage: int
    unpriced_calls: int
    prices: str


_LOSS = "clew.recorder."


def health(store: Store) -> Health:
    """The state of the store and of what feeds it."""
    tables = store.query(
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY 3 DESC"
    ).result_rows
    states = store.pairs("SELECT state, count() FROM spans GROUP BY state")
    calls = store.rows(
        "SELECT count() AS n, countIf(usage_source != 'missing') AS used, countIf(cost_source = 'unpriced') AS unpriced FROM model_calls"
    )
    spool = sizes(store.data_dir / "spool", ".jsonl")
    return Health(
        version=version("clew"),
        engine=f"ClickHouse {store.value('SELECT version()')} ({'chdb' if store.engine.is_own else store.engine.name})",
        data_dir=str(store.data_dir),
        schema=SCHEMA,
        bytes=sum(sizes(store.data_dir).values()),
        tables=[Size(*row) for row in tables],
        unindexed=store.value(f"SELECT sum(rows) FROM system.parts WHERE {UNINDEXED}"),
        spool_files=len(spool),
        spool_bytes=sum(spool.values()),
        spans=sum(states.values()),
        running=states.get("running", 0),
        lost=states.get("lost", 0),
        conflicts=store.value("SELECT uniqExact(trace_id, span_id) FROM conflicts"),
        quarantined=len(list((store.data_dir / "quarantine").glob("*.error"))),
        losses=_losses(store),
        model_calls=calls[0]["n"],
        calls_with_usage=calls[0]["used"],
        unpriced_calls=calls[0]["unpriced"],
        prices=prices(store),
    )


def _losses(store: Store) -> list[Loss]:
    """The latest account of each recording process (a log record that it writes as its counts grow)."""
    rows = store.rows(
        "SELECT process, any(service) AS service, argMax(attributes, (time_ns, toUInt64OrZero(attributes['clew.recorder.emitted']))) AS counts FROM logs "
        "WHERE event_name = 'clew.recorder.stats' GROUP BY process ORDER BY max(time_ns) DESC"
    )
    losses = []
    for row in rows:
        counts = {key.removeprefix(_LOSS): int(text) for key, text in row["counts"].items() if key.startswith(_LOSS) and text.isdigit()}
        dropped = {key.removeprefix("dropped."): number for key, number in counts.items() if key.startswith("dropped.")}
        losses.append(
            Loss(row["process"], row["service"], counts.get("emitted", 0), counts.get("written", 0), counts.get("sampled_out", 0), dropped)
        )
    return losses

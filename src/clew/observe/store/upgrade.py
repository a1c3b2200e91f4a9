"""Upgrades of a data directory in place, from one schema to the next. Each can be broken off anywhere and started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clew.observe.store import failures
from clew.observe.store.normalise import DAY, SPAN_COLUMNS, VALUE_TYPE_SQL

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Upgrade = tuple[Callable[["Client"], None], Callable[["Client"], None]]
"""What is to be done before the tables of the new schema are made, and after."""


def _tables(client: Client) -> set[str]:
    return {row[0] for row in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows}


def _set_aside(client: Client, tables: tuple[str, ...], suffix: str) -> None:
    there = _tables(client)
    for table in tables:
        if table in there and table + suffix not in there:
            client.command(f"RENAME TABLE {table} TO {table}{suffix}")


def _take_over(client: Client, table: str, suffix: str, columns: str, rows: str) -> None:
    """Fills a table from the one that was set aside, which goes then. ``rows`` follows the SELECT of ``columns``."""
    if table + suffix not in _tables(client):
        return
    names = ", ".join(column.rpartition(" AS ")[2] for column in columns.split(", "))
    client.command(f"TRUNCATE TABLE {table}")
    client.command(
        f"INSERT INTO {table} ({names}) SELECT {columns} FROM {table}{suffix} {rows} SETTINGS max_partitions_per_insert_block = 0"
    )
    client.command(f"DROP TABLE {table}{suffix} SYNC")


def _set_spans_aside(client: Client) -> None:
    _set_aside(client, ("span_records",), "_1")


def _order_spans_by_time(client: Client) -> None:
    """Spans are ordered by their second, and models without a price are noted."""
    client.command("DROP TABLE IF EXISTS schema_files SYNC")  # what it held is in store.format now
    _take_over(client, "span_records", "_1", ", ".join(name for name, _ in SPAN_COLUMNS if name != "retired"), "FINAL")
    client.command(
        "INSERT INTO prices (provider, request_model, response_model) SELECT DISTINCT provider, request_model, response_model FROM span_records "
        "WHERE (kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)) AND (request_model != '' OR response_model != '')"
    )


_TYPES = f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(3))"
_MAP = "Map(LowCardinality(String), String) CODEC(ZSTD(3))"
_OF_SCOPE = {"scope_attributes": _MAP, "scope_types": _TYPES, "resource_types": _TYPES}
_OF_PARTS = dict.fromkeys(("event_types", "link_types"), f"Array(Array({VALUE_TYPE_SQL})) CODEC(ZSTD(3))")
_OF_EXEMPLARS = {
    "exemplar_times": "Array(UInt64) CODEC(ZSTD(3))",
    "exemplar_values": "Array(Float64) CODEC(ZSTD(3))",
    "exemplar_trace_ids": "Array(String) CODEC(ZSTD(3))",
    "exemplar_span_ids": "Array(String) CODEC(ZSTD(3))",
    "exemplar_attributes": "Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3))",
}
_VERSION = {"scope_version": "LowCardinality(String)"}
_ADDED = {
    "touched": {"minute": "UInt32"},
    "span_records": _OF_SCOPE | _OF_PARTS,
    "log_records": _VERSION | _OF_SCOPE,
    "point_records": _VERSION | _OF_SCOPE | _OF_EXEMPLARS,
}


def _add_columns(client: Client) -> None:
    """For attributes of scopes, types of what is no attribute of a span itself, and exemplars: empty where they were not kept."""
    there = _tables(client)
    for table, columns in _ADDED.items():
        for name in {table, table + "_1", table + "_2"} & there:
            for column, kind in columns.items():
                client.command(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {column} {kind}")


_DAILY = ("settled", "conflicts", "processes", "log_records")


def _set_undated_aside(client: Client) -> None:
    _add_columns(client)
    client.command("DROP TABLE IF EXISTS traces SYNC")  # it follows from the spans
    _set_aside(client, _DAILY, "_2")


def _date_everything(client: Client) -> None:
    """What is known of a span goes with the day on which it arrived, so that retention can drop it; logs are ordered by their second."""
    client.command("TRUNCATE TABLE traces")
    client.command(
        f"INSERT INTO traces SELECT trace_id, min(start_ns), max(start_ns), {DAY} AS day FROM span_records GROUP BY trace_id, day "
        "SETTINGS max_partitions_per_insert_block = 0"
    )
    dated = "INNER JOIN (SELECT trace_id, max(day) AS day FROM traces GROUP BY trace_id) AS t USING (trace_id)"
    _take_over(client, "settled", "_2", "trace_id, span_id, settled_ns, shadowed, agent, t.day AS day", f"FINAL {dated}")
    _take_over(client, "conflicts", "_2", "trace_id, span_id, replaced_hash, t.day AS day", f"FINAL {dated}")
    _take_over(client, "processes", "_2", "process, ended_ns", "FINAL")
    _take_over(client, "log_records", "_2", "*", "FINAL")


AT_ONCE = 200_000
"""Failed spans that are followed at once to where they began."""


def _nothing(client: Client) -> None:
    """All there was fits."""


def _note_failures(client: Client) -> None:
    """Failures are kept where they began, as the settler finds them."""
    client.command("TRUNCATE TABLE failures")
    failed = client.query("SELECT count() FROM span_records WHERE status = 'error'").result_rows[0][0]
    some = -(-failed // AT_ONCE)
    for part in range(some):
        of_part = f"cityHash64(trace_id) % {some} = {part}"
        client.command(
            failures.insert(0, failures.beginnings("span_records FINAL", of_part, of_part))
            + " SETTINGS max_partitions_per_insert_block = 0"
        )


UPGRADES: dict[int, Upgrade] = {
    2: (_set_spans_aside, _order_spans_by_time),
    3: (_set_undated_aside, _date_everything),
    4: (_nothing, _note_failures),
}
"""By the schema they lead to."""

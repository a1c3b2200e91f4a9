"""Upgrades of a data directory in place, from one schema to the next. Each can be broken off anywhere and started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clew.observe.store.normalise import SPAN_COLUMNS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Upgrade = tuple[Callable[["Client"], None], Callable[["Client"], None]]
"""What is to be done before the tables of the new schema are made, and after."""


def _tables(client: Client) -> set[str]:
    return {row[0] for row in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows}


def _set_spans_aside(client: Client) -> None:
    if "span_records" in (tables := _tables(client)) and "span_records_1" not in tables:
        client.command("RENAME TABLE span_records TO span_records_1")


def _order_spans_by_time(client: Client) -> None:
    """Spans are ordered by their second, with a table of the traces' times beside them, and models without a price are noted."""
    client.command("DROP TABLE IF EXISTS schema_files SYNC")  # what it held is in store.format now
    if "span_records_1" not in _tables(client):
        return
    client.command("TRUNCATE TABLE span_records")
    names = ", ".join(name for name, _ in SPAN_COLUMNS if name != "retired")
    client.command(
        f"INSERT INTO span_records ({names}) SELECT {names} FROM span_records_1 FINAL SETTINGS max_partitions_per_insert_block = 0"
    )
    client.command("INSERT INTO traces SELECT trace_id, min(start_ns), max(start_ns) FROM span_records_1 GROUP BY trace_id")
    client.command("DROP TABLE span_records_1 SYNC")


UPGRADES: dict[int, Upgrade] = {2: (_set_spans_aside, _order_spans_by_time)}
"""By the schema they lead to."""

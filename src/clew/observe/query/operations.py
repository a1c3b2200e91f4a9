"""Services, the operations in them, and which service calls which: what a reader of classic traces asks first."""

from __future__ import annotations

from dataclasses import dataclass

from clew.observe.query.window import SPANS_WITHIN, Window
from clew.observe.store.store import Store

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Dependency:
    """Calls from one service to another, as spans whose parent is of the other."""

    parent: str
    child: str
    calls: int


def services(store: Store) -> list[str]:
    """Names of all programs that recorded a span, at most MOST."""
    rows = store.query("SELECT DISTINCT service FROM span_records WHERE service != '' ORDER BY service LIMIT {most:UInt64}", {"most": MOST})
    return [service for (service,) in rows.result_rows]


def operations(store: Store, service: str) -> list[tuple[str, int]]:
    """(name, OpenTelemetry kind of span) of the spans of a service, at most MOST."""
    rows = store.query(
        "SELECT DISTINCT name, otel_kind FROM span_records WHERE service = {service:String} ORDER BY name, otel_kind LIMIT {most:UInt64}",
        {"service": service, "most": MOST},
    )
    return [(str(name), int(kind)) for name, kind in rows.result_rows]


def dependencies(store: Store, within: Window) -> list[Dependency]:
    """Which service called which, by the spans that start in the window, most calls first. A service that calls itself is left out."""
    rows = store.query(
        f"""SELECT p.service AS parent, c.service AS child, count() AS calls
        FROM (SELECT trace_id, parent_span_id, service FROM span_records FINAL WHERE {SPANS_WITHIN} AND parent_span_id != '' AND service != '') AS c
        INNER JOIN (SELECT trace_id, span_id, service FROM span_records FINAL WHERE {SPANS_WITHIN} AND service != '') AS p
            ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id
        WHERE parent != child GROUP BY parent, child ORDER BY calls DESC, parent, child LIMIT {{most:UInt64}}""",
        {**within.parameters, "most": MOST},
    )
    return [Dependency(*row) for row in rows.result_rows]

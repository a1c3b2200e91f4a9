"""Which runs a deletion means: by id, by session, or by a filter over runs."""

from __future__ import annotations

import re

from clew.errors import QueryError
from clew.observe.query import runs
from clew.observe.query.traces import resolve
from clew.observe.store.store import Store

PAGE = 500

_WHOLE_ID = re.compile(r"[0-9a-f]{32}")


def by_id(store: Store, run_id: str) -> list[str]:
    """The run of that id, which may be shortened. A whole id is taken as it is, whether there is such a run or not.

    :raises NotFound: no run has that shortened id
    :raises AmbiguousId: several have; the message names them
    """
    folded = run_id.strip().lower()
    return [folded if _WHOLE_ID.fullmatch(folded) else resolve(store, run_id)]


def by_session(store: Store, session: str) -> list[str]:
    """Every run with a span of that session, whole."""
    rows = store.query("SELECT DISTINCT trace_id FROM span_records WHERE session_id = {session:String}", {"session": session}).result_rows
    return [trace_id for (trace_id,) in rows]


def by_filter(store: Store, text: str) -> list[str]:
    """The runs that ``GET /api/v1/runs`` lists for the filter, all pages of them.

    :raises FilterError: the filter does not parse; points at the character
    :raises QueryError: it is empty, which would mean everything
    """
    if not text.strip():
        raise QueryError("an empty filter means every run; give a filter, such as session:abc or start:<2026-01-01")
    found: list[str] = []
    after: str | None = None
    while True:
        page = runs.page(store, text, limit=PAGE, after=after)
        found += [run.run_id for run in page.runs]
        if not page.more:
            return found
        after = page.next

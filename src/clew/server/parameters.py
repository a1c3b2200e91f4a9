"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from clew.observe.query.agent_graph import Leaf

Filter = Annotated[str, Query(max_length=20_000, description="The filter language (docs/filter.md); nothing matches everything.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most rows of the page.")]
After = Annotated[str | None, Query(max_length=4000, description="`next` of the page before; nothing is the first page.")]
RunId = Annotated[str, Path(max_length=64, description="Run: its id, the beginning of it, or `last`.")]
SpanId = Annotated[str, Path(max_length=64, description="Span: its id, or the beginning of it.")]
Leaves = Annotated[list[Leaf] | None, Query(alias="with", description="What else than agents is in the graph; may be given twice.")]

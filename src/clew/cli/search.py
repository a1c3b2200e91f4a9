"""``clew search``: spans that match a filter."""

from __future__ import annotations

import click

from clew.cli import figures, invocation
from clew.cli.runs import id_digits, no_price, style_of
from clew.cli.terminal import Cell, Column, Page, headline, safe
from clew.observe.query.search import Hit, Hits


# No short options: "-tool:search" is a part of the filter.
@click.command("search", context_settings={"ignore_unknown_options": True})
@click.argument("filter_", metavar="FILTER", nargs=-1, required=True, type=click.UNPROCESSED)
@invocation.limit(50, "spans")
@invocation.as_json
@invocation.common
def command(filter_: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find spans with a filter, newest first.

    \b
    status:error agent:planner          both must hold
    model:gpt-4o* cost:>0.05 duration:>2s
    '"merge conflict"' -tool:search     these words in this order; not this tool
    """
    from clew.cli.operations import SEARCH

    with invocation.reading("search") as client:
        found = client.ask(SEARCH, text=" ".join(filter_), limit=limit)
    page = invocation.page()
    if as_json:
        page.json(found)
    elif found.hits:
        write(page, found)
    else:
        page.line("No span matches. docs/filter.md has the fields; clew runs lists what there is.")


COLUMNS = (
    Column("run"),
    Column("span"),
    Column("started", drop=3),
    Column("kind"),
    Column("name", shrink_to=12),
    Column("agent", shrink_to=8, drop=4),
    Column("duration", "right"),
    Column("tokens", "right", drop=2),
    Column("cost", "right", drop=1),
    Column("status"),
    Column("error", shrink_to=16, drop=1),
)


def write(page: Page, found: Hits) -> None:
    run_digits = id_digits([hit.run_id for hit in found.hits])
    span_digits = id_digits([hit.span_id for hit in found.hits], most=16)
    rows = []
    for hit in found.hits:
        outcome = hit.state if hit.state != "ended" else "error" if hit.status == "error" else ""
        has_usage = hit.input_tokens is not None or hit.output_tokens is not None
        rows.append(
            (
                Cell(hit.run_id[:run_digits]),
                Cell(hit.span_id[:span_digits]),
                Cell(figures.moment(hit.start_ns)),
                Cell(hit.kind, hit.kind),
                Cell(label(hit), "strong"),
                Cell(safe(hit.agent)),
                Cell(figures.duration(hit.duration_ns)),
                Cell(figures.tokens(hit.input_tokens, hit.output_tokens) if has_usage else ""),
                Cell(figures.money(hit.cost_usd) if has_usage or hit.cost_usd is not None else ""),
                Cell(outcome, style_of(outcome)),
                Cell(headline(hit.status_message), "error"),
            )
        )
    page.table(COLUMNS, rows)
    unpriced = [hit for hit in found.hits if hit.cost_usd is None and hit.input_tokens is not None]
    if unpriced:
        page.note(no_price(sorted({hit.model for hit in unpriced}), len(unpriced)))
    if found.more:
        page.note(f"The newest {len(found.hits):,} are shown; there are more: --limit N shows them, a narrower filter finds them.")


def label(hit: Hit) -> str:
    """The name, and the model or tool when the name does not say it."""
    name = safe(hit.name)
    more = safe(hit.model or hit.tool)
    return f"{name} · {more}" if more and more not in name else name

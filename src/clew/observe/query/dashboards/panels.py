"""Every kind of question a panel may ask: what it needs, how its answer is made, and what is wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from clew.errors import ClewError
from clew.model.dashboards.panel import Dashboard, Panel
from clew.observe.query.dashboards import budgets, cost, failures, metrics, operations, spans, sql_panel
from clew.observe.query.dashboards.answer import Answer
from clew.observe.query.dashboards.asking import Asked, Kind, Need

KINDS: Final[Mapping[str, Kind]] = {
    "spans": spans.KIND,
    "operations": operations.KIND,
    "costs": cost.COSTS,
    "spend": cost.SPEND,
    "metric": metrics.KIND,
    "budgets": budgets.KIND,
    "failures": failures.KIND,
    "sql": sql_panel.KIND,
}

MOST_PANELS: Final = 40
COLUMNS: Final = 12
MOST_SHOWN: Final = 200
LONGEST_TITLE: Final = 120
LONGEST_TEXT: Final = 1000
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def needs(panel: Panel, asked: Asked) -> list[Need]:
    """The questions to the store from whose answers the panel's is made."""
    return KINDS[panel.question.of].needs(panel, asked)


def answer(panel: Panel, asked: Asked, found: Mapping[Need, object | ClewError]) -> Answer:
    """What the panel shows; ``trouble`` says so when one of its questions could not be answered."""
    for need in needs(panel, asked):
        if isinstance(error := found[need], ClewError):
            return Answer(panel.id, trouble=str(error))
    made: Answer = KINDS[panel.question.of].shape(panel, asked, found)
    return replace(made, panel=panel.id)


def mistakes(dashboard: Dashboard) -> Iterator[str]:
    """What is wrong with a dashboard, each with the place; nothing when it can be shown."""
    if not NAME.fullmatch(dashboard.name):
        yield f"name {dashboard.name[:80]!r}: use lower case letters, digits and hyphens, at most 63, as in my-team"
    yield from _texts(dashboard.title, dashboard.about)
    if len(dashboard.panels) > MOST_PANELS:
        yield f"{len(dashboard.panels)} panels: at most {MOST_PANELS} fit on one dashboard"
    for name, count in Counter(panel.id for panel in dashboard.panels).items():
        if count > 1:
            yield f"{count} panels have the id {name[:80]!r}; give each its own"
    for panel in dashboard.panels:
        for mistake in mistakes_of(panel):
            yield f"panel {panel.id[:80]!r}: {mistake}"


def mistakes_of(panel: Panel) -> Iterator[str]:
    """What is wrong with one panel."""
    if not NAME.fullmatch(panel.id):
        yield "the id is not usable; use lower case letters, digits and hyphens, at most 63"
    yield from _texts(panel.title, panel.help)
    if not panel.title.strip():
        yield "it has no title"
    if not 1 <= panel.width <= COLUMNS:
        yield f"width {panel.width}: it is a number of columns, 1 to {COLUMNS}"
    if not 1 <= panel.limit <= MOST_SHOWN:
        yield f"limit {panel.limit}: 1 to {MOST_SHOWN} rows, bars or lines"
    bounds = [threshold.at for threshold in panel.thresholds if threshold.at is not None]
    if bounds != sorted(bounds) or None in [threshold.at for threshold in panel.thresholds[1:]]:
        yield "thresholds are not in ascending order"
    kind = KINDS[panel.question.of]
    if panel.view not in kind.views:
        yield f"the view {panel.view} does not fit a question of {panel.question.of}; choose from {', '.join(kind.views)}"
    yield from kind.mistakes(panel)


def _texts(title: str, text: str) -> Iterator[str]:
    if len(title) > LONGEST_TITLE:
        yield f"the title is longer than {LONGEST_TITLE} characters"
    if len(text) > LONGEST_TEXT:
        yield f"the text under the title is longer than {LONGEST_TEXT} characters"

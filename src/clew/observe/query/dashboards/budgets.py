"""Budgets beside their limits, as ``GET /api/v1/budgets`` tells them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from clew.cost.budgets import figures
from clew.cost.budgets.budget import SCOPES
from clew.cost.budgets.figures import BudgetState
from clew.model.dashboards.panel import Budgets, Panel, Unit
from clew.observe.query.dashboards.answer import Answer, Column, Row
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, address, term
from clew.observe.store.store import Store

_UNITS: dict[str, Unit] = {"usd": "usd", "tokens": "tokens", "calls": "count", "seconds": "s"}


def ask(store: Store) -> figures.Budgets:
    return figures.known(store.data_dir)


def needs(panel: Panel, asked: Asked) -> list[Need]:
    return [Need(ask)]


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    assert isinstance(panel.question, Budgets)
    per = panel.question.per
    answer: figures.Budgets = found[Need(ask)]
    limits = [
        (state, measure, limit)
        for state in answer.budgets
        if not per or state.per == per or per in state.only
        for measure, limit in state.limits.items()
    ]
    limits.sort(key=lambda one: (-_share(one[0], one[1]), one[0].name, one[0].key))
    rows = [
        Row(
            [
                _named(state),
                _UNITS[measure],
                state.spent[measure],
                state.reserved[measure],
                limit,
                state.projected[measure],
                list(state.thresholds),
            ],
            [2] if measure == "usd" and state.unpriced_calls else [],
            f"{state.unpriced_calls} calls had no price" if state.unpriced_calls else "",
            filter=_behind(state),
            page="/budgets",
        )
        for state, measure, limit in limits[: panel.limit]
    ]
    made = Answer(
        panel.id,
        columns=[
            Column("budget"),
            Column("unit"),
            Column("Spent"),
            Column("Reserved"),
            Column("Limit"),
            Column("Projected"),
            Column("Thresholds", "share"),
        ],
        rows=rows,
        provenance="The ledger of budgets, now: not of the period, and without the filter.",
        api=address("budgets"),
    )
    if answer.ledger not in ("ok", "none"):
        return replace(made, notes=[f"the ledger: {answer.ledger}"])
    return replace(made, notes=[f"the fullest {len(rows)} of {len(limits)}"]) if len(limits) > len(rows) else made


def _share(state: BudgetState, measure: str) -> float:
    return state.percent[measure] or 0.0


def _named(state: BudgetState) -> str:
    return f"{state.name}: {state.key}" if state.key else state.name


def _behind(state: BudgetState) -> str | None:
    return term(state.per, state.key) if state.per in ("agent", "persona", "model", "session", "user", "workflow") and state.key else ""


def mistakes(panel: Panel) -> Iterable[str]:
    assert isinstance(panel.question, Budgets)
    if panel.question.per and panel.question.per not in SCOPES:
        yield f"budgets have no accounts per {panel.question.per!r}; choose from {', '.join(SCOPES)}"


KIND = Kind(needs, shape, mistakes, ("gauge",))

"""The figures of budgets, for whoever shows them: command line, server, code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from clew import settings
from clew.cost.budgets import places
from clew.cost.budgets.budget import Amounts, Budget, Measure
from clew.cost.budgets.declared import read_all
from clew.cost.budgets.ledger import Account, Ledger, LedgerError, Reader, ledger_path

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """One account of a budget, in the period that holds now. Amounts are by measure: tokens, usd (USD), calls, seconds.

    :ivar key: the run, agent, model, ... that the account is of; empty when all calls share one
    :ivar period_start: seconds since 1970; None: it began with the first call
    :ivar period_end: None: it has no end, or the window is rolling
    :ivar remaining: limit less what is spent and reserved; negative when overspent
    :ivar percent: share of the limit that is spent; None where the limit is 0
    :ivar estimated_calls: calls that said no usage, booked with what was reserved for them
    :ivar unpriced_calls: calls whose cost is not known and not in ``spent``
    :ivar fired: thresholds that were passed in this period
    :ivar projected: what will be spent at the period's end, at the rate so far; without an end nothing is projected
    :ivar exhausted_at: when the first limit is reached at that rate, in seconds since 1970; None: not foreseeable, or not in this period
    :ivar source: the file that declares it, or "code"
    """

    name: str
    per: str | None
    key: str
    window: str | None
    period_start: float | None
    period_end: float | None
    hard: bool
    only: Mapping[str, str]
    thresholds: tuple[float, ...]
    unpriced: str
    limits: Mapping[str, float]
    spent: Mapping[str, float]
    reserved: Mapping[str, float]
    remaining: Mapping[str, float]
    percent: Mapping[str, float | None]
    estimated_calls: int
    unpriced_calls: int
    fired: tuple[tuple[str, float], ...]
    projected: Mapping[str, float | None]
    exhausted_at: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Budgets:
    """What there is to show.

    :ivar ledger: ok; none, when nothing was spent yet; else why it cannot be read
    """

    budgets: tuple[BudgetState, ...]
    ledger: str


EARLIEST_S = 60.0
"""A rate is told of at least this long: the first call of a period foretells nothing."""


def state(account: Account, now: float) -> BudgetState:
    """The figures of an account."""
    budget = account.budget
    limits = budget.limits
    start, end = _period(account, now)
    spent = {measure: account.spent[measure] for measure in limits}
    rate: dict[Measure, float] = {}
    if start is not None and now - start >= EARLIEST_S and not (budget.window is not None and budget.window.seconds):
        rate = {measure: amount / (now - start) for measure, amount in spent.items()}
    reached = [
        now + (limit - spent[measure]) / rate[measure] for measure, limit in limits.items() if rate.get(measure) and limit > spent[measure]
    ]
    first = min(reached, default=None)
    return BudgetState(
        name=budget.name,
        per=budget.per,
        key=account.key.rpartition("@")[0] if budget.fresh else account.key,
        window=None if budget.window is None else budget.window.text,
        period_start=start,
        period_end=end,
        hard=budget.hard,
        only=_keyed(budget.only),
        thresholds=budget.thresholds,
        unpriced=budget.unpriced,
        limits=_keyed(limits),
        spent=_plain(spent),
        reserved=_plain({measure: account.reserved[measure] for measure in limits}),
        remaining=_plain({measure: limit - spent[measure] - account.reserved[measure] for measure, limit in limits.items()}),
        percent={measure: round(100 * spent[measure] / limit, 3) if limit else None for measure, limit in limits.items()},
        estimated_calls=account.estimated,
        unpriced_calls=account.unpriced,
        fired=account.fired,
        projected={
            measure: round(spent[measure] + rate[measure] * (end - now), 9) if end and measure in rate else None for measure in limits
        },
        exhausted_at=first if first is not None and (end is None or first < end) else None,
        source=budget.source,
    )


def _period(account: Account, now: float) -> tuple[float | None, float | None]:
    window = account.budget.window
    if window is None:
        return account.began, None
    return (now - window.seconds, None) if window.seconds else window.period(now)


def _keyed(values: Mapping[Any, T]) -> dict[str, T]:
    return {str(key): value for key, value in values.items()}


def _plain(amounts: Amounts) -> dict[str, float]:
    """Without the dust of binary fractions."""
    return {measure: round(amount, 9) + 0.0 for measure, amount in amounts.items()}


def states(ledger: Ledger, budgets: Iterable[Budget]) -> list[BudgetState]:
    """Each account of each budget; a budget that nothing was spent of has one all the same, unless its accounts are not known beforehand.

    :raises BudgetError: the ledger cannot be used
    """
    now = ledger.now()
    found: list[BudgetState] = []
    for budget in budgets:
        accounts = ledger.accounts(budget)
        if not accounts and not budget.fresh:
            pattern = budget.only.get(budget.per, "") if budget.per else ""
            known = pattern if not any(letter in pattern for letter in "*?[") else ""
            accounts = [ledger.account(budget, known)] if budget.per is None or known else [_empty(budget)]
        found += [state(account, now) for account in accounts]
    return found


def _empty(budget: Budget) -> Account:
    nothing: dict[Measure, float] = {"tokens": 0.0, "usd": 0.0, "calls": 0.0, "seconds": 0.0}
    return Account(budget, "", nothing, nothing, 0, 0, None, ())


def known(data_dir: Path, *, name: str | None = None) -> Budgets:
    """Every budget that is declared in files or was used by a program, with its accounts. Only reads.

    :param name: only the budget of that name
    :raises BudgetError: a file of budgets cannot be used
    """
    declared = {budget.name: budget for budget in read_all(places(data_dir, settings.get("budgets"))).budgets}
    file = ledger_path(data_dir, settings.get("budget_ledger")) or Path(os.devnull)
    said, ledger = "none", Ledger(None)
    if file.is_file():
        said, ledger = "ok", Reader(file)
        try:
            declared = {**{budget.name: budget for budget in ledger.budgets()}, **declared}
        except LedgerError as error:
            said, ledger = str(error), Ledger(None)
    chosen = [budget for _, budget in sorted(declared.items()) if name is None or budget.name == name]
    try:
        return Budgets(tuple(states(ledger, chosen)), said)
    finally:
        ledger.close()

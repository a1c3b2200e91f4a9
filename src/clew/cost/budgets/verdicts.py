"""Verdicts: what a limit says of a step. Budgets and the limits of loops give the same, and the recorder acts on both alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from clew.cost.budgets.budget import Budget, Measure
from clew.errors import BudgetExceeded
from clew.model import attributes as names


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done: tell (an event on the span, and a warning in the log), or refuse."""

    action: Literal["tell", "refuse"]
    event: str
    message: str
    """'' where another verdict says it too."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A budget has no room. Amounts are in the measure's unit."""

    budget: Budget
    key: str
    measure: Measure
    limit: float
    spent: float
    reserved: float
    asked: float

    def error(self, why: str = "") -> BudgetExceeded:
        left = self.limit - self.spent - self.reserved
        whose = _whose(self.budget, self.key)
        reserved = f", {figure(self.measure, self.reserved)} reserved by calls under way" if self.reserved else ""
        asked = f"; this call may take {figure(self.measure, self.asked)}{why}" if self.asked and left > 0 else ""
        return BudgetExceeded(
            f"budget {self.budget.name}{whose} is {'spent' if left <= 0 else 'too small for this call'}: "
            f"{of(self.measure, self.spent, self.limit)} spent{reserved}{asked}. "
            f"Raise the limit (clew budgets explain {_quoted(self.budget.name)}), or "
            + ("wait for the next period" if self.budget.window else "ask for less"),
            budget=self.budget.name,
            measure=self.measure,
            limit=self.limit,
            spent=self.spent,
            reserved=self.reserved,
            asked=self.asked,
            attributes={
                names.BUDGET_NAME: self.budget.name,
                names.BUDGET_KEY: _shown(self.budget, self.key),
                names.BUDGET_MEASURE: self.measure,
                names.BUDGET_LIMIT: self.limit,
                names.BUDGET_SPENT: self.spent,
                names.BUDGET_ASKED: self.asked,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A threshold was passed, for the first time in its period."""

    budget: Budget
    key: str
    measure: Measure
    threshold: float
    limit: float
    spent: float

    def verdict(self) -> Verdict:
        whose = _whose(self.budget, self.key)
        return Verdict(
            "tell",
            names.BUDGET_THRESHOLD_EVENT,
            f"budget {self.budget.name}{whose} has passed {self.threshold:g} %: {of(self.measure, self.spent, self.limit)} spent",
            {
                names.BUDGET_NAME: self.budget.name,
                names.BUDGET_KEY: _shown(self.budget, self.key),
                names.BUDGET_MEASURE: self.measure,
                names.BUDGET_THRESHOLD: self.threshold,
                names.BUDGET_LIMIT: self.limit,
                names.BUDGET_SPENT: self.spent,
                names.BUDGET_REMAINING: self.limit - self.spent,
            },
        )


def verdicts(crossings: Sequence[Crossing]) -> list[Verdict]:
    """What is told of thresholds that one call has passed: an event for each, in words only the highest of each limit."""
    highest = {(crossing.budget.name, crossing.key, crossing.measure): crossing for crossing in crossings}
    said = {id(crossing) for crossing in highest.values()}
    return [found if id(crossing) in said else replace(found, message="") for crossing in crossings for found in (crossing.verdict(),)]


def figure(measure: Measure, amount: float) -> str:
    """An amount with its unit."""
    if measure == "usd":
        return f"${amount:,.2f}" if amount == 0 or abs(amount) >= 1 else f"${amount:.6f}".rstrip("0")
    if measure == "seconds":
        return f"{amount:,.1f} s"
    return f"{amount:,.0f} {measure[:-1] if amount == 1 else measure}"


def of(measure: Measure, amount: float, limit: float) -> str:
    """A part of a limit, such as "242 of 300 tokens"."""
    part = f"{amount:,.0f}" if measure in ("tokens", "calls") else figure(measure, amount)
    return f"{part} of {figure(measure, limit)}"


def _whose(budget: Budget, key: str) -> str:
    shown = _shown(budget, key)
    return f" of {budget.per} {shown[:8] if budget.per == 'run' else shown}" if budget.per else ""


def _shown(budget: Budget, key: str) -> str:
    """Without what tells the entries of a block apart."""
    return key.rpartition("@")[0] if budget.fresh else key


def _quoted(name: str) -> str:
    return name if all(letter.isalnum() or letter in "-_." for letter in name) else f"'{name}'"

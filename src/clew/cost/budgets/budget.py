"""What a budget is: limits, of which calls, for whom, for how long, and what happens at the limit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from clew.cost.budgets.windows import Window
from clew.errors import BudgetError

Measure = Literal["tokens", "usd", "calls", "seconds"]
Scope = Literal["run", "workflow", "stage", "agent", "persona", "model", "session", "user"]
Unpriced = Literal["refuse", "count"]

MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PATTERNS: Final[tuple[Scope, ...]] = tuple(scope for scope in SCOPES if scope != "run")
THRESHOLDS: Final = (80.0, 95.0, 100.0)

Amounts = Mapping[Measure, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One declared budget.

    :ivar name: names its accounts in the ledger
    :ivar limits: measure -> limit: tokens (input and output, inclusive), USD, model calls, seconds of wall time
    :ivar per: each value of this scope has an account of its own; None: all calls share one
    :ivar window: when spending is forgotten; None: never
    :ivar hard: a call that has no room is refused; else it is only told
    :ivar thresholds: percents of a limit that are told once in each period
    :ivar unpriced: what becomes of calls of a model without a price, where USD are limited
    :ivar only: scope -> pattern (``*``, ``?``, ``[...]``) that the calls must match
    :ivar fresh: each entry of its block has an account of its own
    :ivar source: where it was declared
    """

    name: str
    limits: Amounts
    per: Scope | None = None
    window: Window | None = None
    hard: bool = True
    thresholds: tuple[float, ...] = THRESHOLDS
    unpriced: Unpriced = "refuse"
    only: Mapping[Scope, str] = field(default_factory=dict)
    fresh: bool = False
    source: str = field(default="code", compare=False)

    def admits(self, scope: Scope, value: str) -> bool:
        """Whether a value of a scope matches the pattern for it, if there is one."""
        pattern = self.only.get(scope)
        return pattern is None or fnmatchcase(value, pattern)

    def to_json(self) -> str:
        """As text, for :meth:`from_json`."""
        return json.dumps({**self.declared(), "fresh": self.fresh, "source": self.source})

    def declared(self) -> dict[str, Any]:
        """As keywords of :func:`budget`."""
        rules = {"per": self.per, "window": None if self.window is None else self.window.text, "hard": self.hard}
        told = {"thresholds": list(self.thresholds), "unpriced": self.unpriced}
        given: list[tuple[str, Any]] = [("name", self.name), *self.limits.items(), *rules.items(), *told.items(), *self.only.items()]
        return dict(given)

    @classmethod
    def from_json(cls, text: str) -> Budget:
        return budget(json.loads(text), "the ledger")


KEYS: Final = ("name", *MEASURES, "per", "window", "hard", "thresholds", "unpriced", *PATTERNS)


def budget(given: Mapping[str, Any], place: str) -> Budget:
    """A budget from its keywords, those of ``[[budget]]``.

    :param place: where it was declared, for messages
    :raises BudgetError: a value cannot be used; names the place, the value and what is expected
    """
    name = given.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 200:
        raise _wrong(place, "name", name, "expected a name")
    place = f"{place} ({name})" if name not in place else place
    limits: dict[Measure, float] = {}
    for measure in MEASURES:
        limit = given.get(measure)
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit < math.inf:
            raise _wrong(place, measure, limit, "expected a number of at least 0")
        limits[measure] = float(limit)
    if not limits:
        raise BudgetError(f"{place} limits nothing; give at least one of {', '.join(MEASURES)}")
    per, window = given.get("per"), given.get("window")
    if per is not None and per not in SCOPES:
        raise _wrong(place, "per", per, f"expected one of {', '.join(SCOPES)}")
    hard = given.get("hard", True)
    if not isinstance(hard, bool):
        raise _wrong(place, "hard", hard, "expected true or false")
    unpriced: Any = given.get("unpriced")
    if unpriced is None:
        unpriced = "refuse" if hard else "count"
    if unpriced not in get_args(Unpriced):
        raise _wrong(place, "unpriced", unpriced, f"expected one of {', '.join(get_args(Unpriced))}")
    only: dict[Scope, str] = {}
    for scope in PATTERNS:
        pattern = given.get(scope)
        if pattern is not None:
            if not isinstance(pattern, str) or not pattern:
                raise _wrong(place, scope, pattern, "expected a name or a pattern such as gpt-4o*")
            only[scope] = pattern
    try:
        read = None if window is None else Window.read(window) if isinstance(window, str) else Window.read("")
    except ValueError as error:
        raise _wrong(place, "window", window, str(error)) from None
    return Budget(
        name=name,
        limits=limits,
        per=per,
        window=read,
        hard=hard,
        thresholds=_thresholds(given.get("thresholds"), hard, place),
        unpriced=unpriced,
        only=only,
        fresh=bool(given.get("fresh", False)),
        source=str(given.get("source", "code")),
    )


def _thresholds(given: Any, hard: bool, place: str) -> tuple[float, ...]:
    """Ascending. A soft budget always tells that it is spent: else nobody would."""
    if given is None:
        return THRESHOLDS
    if not isinstance(given, (list, tuple)) or not all(type(value) in (int, float) and 0 < value <= 1000 for value in given):
        raise _wrong(place, "thresholds", given, "expected percents such as [80, 95, 100]")
    return tuple(sorted({float(value) for value in given} | (set() if hard else {100.0})))


def _wrong(place: str, key: str, value: Any, expected: str) -> BudgetError:
    return BudgetError(f"{place}: {key} = {value!r} is not usable: {expected}")

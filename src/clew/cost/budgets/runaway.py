"""What a run away is: the limits of repetition and fan-out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

from clew.errors import BudgetError

Rule = Literal["repeats", "no_progress", "children", "depth", "agents"]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runaway:
    """Limits, each of them the most that is allowed; None: no limit.

    :ivar repeats: calls of one tool with the same arguments in one run
    :ivar no_progress: results of one tool, or answers of one model, that are the same (or the same error) one after the other
    :ivar children: spans directly below one span
    :ivar depth: agents inside each other
    :ivar agents: agents in one run
    :ivar hard: the step beyond the limit is refused; else it is only told
    """

    repeats: int | None = None
    no_progress: int | None = None
    children: int | None = None
    depth: int | None = None
    agents: int | None = None
    hard: bool = True


KEYS: Final = tuple(entry.name for entry in fields(Runaway))


def runaway(given: Mapping[str, Any], place: str) -> Runaway:
    """Limits from their keywords, those of ``[runaway]``.

    :raises BudgetError: a value cannot be used; names the place, the value and what is expected
    """
    for rule in RULES:
        limit = given.get(rule)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise BudgetError(f"{place}: {rule} = {limit!r} is not usable: expected a whole number of at least 1")
    if all(given.get(rule) is None for rule in RULES):
        raise BudgetError(f"{place} limits nothing; give at least one of {', '.join(RULES)}")
    if not isinstance(given.get("hard", True), bool):
        raise BudgetError(f"{place}: hard = {given['hard']!r} is not usable: expected true or false")
    return Runaway(**{key: given[key] for key in KEYS if given.get(key) is not None})

"""From panels to questions and back: panels that need the same figures ask for them once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from clew.model.dashboards.panel import Panel
from clew.observe.query.dashboards.period import Period
from clew.observe.query.filter import Equals, Not, Present, Term, Value, render
from clew.observe.store.store import Store


class Need(NamedTuple):
    """A question to the store: ``fetch(store, *arguments)``. Equal ones are asked once."""

    fetch: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    parts: frozenset[str] = frozenset()
    """What of its answer is wanted, where it can leave something out: passed as ``parts`` then."""

    def __call__(self, store: Store) -> Any:
        return self.fetch(store, *self.arguments, **({"parts": self.parts} if self.parts else {}))


def widest(needs: Iterable[Need]) -> dict[Need, Need]:
    """Each need -> that which is asked for it: with the parts that any other of the same question needs."""
    found = list(dict.fromkeys(needs))
    parts: dict[tuple[Any, ...], frozenset[str]] = {}
    for need in found:
        parts[need[:2]] = parts.get(need[:2], frozenset()) | need.parts
    return {need: need._replace(parts=parts[need[:2]]) for need in found}


@dataclass(frozen=True, slots=True)
class Asked:
    """What all panels share."""

    period: Period
    filter: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Panel -> the key that the reader chose."""

    def within(self, filter: str = "", period: Period | None = None) -> str:
        """A panel's filter with the shared one and the time."""
        return joined(filter, self.filter, (period or self.period).filter)


Found = Mapping[Need, Any]
"""The answers of needs."""


def joined(*filters: str) -> str:
    """Their conjunction."""
    given = [text.strip() for text in filters if text.strip()]
    return " ".join(f"({text})" if len(given) > 1 and not _is_one(text) else text for text in given)


def _is_one(text: str) -> bool:
    """Whether it stands beside others without parentheses."""
    return " OR " not in text


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*")
"""Values that need no quotes."""


def term(field: str, value: str) -> str:
    """The filter for spans whose field (or ``@attribute``) has a value; '' for those without."""
    name, attribute = field.removeprefix("@"), field.startswith("@")
    if not value:
        return render(Not(Term(name, Present(), attribute)))
    return render(Term(name, Equals(Value(value, quoted=not _PLAIN.fullmatch(value))), attribute))


def address(path: str, **parameters: Any) -> str:
    """An address of the API."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"/api/v1/{path}" + (f"?{urlencode(given)}" if given else "")


class Kind(NamedTuple):
    """How one kind of question is asked and answered."""

    needs: Callable[[Panel, Asked], list[Need]]
    shape: Callable[[Panel, Asked, Found], Any]
    mistakes: Callable[[Panel], Iterable[str]]
    views: tuple[str, ...]
    is_patient: bool = False
    """Whether it may take long: it does not hold up the others."""

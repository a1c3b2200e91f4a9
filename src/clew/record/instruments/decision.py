"""A decision: what was to be decided, what could be chosen, what was, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from clew.model import attributes as names
from clew.record.guard import fault
from clew.record.span import Span
from clew.record.values import text


class DecisionSpan(Span):
    """``with clew.decision("pick file", options=[...]) as d: d.choose("a.py", reason="...", confidence=0.9)``"""

    __slots__ = ()

    def options(self, options: Iterable[Any]) -> Self:
        """What can be chosen: names, or mappings with ``name`` and optionally ``score`` and ``reason``."""
        try:
            if isinstance(options, (Sequence, Mapping, set, frozenset)) and not isinstance(options, str):
                items = [{"name": key, "score": score} for key, score in options.items()] if isinstance(options, Mapping) else options
                self.set(names.DECISION_OPTIONS, [item if isinstance(item, Mapping) else {"name": text(item)} for item in items])
            else:
                self.set(names.DECISION_OPTIONS, options)
        except Exception:
            fault("recording options")
        return self

    def choose(self, option: Any, *, reason: str | None = None, confidence: float | None = None, by: str | None = None) -> Self:
        """What was chosen and why; ``confidence`` from 0 to 1; ``by`` whom or what. Choosing again replaces it."""
        try:
            name = option.get("name", option) if isinstance(option, Mapping) else option
            self.set(names.DECISION_CHOICE, text(name))
            self.set(names.DECISION_REASON, reason)
            self.set(names.DECISION_CONFIDENCE, None if confidence is None else float(confidence))
            self.set(names.DECISION_BY, by)
        except Exception:
            fault("recording a choice")
        return self

    def output(self, value: Any) -> Self:
        return self.choose(value)

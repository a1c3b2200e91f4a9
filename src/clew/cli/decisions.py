"""What was decided, as it stands below a decision in the tree: the option, how sure, by whom, and why."""

from __future__ import annotations

from collections.abc import Sequence

from clew.cli.terminal import safe, safe_lines
from clew.model import attributes as a
from clew.observe.query.traces import Span

MOST_REASONS = 50
"""Decisions of a run whose reason is fetched unless all are asked for; reasons are content, one look-up each."""


def explained(spans: Sequence[Span]) -> list[Span]:
    """The decisions that have a reason."""
    return [span for span in spans if span.kind == "decision" and a.DECISION_REASON in span.content_keys]


def lines(span: Span, reason: str = "", *, repeated: bool = False) -> list[str]:
    """The choice on the first line, then the reason as it was written. Empty for what is not a decision that has ended.

    :param repeated: it stands for several that chose the same; how sure each was, and why, is its own
    """
    if span.kind != "decision" or span.state != "ended":
        return []
    choice = safe(span.attributes.get(a.DECISION_CHOICE, ""))
    if repeated:
        return [f"\N{RIGHTWARDS ARROW} {choice}" if choice else "nothing chosen"]
    facts = [f"confidence {_confidence(text)}"] if (text := span.attributes.get(a.DECISION_CONFIDENCE, "")) else []
    if by := safe(span.attributes.get(a.DECISION_BY, "")):
        facts.append(f"by {by}")
    if not choice and not facts and not reason:
        return [] if span.status == "error" else ["nothing chosen"]
    first = (f"\N{RIGHTWARDS ARROW} {choice}" if choice else "nothing chosen") + (f" ({', '.join(facts)})" if facts else "")
    return [first, *(f"  {line}" for line in safe_lines(reason.strip()) if reason.strip())]


def _confidence(text: str) -> str:
    try:
        return f"{float(text):.2f}"
    except ValueError:  # another program's
        return safe(text)

"""What was said in a run: the messages of its model calls, in order."""

from __future__ import annotations

from collections.abc import Iterable

from clew.cli import figures
from clew.cli.messages import Message, messages
from clew.cli.terminal import Page, safe, safe_lines
from clew.cli.waterfall import cost_of
from clew.observe.query.traces import Span


def write(page: Page, said: Iterable[tuple[Span, dict[str, str]]], everything: bool = False) -> None:
    """Writes the messages of model calls; those that an earlier call of the run has already shown at its beginning are folded."""
    known: set[Message] = set()
    for span, contents in said:
        page.line()
        facts = [f"{safe(span.name)}", safe(span.model), figures.clock(span.start_ns), figures.duration(span.duration_ns)]
        if span.is_model_call:
            facts += [figures.tokens(span.input_tokens, span.output_tokens) + " tokens", cost_of([span])]
        page.line(
            page.style(span.kind, span.kind)
            + " "
            + page.style(" · ".join(fact for fact in [*facts, f"span {span.span_id[:8]}"] if fact), "strong")
        )
        found = messages(span.attributes, contents)
        folded = 0
        while not everything and folded < len(found) - 1 and found[folded] in known:
            folded += 1
        if folded:
            page.note(f"  {figures.plural(folded, 'message')} as before; --all shows {'it' if folded == 1 else 'them'} again")
        for message in found[folded:]:
            page.line(page.style(f"  {safe(message.role)}", "faint"))
            page.lines(f"    {text}" for text in safe_lines(message.text))
        if not found:
            page.note("  no messages were recorded")
        known.update(found)

"""``clew show``: one run as a tree."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from clew.cli import decisions, figures, invocation, transcript, waterfall
from clew.cli.runs import no_price, state, style_of
from clew.cli.terminal import Page, safe, safe_lines
from clew.errors import AmbiguousId, NotFound
from clew.model.attributes import DECISION_REASON
from clew.observe.query.runs import Run
from clew.observe.query.traces import Span, Trace

if TYPE_CHECKING:
    from clew.cli.client import Client


@click.command("show")
@click.argument("run")
@click.option("--messages", "--content", "with_messages", is_flag=True, help="Also write the messages of the model calls.")
@click.option("--span", metavar="ID", help="Write everything about this one span of the run.")
@click.option("--all", "everything", is_flag=True, help="Collapse no repeats, cut nothing, fold no messages.")
@invocation.as_json
@invocation.common
def command(run: str, with_messages: bool, span: str | None, everything: bool, as_json: bool) -> None:
    """Show one run as a tree, with times, tokens, cost and errors.

    RUN is an id, which may be shortened, or `last` for the newest run.
    """
    from clew.cli.operations import ATTRIBUTES, CONTENTS, TRACE

    with invocation.reading("show") as client:
        trace = client.ask(TRACE, run_id=run)
        page = invocation.page()
        if span is not None:
            found = one(trace, span)
            contents = client.ask(CONTENTS, run_id=trace.run.run_id, span_id=found.span_id)
            if as_json:
                attributes = client.ask(ATTRIBUTES, run_id=trace.run.run_id, span_id=found.span_id)
                page.json({"span": found, "attributes": attributes, "contents": contents})
            else:
                write_span(page, trace, found, contents)
            return
        if as_json:
            page.json({"trace": trace, "contents": _contents(client, trace)} if with_messages else trace)
            return
        explained = decisions.explained(trace.spans)
        asked = explained if everything else explained[: decisions.MOST_REASONS]
        said_why = {span.span_id: client.ask(CONTENTS, run_id=trace.run.run_id, span_id=span.span_id) for span in asked}
        reasons = {span_id: values.get(DECISION_REASON, "") for span_id, values in said_why.items()}
        write(page, trace, now_ns=time.time_ns(), everything=everything, reasons=reasons)
        if len(asked) < len(explained):
            page.note(f"the reasons of the first {len(asked)} of {len(explained):,} decisions are shown; --all shows all")
        if with_messages:
            said = ((span, client.ask(CONTENTS, run_id=trace.run.run_id, span_id=span.span_id)) for span in _talking(trace))
            transcript.write(page, said, everything)
        elif page.is_terminal and any(_talking(trace)):
            page.line()
            page.note(f"clew show {trace.run.run_id[:8]} --messages   what was said; --span ID   everything about one span")


def one(trace: Trace, span_id: str) -> Span:
    """The span with that (possibly shortened) id.

    :raises NotFound: none has it
    :raises AmbiguousId: several do
    """
    found = [span for span in trace.spans if span.span_id.startswith(span_id.lower())]
    if not found:
        raise NotFound(
            f"no span of run {trace.run.run_id[:8]} has an id that starts with {span_id!r}; clew search run:{trace.run.run_id[:8]} lists them"
        )
    if len(found) > 1:
        some = ", ".join(span.span_id for span in found[:5])
        raise AmbiguousId(
            f"{len(found)} spans have an id that starts with {span_id!r}: {some}{', …' if len(found) > 5 else ''}; give more digits"
        )
    return found[0]


def _talking(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if (span.is_model_call or span.kind == "llm") and span.content_keys]


def _contents(client: Client, trace: Trace) -> dict[str, dict[str, str]]:
    from clew.cli.operations import CONTENTS

    return {span.span_id: client.ask(CONTENTS, run_id=trace.run.run_id, span_id=span.span_id) for span in _talking(trace)}


def write(page: Page, trace: Trace, *, now_ns: int, everything: bool = False, reasons: Mapping[str, str] | None = None) -> None:
    """Writes the header, the tree, and what is in doubt. ``reasons`` of decisions by span id."""
    write_header(page, trace.run, now_ns)
    page.line()
    waterfall.write(page, trace, now_ns=now_ns, everything=everything, reasons=reasons)
    notes = doubts(trace)
    if notes:
        page.line()
    for note in notes:
        page.note(note)


def write_header(page: Page, run: Run, now_ns: int) -> None:
    outcome = state(run)
    took = figures.duration(run.duration_ns)
    sentence = {
        "ok": f"done in {took}",
        "error": f"failed after {took}",
        "running": f"running for {figures.duration(max(now_ns - run.start_ns, 0))}",
        "lost": "lost: its process ended before the run did",
    }.get(outcome, outcome)
    errors = f", {figures.plural(run.errors, 'span')} with an error" if run.errors else ""
    page.line(
        f"{page.style(safe(run.name) or '(no name)', 'strong')} {page.style(sentence, style_of(outcome) if outcome != 'ok' else '')}{errors}"
    )
    facts = [figures.moment(run.start_ns), figures.ago(run.start_ns, now_ns), safe(run.service), figures.plural(run.spans, "span")]
    if run.model_calls:
        facts += [
            figures.plural(run.model_calls, "model call"),
            f"{figures.tokens(run.input_tokens, run.output_tokens)} tokens",
            figures.cost(run.cost_usd, run.partial_cost_usd),
            ", ".join(safe(model) for model in run.models),
        ]
    page.line(" · ".join(fact for fact in facts if fact))
    ids = [f"run {run.run_id}"] + ([f"session {safe(run.session_id)}"] if run.session_id else [])
    page.line(page.style(" · ".join(ids), "faint"))


def doubts(trace: Trace) -> list[str]:
    """Why costs are not known, and what is odd about the tree."""
    calls = [span for span in trace.spans if span.is_model_call]
    notes = []
    unpriced = [span for span in calls if span.cost_source == "unpriced"]
    if unpriced:
        notes.append(no_price(sorted({span.model for span in unpriced}), len(unpriced)))
    missing = sum(span.cost_source == "missing" for span in calls)
    if missing:
        notes.append(f"{figures.plural(missing, 'model call')} recorded no usage: the cost there is not known")
    if trace.orphans:
        notes.append(f"{figures.plural(trace.orphans, 'span')} name{'s' if trace.orphans == 1 else ''} a parent that is not in the store")
    return notes


def write_span(page: Page, trace: Trace, span: Span, contents: dict[str, str]) -> None:
    """Writes everything about one span."""
    outcome = span.state if span.state != "ended" else span.status
    page.line(f"{page.style(span.kind, span.kind)} {page.style(safe(span.name), 'strong')} {page.style(outcome, style_of(outcome))}")
    parent = next((found for found in trace.spans if found.span_id == span.parent_span_id), None)
    facts: list[tuple[str, Any]] = [
        ("run", trace.run.run_id),
        ("span", span.span_id),
        (
            "parent",
            f"{span.parent_span_id} {parent.kind + ' ' + parent.name if parent else '(not in the store)'}" if span.parent_span_id else "",
        ),
        ("started", f"{figures.moment(span.start_ns)}.{span.start_ns % 1_000_000_000:09}"),
        ("duration", figures.duration(span.duration_ns)),
        ("agent", span.agent),
        ("model", span.model),
        ("tool", span.tool),
    ]
    if span.is_model_call:
        facts += [
            ("tokens", figures.tokens(span.input_tokens, span.output_tokens)),
            ("cached", figures.count(span.cache_read_tokens) if span.cache_read_tokens else ""),
            ("reasoning", figures.count(span.reasoning_tokens) if span.reasoning_tokens else ""),
            ("cost", f"{figures.money(span.cost_usd)} {span.cost_source}"),
        ]
    for name, value in facts:
        if value:
            page.line(f"{page.style(f'{name:10}', 'faint')}{safe(str(value))}")
    if span.status_message:
        page.line()
        page.lines(page.style(text, "error") for text in safe_lines(span.status_message))
    for event in span.events:
        page.line()
        page.line(f"{page.style('event', 'faint')} {figures.clock(event.time_ns)} {page.style(safe(event.name), 'strong')}")
        _write_values(page, event.attributes)
    for title, values in (
        ("attributes", {key: value for key, value in span.attributes.items() if key not in contents}),
        ("content", contents),
    ):
        if values:
            page.line()
            page.line(page.style(title, "faint"))
            _write_values(page, values)


def _write_values(page: Page, values: dict[str, str]) -> None:
    for key in sorted(values):
        texts = safe_lines(values[key])
        if len(texts) == 1 and (page.width is None or len(key) + len(texts[0]) < page.width - 4):
            page.line(f"  {page.style(safe(key), 'faint')}  {texts[0]}")
        else:
            page.line(f"  {page.style(safe(key), 'faint')}")
            page.lines(f"    {text}" for text in texts)

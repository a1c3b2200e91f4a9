"""``clew run``: runs a workflow in this process. The store is never opened: what is recorded goes to the spool."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from clew.cli import figures, invocation, words
from clew.cli.terminal import safe, safe_lines
from clew.errors import ClewError, DocumentError

if TYPE_CHECKING:
    from clew.act.workflow.document import Document, Node
    from clew.act.workflow.figures import RunOutput
    from clew.act.workflow.metrics import MetricsCollector
    from clew.act.workflow.run import RunResult
    from clew.act.workflow.source import Source
    from clew.act.workflow.trace import WorkflowTraceCollector

DONE, FAILED, USAGE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130
TRACES: Final = "traces"
"""Folder of the data directory that holds trace files."""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of one invocation."""

    trace: bool
    as_json: bool
    record: bool
    dry_run: bool
    limited: bool
    """Budgets or other limits hold."""

    @property
    def traces(self) -> Path:
        return invocation.data_dir() / TRACES


def _pair(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not name=value")
        found[name] = value
    return found


@click.command("run")
@click.argument("file", metavar="FILE|WORDS")
@click.option("-i", "--input", "given", multiple=True, metavar="NAME=VALUE", callback=_pair, help="An input; may be given several times.")
@click.option("--inputs", "inputs_file", metavar="FILE", help="Inputs as a JSON or YAML mapping; - reads stdin.")
@click.option("--trace", is_flag=True, help="Write what each node did to a file in DATA_DIR/traces.")
@click.option("--trace-planner", is_flag=True, help="Write how the workflow was planned to a file in DATA_DIR/traces.")
@click.option(
    "--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="json adds times, tokens and cost."
)
@click.option("--no-record", is_flag=True, help="Record nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would run, how long and at what cost by earlier runs; run nothing.")
@click.option("--yes", is_flag=True, help="Run what was planned without asking.")
@click.option("--planner-model", metavar="MODEL", help="Model that plans, as PROVIDER:MODEL; default: CLEW_PLANNER_MODEL.")
@click.option(
    "--workflows",
    "directories",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Directory of known workflows instead of ./workflows and DATA_DIR/workflows; may be given several times.",
)
@click.option("--save", metavar="NAME", help="Keep a new workflow as DATA_DIR/workflows/NAME.yaml.")
@click.option(
    "--planner-timeout", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, metavar="S", help="Longest time to plan."
)
@invocation.common
def command(
    file: str,
    given: dict[str, str],
    inputs_file: str | None,
    trace: bool,
    trace_planner: bool,
    output_format: str,
    no_record: bool,
    dry_run: bool,
    yes: bool,
    planner_model: str | None,
    directories: tuple[Path, ...],
    save: str | None,
    planner_timeout: float,
) -> int:
    """Run a workflow document, or have a model plan one from words.

    FILE is YAML or JSON, or - for stdin. WORDS, in quotes, say what is to be done: a model chooses a known workflow or writes a new one, which is
    shown and runs after consent. The result goes to stdout, everything else to stderr; clew show last shows the run afterwards.
    """
    if file == "-" == inputs_file:
        raise click.UsageError("FILE and --inputs cannot both be stdin")
    options = Options(trace, output_format == "json", not no_record, dry_run, _limits())
    planning = words.Options(
        planner_model, planner_timeout, directories, options.traces if trace_planner else None, not no_record, yes, dry_run, save
    )
    if words.are_words(file):
        planner_model = words.check(planning)
    else:
        _say_unused(trace_planner=trace_planner, yes=yes, planner_model=planner_model, workflows=directories, save=save)
        planner_model = None
    _record(options.record and (planner_model is not None or not dry_run), options.limited)
    metrics = _metrics() if options.as_json else None
    try:
        inputs = {**(_inputs_of(inputs_file) if inputs_file is not None else {}), **given}
        if planner_model is not None:
            return _run_words(file, inputs, planner_model, planning, options, metrics)
        source, document = read(file)
        if dry_run:
            return _dry_run(source, document, inputs, options)
        return _run(document, inputs, source, options, metrics)
    except ClewError as error:
        if metrics is None:
            raise
        _say(error)
        click.echo(_json(output(metrics, error=str(error))))
        return FAILED


def _say_unused(**flags: Any) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in flags.items() if value]
    if given:
        invocation.warn(
            f"warning: FILE is a document, so nothing is planned, and {', '.join(given)} {'has' if len(given) == 1 else 'have'} no effect"
        )


def _record(on: bool, limited: bool) -> None:
    import clew

    if on:
        clew.init(data_dir=invocation.data_dir())
    elif limited:  # they see spans: those are made, and go nowhere
        clew.init(data_dir=invocation.data_dir(), spool=False, endpoint="", console=False)
    else:
        clew.init(disabled=True)


def _limits() -> bool:
    """Whether files declare budgets or limits of loops.

    :raises BudgetError: they cannot be used
    """
    from clew import settings
    from clew.cost.budgets import places
    from clew.cost.budgets.declared import read_all

    found = read_all(places(invocation.data_dir(), settings.get("budgets")))
    return bool(found.budgets or found.runaway)


def _metrics() -> MetricsCollector:
    from clew.act.workflow.metrics import MetricsCollector
    from clew.cost.prices import PriceBook

    return MetricsCollector(PriceBook.from_settings(invocation.data_dir()))


def read(file: str) -> tuple[Source, Document]:
    """The document of a file.

    :raises DocumentError: it cannot be read, or has mistakes
    """
    from clew.act.workflow import check, registry
    from clew.act.workflow import source as reader

    source = reader.read(file)
    return source, check.checked(source, registry.node_types())


def _inputs_of(file: str) -> dict[str, Any]:
    from clew.act.workflow import source

    return source.read(file).data


def _dry_run(source: Source, document: Document, inputs: Mapping[str, Any], options: Options) -> int:
    from clew.act.workflow.inputs import inputs_for
    from clew.cli import dry_run

    try:
        inputs_for(document, inputs, partial=True)
    except DocumentError as error:
        _say(error)
        return USAGE
    plan = dry_run.planned(document, _loader(source))
    page = invocation.page()
    if options.as_json:
        page.json(plan.to_json())
    else:
        dry_run.write(page, plan)
    return DONE


def _run_words(
    text: str, inputs: Mapping[str, Any], model: str, planning: words.Options, options: Options, metrics: MetricsCollector | None
) -> int:
    """Plans, asks and runs. What planning took and cost is in the figures, whatever comes of it."""
    result = words.plan(text, inputs, model, planning, metrics)
    files = tuple(filter(None, [result.trace_path]))
    error = result.error
    planned = result.planned
    if planned is not None:
        if planning.save is not None:
            words.keep(planned, planning.save)
        if options.dry_run:
            return _dry_run(planned.source, planned.document, inputs, options)
        if words.may_run(planning):
            return _run(planned.document, planned.given, planned.source, options, metrics, calls=result.calls, trace_files=files)
        error = "not run: there was no consent"
    assert error is not None
    _say(ClewError(error))
    if metrics is not None:
        paths = [str(path) for path in files]
        click.echo(_json(output(metrics, calls=result.calls, error=error, run_id=result.run_id, trace_files=paths)))
    return FAILED


def _loader(source: Source) -> Callable[[Node], Document | None]:
    """What a node of type ``workflow`` would run; None where that is known only at run time."""
    from clew.act.workflow import check, registry
    from clew.act.workflow import source as reader
    from clew.act.workflow.templates import is_templated

    def load(node: Node) -> Document | None:
        path, written = node.params.get("path"), node.params.get("document")
        try:
            if isinstance(path, str) and not is_templated(path):
                return check.checked(reader.read(source.base / path), registry.node_types())
            if isinstance(written, dict):
                return check.checked(reader.of(written, name=node.id), registry.node_types())
        except ClewError:  # the document is checked; what cannot be read now may be there at run time
            return None
        return None

    return load


def _run(
    document: Document,
    inputs: Mapping[str, Any],
    source: Source,
    options: Options,
    metrics: MetricsCollector | None,
    *,
    calls: Sequence[Mapping[str, Any]] = (),
    trace_files: tuple[Path, ...] = (),
) -> int:
    """Runs the document; ``calls`` and ``trace_files`` are those of its planning."""
    from clew.act.workflow.inputs import inputs_for
    from clew.act.workflow.run import RunInterrupted, run
    from clew.cost.prices import PriceBook

    try:
        values = inputs_for(document, inputs)
    except DocumentError as error:
        _say(error)
        if metrics is not None:
            click.echo(_json(output(metrics, error=str(error))))
        return USAGE
    trace = _trace(document, source, options) if options.trace else None
    try:
        with _progress(document) as watch:
            found = run(
                document,
                values,
                base=source.base,
                metrics_collector=metrics,
                trace_collector=trace,
                record=options.record or options.limited,
                prices=PriceBook.from_settings(invocation.data_dir()),
                watch=watch,
            )
    except RunInterrupted as interrupt:
        found = interrupt.result
    if not options.record:
        found = replace(found, run_id=None)
    return report(found, metrics, calls=calls, trace_files=trace_files)


def _trace(document: Document, source: Source, options: Options) -> WorkflowTraceCollector:
    from clew.act.workflow.trace import WorkflowTraceCollector

    return WorkflowTraceCollector(
        options.traces,
        document.name,
        workflow_path=str(source.path.absolute()) if source.path is not None else None,
        warn=lambda text: invocation.warn(f"warning: {safe(text)}"),
    )


@contextmanager
def _progress(document: Document) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, which node runs and how many have."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    begun = 0

    def watch(node_id: str) -> None:
        nonlocal begun
        begun += 1
        status.update(Text(f"{document.name}: {node_id} ({begun}/{len(document.nodes)})"))

    with Console(stderr=True).status(Text(document.name)) as status:
        yield watch


def report(
    found: RunResult,
    metrics: MetricsCollector | None,
    *,
    calls: Sequence[Mapping[str, Any]] = (),
    trace_files: tuple[Path, ...] = (),
) -> int:
    """Writes the result to stdout, how it ended to stderr; the exit code."""
    from clew.act.workflow.namespaced import CALLS_KEY
    from clew.wire.redaction import redact_text

    files = (*trace_files, *filter(None, [found.trace_path]))
    error = redact_text(found.error) if found.error is not None else None
    if metrics is not None:
        made = output(
            metrics,
            calls=[*calls, *found.shared[CALLS_KEY]],
            result=found.result if found.status == "ok" else None,
            error=error,
            failed_node=found.failed_node,
            run_id=found.run_id,
            trace_files=[str(file) for file in files],
        )
        click.echo(_json(made))
    elif found.status == "ok":
        _write(found.result)
    sys.stdout.flush()
    _ended(found, error, files)
    return STOPPED if found.stopped else {"ok": DONE, "error": FAILED, "interrupted": INTERRUPTED}[found.status]


def output(
    metrics: MetricsCollector,
    *,
    calls: Any = (),
    result: dict[str, Any] | None = None,
    error: str | None = None,
    failed_node: str | None = None,
    run_id: str | None = None,
    trace_files: list[str] | None = None,
) -> RunOutput:
    """The JSON document of an execution. An ``error`` says that it failed."""
    from clew.act.workflow.figures import RunOutput

    return RunOutput(
        **dict(metrics.summary(calls)),
        result=result,
        is_error=error is not None,
        error=error,
        failed_node=failed_node,
        run_id=run_id,
        trace_files=trace_files or [],
    )


def _json(made: RunOutput) -> str:
    import json

    found = made.model_dump(mode="json")
    first = {key: found[key] for key in ("result", "is_error", "error", "failed_node") if key in found}
    return json.dumps(first | found, indent=2, ensure_ascii=False)


def _write(result: Mapping[str, Any]) -> None:
    """The outputs plainly: the only one as it is, several each after its name."""
    for name, value in result.items():
        text = _text(value)
        click.echo(text if len(result) == 1 else f"{name}: {text}", nl=not text.endswith("\n"))


def _text(value: Any) -> str:
    from clew.act.workflow.plain import encode

    text = value if isinstance(value, str) else encode(value)
    return "\n".join(safe_lines(text)) if sys.stdout.isatty() else text


def _ended(found: RunResult, error: str | None, files: tuple[Path, ...]) -> None:
    """How it ended, what was lost, and where to look further."""
    import clew

    took = figures.duration(found.duration_ns)
    if error is None:
        invocation.warn(f"done in {took}")
    else:
        invocation.warn(
            "\n".join(safe_lines(f"{error}" if found.status == "error" else f"interrupted after {took}, in {found.failed_node}"))
        )
    for file in files:
        invocation.warn(f"trace: {safe(str(file))}")
    clew.flush()
    lost = sum(clew.stats().dropped.values())
    if lost:
        invocation.warn(f"warning: {figures.plural(lost, 'span')} of this run could not be recorded; clew doctor says more")
    elif found.run_id is not None:
        invocation.warn(
            f"clew show {found.run_id[:8]}   what each node did{'' if error is None else f'; clew report {found.run_id[:8]}   what failed and why'}"
        )


def _say(error: BaseException) -> None:
    invocation.warn("\n".join(safe_lines(str(error))))

"""Every error Clew raises on purpose, as one tree.

::

    ClewError
    ├── SettingError          a setting has a value that cannot be used
    ├── MissingExtra          a function needs an optional part that is not installed (also an ImportError)
    │   └── MissingLibrary    a library that is to be recorded, or what records it, is not installed
    ├── UnknownLibrary        a library that Clew cannot record (also a ValueError)
    ├── LangfuseError         Langfuse refused, or could not be reached
    ├── MalformedRecord       telemetry that cannot be read; names the place and the value
    ├── StoreError            the store refused
    │   ├── StoreBusy         another process owns the data directory; names it
    │   ├── StoreNewer        the data directory was written by a newer version
    │   └── StoreUnavailable  the store cannot be opened or written (disk, permissions, damage)
    ├── QueryError            a question that cannot be answered as asked
    │   ├── FilterError       the filter does not parse; points at the character
    │   ├── NotFound          no record has that id
    │   └── AmbiguousId       a shortened id fits several records
    ├── PriceError            the price override file cannot be used
    ├── GitError              a git operation that did not succeed
    ├── MetricError           a metric or label that the catalogue does not have
    ├── BudgetError           a declared budget or limit cannot be used, or the ledger of budgets cannot
    ├── Refused               a span may not start; nothing was sent
    │   ├── BudgetExceeded    a hard budget has no room for the call
    │   └── LoopDetected      the same again, no progress, or too much at once
    ├── GateFailed            a required gate was not passed
    ├── PersonaError          no such persona, or the file of personas cannot be used
    ├── ReportError           a command reports on a run, stage or gate that is not open, or is already
    └── WorkflowError         a workflow that cannot be run, or did not come to its end
        ├── DocumentError     the document has mistakes; names every one
        ├── TemplateError     a template names what is not there
        ├── NodeFailed        a node failed for good; names it and why
        ├── PlanError         no workflow could be planned from the words
        └── ModelError        a model did not answer, or not usably

A message names the offending value and the next step, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ClewError(Exception):
    """Base of every error that Clew raises on purpose."""


class SettingError(ClewError):
    """A setting has a value that cannot be used."""


class MissingExtra(ClewError, ImportError):
    """An optional part is needed and not installed.

    :param function: what the user called
    :param package: the distribution that is missing
    :param extra: the extra that brings it
    """

    def __init__(self, function: str, package: str, extra: str) -> None:
        super().__init__(f"{function} needs the package {package!r}, which is not installed; run: pip install 'clew[{extra}]'")
        self.package = package
        self.extra = extra


class MissingLibrary(MissingExtra):
    """A library that is to be recorded, or what records it, is not installed.

    :param install: the line that installs it
    """

    def __init__(self, function: str, package: str, install: str) -> None:
        ImportError.__init__(self, f"{function} needs the package {package!r}, which is not installed; run: {install}")
        self.package = package
        self.extra = ""


class UnknownLibrary(ClewError, ValueError):
    """A library that Clew cannot record."""


class LangfuseError(ClewError):
    """Langfuse refused, or could not be reached.

    :param status: of HTTP; None when there was no answer
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class MalformedRecord(ClewError):
    """Telemetry that cannot be read as OTLP."""


class StoreError(ClewError):
    """The store refused."""


class StoreBusy(StoreError):
    """Another process owns the data directory."""


class StoreNewer(StoreError):
    """The data directory was written by a newer version of Clew."""


class StoreUnavailable(StoreError):
    """The store cannot be opened or written."""


class QueryError(ClewError):
    """A question that cannot be answered as asked."""


class FilterError(QueryError):
    """A filter that does not parse.

    :param position: zero-based index of the character at fault
    """

    def __init__(self, message: str, *, text: str, position: int) -> None:
        super().__init__(f"{message}\n  {text}\n  {' ' * position}^")
        self.position = position


class NotFound(QueryError):
    """No record has that id."""


class AmbiguousId(QueryError):
    """A shortened id fits several records."""


class PriceError(ClewError):
    """The price override file cannot be used."""


class GitError(ClewError):
    """A git operation that did not succeed, with what git said."""


class MetricError(ClewError):
    """A metric, or a label of one, that the catalogue does not have."""


class PersonaError(ClewError):
    """No such persona, or the file of personas cannot be used."""


class BudgetError(ClewError):
    """A declared budget or limit that cannot be used, or a ledger of budgets that cannot."""


class Refused(ClewError):
    """A processor refused to let a span start. Raised to the caller; the refusal is recorded as a failed span.

    :param attributes: what the failed span says of it, by attribute name
    """

    error_type = "refused"

    def __init__(self, message: str = "", *, attributes: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.attributes = dict(attributes or {})


class BudgetExceeded(Refused):
    """A hard budget has no room for the call, which was not made.

    :param budget: its name
    :param measure: tokens, usd, calls or seconds; None: the call's price is unknown
    :param limit: the limit; ``spent`` and ``reserved`` of it, and ``asked`` for the call, all in the measure's unit
    """

    error_type = "budget_exceeded"

    def __init__(
        self,
        message: str = "",
        *,
        budget: str = "",
        measure: str | None = None,
        limit: float = 0.0,
        spent: float = 0.0,
        reserved: float = 0.0,
        asked: float = 0.0,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, attributes=attributes)
        self.budget, self.measure = budget, measure
        self.limit, self.spent, self.reserved, self.asked = limit, spent, reserved, asked


class LoopDetected(Refused):
    """The same step again and again, no progress, or too much at once.

    :param rule: the limit that was reached: repeats, no_progress, children, depth or agents
    :param count: how far it came
    """

    error_type = "loop_detected"

    def __init__(self, message: str = "", *, rule: str = "", count: int = 0, attributes: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, attributes=attributes)
        self.rule, self.count = rule, count


class GateFailed(ClewError):
    """A required gate was not passed.

    :param gate: its name
    :param result: failed, or error when the check itself could not be made
    :param reason: why
    """

    def __init__(self, gate: str, reason: str = "", *, result: str = "failed") -> None:
        super().__init__(gate, reason)
        self.gate, self.reason, self.result = gate, reason, result

    def __str__(self) -> str:
        what = "failed" if self.result == "failed" else "could not be checked"
        return f"gate {self.gate} {what}{f': {self.reason}' if self.reason else ''}"


class ReportError(ClewError):
    """A command reports on a run, stage or gate that is not open, or is already."""


class WorkflowError(ClewError):
    """A workflow that cannot be run, or did not come to its end."""


class DocumentError(WorkflowError):
    """A workflow document with mistakes.

    :param problems: one text for each mistake, with its place
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__("\n".join([f"{source} has {count}:", *(f"  {problem}" for problem in problems)]))
        self.problems = tuple(problems)


class TemplateError(WorkflowError):
    """A template that names what is not there."""


class NodeFailed(WorkflowError):
    """A node that failed for good.

    :param node_id: which
    """

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(f"node {node_id} failed: {reason}")
        self.node_id = node_id


class PlanError(WorkflowError):
    """No workflow could be planned from the words."""


class ModelError(WorkflowError):
    """A model that did not answer, or not usably.

    :param kind: rate_limit, timeout or error
    :param retry_after_s: seconds that it asks to wait before the next try
    """

    def __init__(self, message: str, *, kind: str = "error", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s

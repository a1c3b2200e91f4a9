"""Every error Clew raises on purpose, as one tree.

::

    ClewError
    ├── SettingError          a setting has a value that cannot be used
    ├── MissingExtra          a function needs an optional part that is not installed (also an ImportError)
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
    └── WorkflowError         a workflow that cannot be run, or did not come to its end
        ├── DocumentError     the document has mistakes; names every one
        ├── TemplateError     a template names what is not there
        ├── NodeFailed        a node failed for good; names it and why
        ├── PlanError         no workflow could be planned from the words
        └── ModelError        a model did not answer, or not usably

A message names the offending value and the next step, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence


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

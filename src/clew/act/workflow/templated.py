"""Gives a node its parameters with the templates in them resolved against what the run knows by then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from clew.act.workflow import running, templates
from clew.act.workflow.wrapper import NodeWrapper

RUN: Final = "run"
"""Root of ``${run.cost_usd}``, ``${run.tokens}`` and the other figures of the run so far."""


class Scope(Mapping[str, Any]):
    """What templates can name: the shared store without Clew's own keys, ``run``, and in a batch the item and its index.

    :param shared: the store; or a node's namespace, whose store is meant
    :param extra: names that go first
    """

    __slots__ = ("_extra", "_shared")

    def __init__(self, shared: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> None:
        self._shared = getattr(shared, "root", shared)
        self._extra = extra or {}

    def __getitem__(self, name: str) -> Any:
        if name in self._extra:
            return self._extra[name]
        if name == RUN and name not in self._shared:
            return figures()
        return self._shared[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._extra
        yield from (name for name in self._shared if not name.startswith("__") and name not in self._extra)
        if RUN not in self._shared:
            yield RUN

    def __len__(self) -> int:
        return sum(1 for _ in self)


def figures() -> dict[str, Any]:
    """The run so far, sub-workflows included: see :func:`clew.act.workflow.metrics.run_figures`."""
    from clew.act.workflow.metrics import run_figures  # loads the price data's readers: only where a template asks

    current = running.run.get()
    return run_figures([]) if current is None else run_figures(current.calls, current.prices)


class TemplateAwareNodeWrapper(NodeWrapper):
    """Resolves the parameters just before each visit. The flow's own parameters, if it has any, stand above the document's.

    :param params: as in the document
    :param verbatim: those of them that are taken as they stand
    """

    def __init__(self, inner_node: Any, params: Mapping[str, Any], *, verbatim: frozenset[str] = frozenset()) -> None:
        super().__init__(inner_node)
        self.verbatim = verbatim
        self.own = dict(params)
        self.params: dict[str, Any] = self.own
        self.extra: Mapping[str, Any] | None = None
        """Names that a batch adds to the scope."""

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = {**self.own, **params} if params else self.own

    def _run(self, shared: Any) -> Any:
        kept = {name: self.params[name] for name in self.verbatim if name in self.params}
        if kept:
            resolved = self.resolved({name: value for name, value in self.params.items() if name not in kept}, shared)
            self.inner_node.set_params({**resolved, **kept})
        else:
            self.inner_node.set_params(self.resolved(self.params, shared))
        return self.inner_node._run(shared)

    def resolved(self, params: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters without templates.

        :raises TemplateError: a template names what is not there
        """
        visit = running.visit.get()
        if visit is None:
            found: dict[str, Any] = templates.resolve(params, Scope(shared, self.extra))
            return found
        noted = visit.resolutions
        place = f"[{self.extra['index']}]." if self.extra is not None and noted is not None else ""

        def note(param: str, template: str, resolved: Any) -> None:
            noted.append((place + param, template, resolved))  # type: ignore[union-attr]

        found = templates.resolve(params, Scope(shared, self.extra), note if noted is not None else None)
        if self.extra is None:
            visit.params = found
        return found

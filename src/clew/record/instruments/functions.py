"""The functions that users wrap code with: ``clew.tool``, ``clew.llm``, ... Each gives a span, or decorates a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload

from clew.model.kinds import KINDS, Kind
from clew.record import state
from clew.record.instrument import Instrument
from clew.record.instruments import table
from clew.record.instruments.decision import DecisionSpan
from clew.record.instruments.llm import LlmSpan, ModelSpan
from clew.record.noop import NOOP
from clew.record.span import Span

if TYPE_CHECKING:
    from pathlib import Path

    from clew.record.instruments.git.repository import Repository

S = TypeVar("S", bound=Span)
F = TypeVar("F", bound=Callable[..., Any])

off = False


def _switch(now_off: bool) -> None:
    global off
    off = now_off


state.switches.append(_switch)


class InstrumentFunction(Generic[S]):
    """What ``clew.tool`` and its like are to a type checker; at run time they are plain functions, which are faster to call."""

    @overload
    def __call__(self, name: str | None = None, /, **attributes: Any) -> S: ...
    @overload
    def __call__(self, function: F, /) -> F: ...
    def __call__(self, name: Any = None, /, **attributes: Any) -> Any:
        raise NotImplementedError


def _function(kind: type[S], instrument: Instrument, doc: str) -> InstrumentFunction[S]:
    def make(name: Any = None, /, **attributes: Any) -> Any:
        if off:
            return NOOP if type(name) is str or name is None else name
        if type(name) is str or name is None or not callable(name):
            return kind(instrument, name, attributes)
        return kind(instrument, None, attributes)(name)

    make.__name__ = make.__qualname__ = str(instrument.kind)
    make.__doc__ = f"{doc}\n\n    {_CONTRACT}"
    return cast(InstrumentFunction[S], make)


_CONTRACT: Final = """Context manager, sync and async, and decorator of functions, coroutines, generators and async generators, bare or with a name.

    :param name: name of the span; for a decorated function its own name unless given
    :param attributes: keywords of the kind (docs/recording.md), ``input`` and ``output``, or any further attribute by its name
    """

workflow: Final = _function(Span, table.WORKFLOW, "A run of a workflow; ``session=`` and ``user=`` say whose it is.")
node: Final = _function(Span, table.NODE, "One step of a workflow.")
agent: Final = _function(ModelSpan, table.AGENT, "An agent at work; its model calls and tools are spans inside.")
llm: Final = _function(LlmSpan, table.LLM, "A call of a language model; ``model=``, ``provider=``, ``messages=``.")
tool: Final = _function(Span, table.TOOL, "A tool call; ``arguments=``. A decorated function's arguments and result are recorded.")
decision: Final = _function(DecisionSpan, table.DECISION, "A decision; ``options=``, then ``choose()``.")
message: Final = _function(Span, table.MESSAGE, "A message from one agent to another.")
memory: Final = _function(Span, table.MEMORY, "An access to memory.")
retrieval: Final = _function(Span, table.RETRIEVAL, "A search in documents.")
embedding: Final = _function(ModelSpan, table.EMBEDDING, "A call of an embedding model; ``model=``, ``provider=``.")
git_span: Final = _function(Span, table.GIT, "A git operation; ``commit=``, ``branch=``.")
task: Final = _function(Span, table.TASK, "A task that is handed out and completed.")
execution: Final = _function(Span, table.EXECUTION, "Code or a command that is executed.")
evaluation: Final = _function(Span, table.EVALUATION, "A judgement of something that was done.")


class Git(InstrumentFunction[Span]):
    """A git operation: ``clew.git("merge")`` is a span for code that runs git itself, like the other instruments; keywords ``commit=``,
    ``branch=``. ``clew.git.repository(path)`` runs git and records it."""

    def __call__(self, name: Any = None, /, **attributes: Any) -> Any:
        return git_span(name, **attributes)

    def repository(self, path: str | Path = ".", *, author: str | None = None) -> Repository:
        """The repository whose work tree ``path`` is in: :class:`clew.Repository`.

        :raises GitError: git is not installed, or there is no repository
        """
        from clew.record.instruments.git.repository import Repository

        return Repository(path, author=author)


git: Final = Git()

_CLASSES: Final[dict[Kind | None, type[Span]]] = {"llm": LlmSpan, "agent": ModelSpan, "embedding": ModelSpan, "decision": DecisionSpan}


def span(name: Any = None, /, kind: Kind = "other", **attributes: Any) -> Any:
    """A span of any kind, by the kind's name; otherwise like the instruments.

    :raises ValueError: there is no such kind
    """
    if off:
        return NOOP if name is None or type(name) is str else name
    instrument = table.BY_KIND.get(kind)
    if instrument is None:
        raise ValueError(f"no such kind of span: {kind!r}; there are {', '.join(KINDS)}")
    made = _CLASSES.get(kind, Span)
    if name is None or type(name) is str or not callable(name):
        return made(instrument, name, attributes)
    return made(instrument, None, attributes)(name)

"""Responses that ask their model only when they are read, such as those of the library ``llm``: timed, recorded and counted when it happens.

Such a response has ``text()`` or ``json()``, which make the request, and ``usage()``, which is right only afterwards. A node may publish
one; the node that reads it pays for it.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from clew.act.workflow import calls
from clew.act.workflow.published import read_call, read_usage
from clew.record.errors import error_type
from clew.record.instruments.functions import llm

_READERS: Final = ("text", "json")


def is_lazy(value: Any) -> bool:
    """Whether ``value`` is a response that has yet to be read. Looks at its class only, so nothing is asked for."""
    kind = type(value)
    return (
        kind.__module__ != "builtins"
        and not issubclass(kind, LazyResponse)
        and callable(getattr(kind, "usage", None))
        and any(callable(getattr(kind, reader, None)) for reader in _READERS)
    )


class LazyResponse:
    """Stands for a response that asks when it is read. The first reading is a model call: a ``clew.llm`` span, and an entry in the ledger
    of the node that reads; later ones give what the first gave. All else is the response's own."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._lock = threading.RLock()
        self._read: dict[str, Any] = {}
        self._asked = False

    def text(self) -> Any:
        return self._reading("text")

    def json(self) -> Any:
        return self._reading("json")

    def usage(self) -> Any:
        """What the response says it used; asks first."""
        self._ask()
        return self._response.usage()

    @property
    def model_name(self) -> str:
        model = getattr(self._response, "model", "")
        return str(getattr(model, "model_id", None) or getattr(model, "name", None) or model or "")

    def _ask(self) -> None:
        if not self._asked:
            self._reading(next(reader for reader in _READERS if hasattr(self._response, reader)))

    def _reading(self, reader: str) -> Any:
        with self._lock:
            if reader not in self._read:
                read = getattr(self._response, reader)
                self._read[reader] = read() if self._asked else self._first(read)
            return self._read[reader]

    def _first(self, read: Any) -> Any:
        model = self.model_name
        started = time.perf_counter_ns()
        error: BaseException | None = None
        with llm(model or None, model=model or None) as span:
            try:
                found = read()
                self._asked = True
                return found
            except BaseException as raised:
                error = raised
                raise
            finally:
                self._note(span, model, time.perf_counter_ns() - started, error)

    def _note(self, span: Any, model: str, duration_ns: int, error: BaseException | None) -> None:
        try:
            usage: Any = self._response.usage() if error is None else None
        except Exception:  # somebody else's code; then the usage is not known
            usage = None
        call = read_call(usage, duration_ns=duration_ns, model=model) if usage else None
        tokens = read_usage(usage) if usage else None
        if tokens is not None:
            span.usage(tokens)
        prompt = getattr(getattr(self._response, "prompt", None), "prompt", getattr(self._response, "prompt", None))
        calls.note(
            calls.ModelCall(
                node_id="",
                model=call.model if call is not None and call.model else model,
                provider=call.provider if call is not None else "",
                usage=tokens,
                cost_usd=call.cost_usd if call is not None else None,
                duration_ns=duration_ns,
                error=None if error is None else error_type(error),
                prompt=prompt if isinstance(prompt, str) else None,
            )
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._response, name)

    def __repr__(self) -> str:
        return f"<response of {self.model_name or 'a model'}, {'read' if self._asked else 'not read yet'}>"

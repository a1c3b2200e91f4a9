"""Retries, a longest time for each try, and a stand-in when all of them have failed."""

from __future__ import annotations

import contextvars
import copy
import threading
import time
from collections.abc import Mapping
from typing import Any

from clew.act.workflow import running
from clew.act.workflow.document import DEFAULT, Retry
from clew.act.workflow.namespaced import FAILURES
from clew.act.workflow.running import Try
from clew.act.workflow.templated import Scope
from clew.act.workflow.templates import resolve
from clew.act.workflow.wrapper import NodeWrapper
from clew.errors import Refused

_ONCE = Retry(attempts=1)
LONGEST_WAIT_S = 60.0
"""A server that asks for more is asked again sooner; the try fails then, and says how long the server wanted."""


class NodeTimeout(TimeoutError):
    """A try took longer than the node's ``timeout_s``."""


class AttemptsNodeWrapper(NodeWrapper):
    """Runs the node until a try succeeds. A try publishes all of its results or none.

    A try whose time is over is given up: what it started outside this process is stopped (:func:`clew.act.workflow.running.on_abandon`), its
    thread is left to itself, and whatever it still does reaches nobody.

    :param fallback: results that stand in when every try has failed; templates in it are resolved then
    """

    def __init__(self, inner_node: Any, *, retry: Retry | None, timeout_s: float | None, fallback: Mapping[str, Any] | None) -> None:
        super().__init__(inner_node)
        self.retry = retry or _ONCE
        self.timeout_s = timeout_s
        self.fallback = fallback
        self.extra: Mapping[str, Any] | None = None
        """Names that a batch adds to the fallback's scope."""

    def _run(self, shared: Any) -> Any:
        wait_s = self.retry.wait_s
        last = self.retry.attempts
        for number in range(1, last + 1):
            results = type(shared)(shared.root) if hasattr(shared, "root") else {}
            try:
                action = self._try(copy.copy(self.inner_node), results)
            except FAILURES as error:
                if number < last and not running.is_abandoned() and not isinstance(error, Refused):  # a limit stays where it is
                    time.sleep(max(wait_s, _asked_for(error)))
                    wait_s *= self.retry.backoff
                    continue
                shared.update(results)
                if self.fallback is None:
                    raise
                shared.update(resolve(self.fallback, Scope(shared, self.extra)))
                return DEFAULT
            shared.update(results)
            return action
        raise AssertionError("a retry has at least one try")

    def _try(self, node: Any, results: Any) -> Any:
        attempt = Try(self.timeout_s, running.attempt.get())
        with running.on_abandon(attempt.abandon):
            token = running.attempt.set(attempt)
            try:
                return node._run(results) if self.timeout_s is None else _timed(node, results, attempt, self.timeout_s)
            finally:
                running.attempt.reset(token)


def _asked_for(error: BaseException) -> float:
    """Seconds that whoever refused asks to wait, as far as a node can be expected to."""
    return min(getattr(error, "retry_after_s", None) or 0.0, LONGEST_WAIT_S)


def _timed(node: Any, results: Any, attempt: Try, timeout_s: float) -> Any:
    """Runs the node in a thread of its own and waits for it as long as it may take."""
    ended: list[Any] = []
    failed: list[BaseException] = []
    scratch = type(results)(results.root) if hasattr(results, "root") else {}

    def work() -> None:
        try:
            ended.append(node._run(scratch))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="clew-try", daemon=True)
    thread.start()
    try:
        thread.join(timeout_s)
    except BaseException:  # an interrupt: nobody waits for the try any more
        attempt.abandon()
        raise
    if not ended and not failed:
        attempt.abandon()
        raise NodeTimeout(f"no result within {timeout_s:g} s; raise timeout_s, or see why it hangs")
    results.update(scratch)
    if failed:
        raise failed[0]
    return ended[0]

"""The life of the process: nothing that has ended is lost when it exits, is told to terminate, or forks."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

from clew.record import propagation, state
from clew.record.context import Remote, Trace, context
from clew.record.guard import fault

SIGNAL_TIMEOUT_S: Final = 2.0
"""Longest wait for the writer in a signal handler; a supervisor sends SIGKILL after ten seconds or more."""

_attended = False
_previous: Any = None


def attend() -> None:
    """Watch over exit, SIGTERM and fork, once per process. Called with the first recorder."""
    global _attended
    if _attended:
        return
    _attended = True
    atexit.register(_at_exit)
    os.register_at_fork(after_in_child=_after_fork)
    _handle_sigterm()


def _at_exit() -> None:
    recorder = state.recorder
    if recorder is not None:
        try:
            recorder.close()
        except Exception:
            fault("writing the last spans")


def _handle_sigterm() -> None:
    """Without a handler SIGTERM ends the process at once. Where the program has one, ours writes and then calls it."""
    global _previous
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous in (signal.SIG_IGN, None, _on_sigterm):  # ignored, or handled by foreign C code: not ours to replace
        return
    _previous = previous
    signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    recorder = state.recorder
    if recorder is not None:
        try:
            recorder.flush(SIGNAL_TIMEOUT_S)
        except Exception:
            fault("writing the last spans")
    if callable(_previous):
        _previous(number, frame)
        return
    # The default action: the parent must see that the signal ended this process.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    """In the child: a recorder of its own, with its own id and file; what waited belongs to the parent, who writes it."""
    try:
        old = state.recorder
        if old is None:
            return
        current = context.current()
        if current is not None:
            trace = current.trace
            context.attach(Remote(Trace(trace.trace_id, trace.sampled, trace.offset, trace.state), current.span_id))
        settings, processors, parent = old.settings, old.processors, old.parent
        sinks, threaded = old._sinks, old._threaded
        old.abandon()
        state.use(type(old)(settings, processors=processors, sinks=sinks, threaded=threaded))
        if state.recorder is not None:
            state.recorder.parent = parent
        _flush_at_hard_exit()
    except Exception:
        fault("starting anew after a fork")


_hard_exit = os._exit


def _flush_at_hard_exit() -> None:
    """A forked child ends by ``os._exit`` (multiprocessing does so), which runs no exit handler: there, and only there, it writes first."""

    def _exit(status: int) -> None:
        recorder = state.recorder
        if recorder is not None and not recorder.idle:
            with contextlib.suppress(BaseException):  # whatever happens, the process must end here
                recorder.close(SIGNAL_TIMEOUT_S)
        _hard_exit(status)

    os._exit = _exit  # type: ignore[assignment]


def attend_worker() -> None:
    """A process that multiprocessing started ends by ``os._exit`` after its own finalizers: register as one of them."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _flush, exitpriority=-100)


def _flush() -> None:
    recorder = state.recorder
    if recorder is not None:
        recorder.flush()


def settle(propagate: bool) -> None:
    """Carry the current span into threads and pools, or stop doing so."""
    (propagation.install if propagate else propagation.remove)()

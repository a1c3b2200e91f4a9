"""Starting, flushing and ending the recorder of this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clew.record import state
from clew.record.context import Remote
from clew.record.guard import fault
from clew.record.processor import Processor
from clew.record.span import Span
from clew.record.stats import FLUSH_TIMEOUT_S, Stats


def init(*, processors: Sequence[Processor] = (), install_opentelemetry: bool = False, **settings: Any) -> None:
    """Start recording with these settings (docs/settings.md); what is not given comes from the environment, then from the defaults.

    Optional: the first span does it too. A second call ends the first recorder, then starts another. Also the way to turn recording on
    again after ``disabled``; functions that were decorated meanwhile stay as they are.

    :param processors: see :class:`clew.Processor`
    :param install_opentelemetry: make :func:`clew.tracer_provider` OpenTelemetry's global provider, so that every instrumentation of the
        program feeds this recorder
    :raises SettingError: a setting has a value that cannot be used
    :raises TypeError: there is no such setting
    """
    from clew.record.recorder import from_settings

    with state.making:
        new = from_settings(settings, processors)
        old = state.recorder
        if old is not None:
            old.close()
        state.use(new)
        if new is not None and new.settings.resources:
            new.run()
    if install_opentelemetry:
        from clew.record.opentelemetry import install

        install()


def flush(timeout: float = FLUSH_TIMEOUT_S) -> bool:
    """Write every span that has ended, and a start record for every span that is open.

    When it returns True, all of it is with the operating system: it survives ``kill -9`` of this process, and has been counted. The OTLP
    exporter is not waited for.

    :param timeout: longest wait, in seconds
    :returns: False when the time was too short
    """
    try:
        recorder = state.recorder
        return True if recorder is None else recorder.flush(timeout)
    except Exception:
        fault("flushing")
        return False


def shutdown(timeout: float = FLUSH_TIMEOUT_S) -> bool:
    """Flush, give the exporter up to ``timeout`` seconds, close the spool, stop recording. Called by itself at exit."""
    try:
        with state.making:
            recorder = state.recorder
            state.use(None)
        return True if recorder is None else recorder.close(timeout)
    except Exception:
        fault("shutting down")
        return False


def stats() -> Stats:
    """What became of the spans of this process so far, after shutdown() too."""
    recorder = state.recorder or state.ended
    return recorder.stats() if recorder is not None else Stats(0, 0, 0, 0)


def current_span() -> Span | None:
    """The span that is current here, if it is one of ours and of this process."""
    from clew.record.propagation import current

    try:
        here = current()
        return None if here is None or isinstance(here, Remote) else here
    except Exception:
        fault("finding the current span")
        return None


def tracer_provider() -> Any:
    """An OpenTelemetry ``TracerProvider`` that feeds this recorder; hand it to an instrumentation (``instrument(tracer_provider=...)``).

    Spans made through it and by Clew's instruments nest in each other. It is not installed globally; ``clew.init(install_opentelemetry=True)``
    does that.

    :raises MissingExtra: opentelemetry-api is not installed
    """
    from clew.record.opentelemetry import provider

    return provider()

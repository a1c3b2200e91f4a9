"""What the commands share by which a shell or an editor's agent reports: ``clew persona``, ``stage``, ``gate`` and ``workflows``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew import settings
from clew.cli import figures, invocation
from clew.record import control
from clew.record.detached import Detached
from clew.record.instruments.personas.reported import Report, project, report


def work() -> str:
    """The piece of work that is reported on: what CLEW_WORK names, else the project's directory."""
    named: str | None = settings.get("work")
    return named or str(project(Path.cwd()))


@contextmanager
def reporting() -> Iterator[Report]:
    """The piece of work, to report on. What is told of it is with the operating system when the block is left."""
    where, idle_s = work(), settings.get("work_idle_s")
    control.init(data_dir=invocation.data_dir(), service=settings.get("service") or Path(where).name)
    try:
        with report(invocation.data_dir(), where, idle_s=idle_s, traceparent=settings.get("traceparent")) as (found, lost):
            if lost:
                invocation.warn(f"nobody reported for {figures.duration(round(idle_s * 1e9))}; given up as lost: {', '.join(lost)}")
            yield found
    finally:
        control.flush()
        dropped = sum(control.stats().dropped.values())
        if dropped:
            invocation.warn(f"warning: {figures.plural(dropped, 'record')} could not be written; clew doctor says more")


def run_of(found: Report) -> Detached:
    """The open run; where there is none, one of the project's name is begun."""
    if found.work.run is not None:
        return found.work.run
    name = Path(work()).name or "work"
    invocation.warn(f"no run was open: run {name} has begun; clew workflows end ends it")
    return found.start_run(name)


def took(span: Detached, now_ns: int) -> str:
    return figures.duration(now_ns - span.start_ns)

"""Work that commands report: a run, the persona that acts, stages, gates. Each command is a process of its own; what is open is kept between them.

``<data_dir>/work/<16 hex digits>.json`` holds what is open of one piece of work: one project's directory, or what CLEW_WORK names. A command holds the
lock beside it from its reading to its writing, so that several shells may report at once. What is open is kept before its start is recorded, and
forgotten after its end is: a command that dies between the two leaves nothing that cannot be ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clew.errors import ReportError
from clew.model import attributes as names
from clew.model.ids import TraceParent, parse_traceparent
from clew.record import detached
from clew.record.detached import Detached
from clew.record.instruments.personas.profiles import FIRST, profile, profiles
from clew.record.labels import ATTRIBUTES
from clew.wire.whole import write_whole

if TYPE_CHECKING:
    from clew.record.instruments.personas.budget import PersonaBudget

Result = Literal["passed", "failed", "error"]

_MOST_ENDED: Final = 1000
"""Ended stages whose ids are remembered, so that a shell which still names one as its parent does not nest in it."""


@dataclass(slots=True)
class Work:
    """One piece of work, as commands find and leave it.

    :ivar name: the project's directory, or what CLEW_WORK names
    :ivar run: the open run; ``session``: of the persona that acts; ``stages``: open ones, in the order of their start
    :ivar objections: what makes the run fail: a failed stage or required gate -> why; a gate that passes later takes its own away
    :ivar ended: span ids of stages and runs that have ended
    :ivar touched_s: when a command last reported, seconds since 1970
    """

    name: str
    run: Detached | None = None
    session: Detached | None = None
    stages: list[Detached] = field(default_factory=list)
    objections: dict[str, str] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    touched_s: float = 0.0

    @property
    def workflow(self) -> str:
        return self.run.name if self.run is not None else ""

    @property
    def persona(self) -> str | None:
        return None if self.session is None else self.session.name

    @property
    def chatmode(self) -> str | None:
        return None if self.session is None else str(self.session.attributes[names.CHATMODE])

    def stage(self, name: str | None) -> Detached | None:
        """The open stage of that name; None: the one that was started last, if there is one.

        :raises ReportError: no such stage is open; names those that are
        """
        if name is None:
            return self.stages[-1] if self.stages else None
        found = next((stage for stage in self.stages if stage.name == name), None)
        if found is None:
            names_ = ", ".join(stage.name for stage in self.stages)
            raise ReportError(f"no stage {name!r} is open; {f'open: {names_}' if names_ else f'clew stage start {name} begins it'}")
        return found


def environment(span: Detached) -> dict[str, str]:
    """What programs need to record within a span, as its work: variables of their environment."""
    held = {label: str(span.attributes.get(name, "")) for label, name in ATTRIBUTES.items()}
    told = ",".join(f"{label}={value}" for label, value in held.items() if value and "," not in value)
    return {"TRACEPARENT": str(span.traceparent), **({"CLEW_LABELS": told} if told else {})}


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a run. ``lost`` are stages that nobody had ended."""

    run: Detached
    failed: str
    lost: tuple[str, ...]


class Report:
    """What a command does to a piece of work. Made by :func:`report`; not to be kept."""

    def __init__(self, path: Path, work: Work, traceparent: TraceParent | None) -> None:
        self._path = path
        self._traceparent = traceparent
        self.work = work

    # -- the run ------------------------------------------------------------------------------------------------------------------

    def start_run(self, workflow: str, *, anew: bool = False) -> Detached:
        """Begins a run.

        :param anew: give up a run that is open, instead of refusing
        :raises ReportError: a run is open
        """
        if self.work.run is not None:
            if not anew:
                raise ReportError(
                    f"a run of {self.work.workflow} is open since {_moment(self.work.run)}; clew workflows end ends it, --anew gives it up as lost"
                )
            self.give_up()
        above = self._traceparent if self._traceparent is not None and self._traceparent.span_id not in self.work.ended else None
        self.work.objections = {}
        self.work.run = self._begin(detached.new("workflow", workflow, above, **{names.WORKFLOW_NAME: workflow}))
        return self.work.run

    def end_run(self, *, failed: str = "") -> Ended:
        """Ends the run, and the session of its persona. Stages that nobody ended are lost.

        :param failed: why, when it failed; else it failed when a stage did, or a required gate that did not pass later
        :raises ReportError: none is open
        """
        run = self.work.run
        if run is None:
            raise ReportError("no run is open; clew workflows start NAME begins one")
        lost = tuple(stage.name for stage in self.work.stages)
        for stage in self.work.stages:
            detached.give_up(stage)
        self.work.stages = []
        self.close_session()
        failed = failed or "; ".join(self.work.objections.values())
        detached.end(run, status="error" if failed else "ok", message=failed)
        self.work.run = None
        self._forget(run)
        return Ended(run, failed, lost)

    def give_up(self) -> tuple[str, ...]:
        """Everything that is open is lost: nobody will end it. Gives the names."""
        work = self.work
        spans = [*filter(None, (work.run, work.session)), *work.stages]
        for span in spans:
            detached.give_up(span)
            work.ended.append(span.span_id)
        work.run = work.session = None
        work.stages, work.objections = [], {}
        self.save()
        return tuple(span.name for span in spans)

    # -- personas -----------------------------------------------------------------------------------------------------------------

    def switch(self, persona: str, chatmode: str | None = None) -> bool:
        """Another persona acts. Gives False, and does nothing, when it does already in that mode.

        :param chatmode: the workflow's name unless given
        :raises PersonaError: there is no such persona
        """
        profile(persona, self._path.parents[1])
        mode = chatmode or self.work.workflow
        if (self.work.persona, self.work.chatmode) == (persona, mode):
            return False
        before = self.work.persona or FIRST
        self.close_session()
        assert self.work.run is not None, "the command has begun one"
        values = {names.AGENT_NAME: persona, names.PERSONA: persona, names.PERSONA_FROM: before, names.CHATMODE: mode}
        self.work.session = self._begin(detached.new("agent", persona, self.work.run.traceparent, **values), "session")
        from clew.record.metrics import metric  # what only some commands need is loaded by them: each is a process of its own

        metric("hypertool_persona_switches_total").labels(from_persona=before, to_persona=persona, chatmode=mode).inc()
        return True

    def tokens(self, persona: str, model: str, count: int) -> int | None:
        """A persona has used so many tokens. Gives what is left of its budget; None when it has none.

        :raises PersonaError: there is no such persona
        """
        from clew.record.metrics import metric

        limit = profile(persona, self._path.parents[1]).tokens
        metric("hypertool_persona_tokens_used_total").labels(persona=persona, chatmode=self.work.chatmode or "", model=model).inc(count)
        if limit is None:
            return None
        self.budget(persona).charge(count)
        return self.left(persona)

    def left(self, persona: str) -> int | None:
        """Tokens left of the budget of a persona that acts, for the metric too; None when it has none."""
        if profile(persona, self._path.parents[1]).tokens is None:
            return None
        from clew.record.metrics import metric

        left = self.budget(persona).remaining()
        metric("hypertool_persona_token_budget_remaining").labels(persona=persona).set(left)
        return left

    def budget(self, persona: str) -> PersonaBudget:
        """The budget of a persona that has one, in this run."""
        from clew.record.instruments.personas.budget import PersonaBudget

        run = self.work.run
        return PersonaBudget(profile(persona, self._path.parents[1]), owner=run.trace_id[:8] if run is not None else "no run")

    def remaining(self) -> dict[str, int]:
        """Tokens left, by persona, of those that have a budget; nothing while no run is open."""
        if self.work.run is None:
            return {}
        known = profiles(self._path.parents[1])
        return {name: self.budget(name).remaining() for name, found in known.items() if found.tokens is not None}

    def close_session(self) -> None:
        """Nobody acts any more."""
        if self.work.session is not None:
            detached.end(self.work.session)
            self.work.session = None

    # -- stages and gates ---------------------------------------------------------------------------------------------------------

    def start_stage(self, name: str, *, persona: str | None = None, beside: bool = False) -> Detached:
        """Begins a stage: within the open stage that was started last, or beside all of them.

        :param persona: who is at work; the one that acts unless given
        :raises ReportError: a stage of that name is open
        """
        if any(stage.name == name for stage in self.work.stages):
            raise ReportError(f"stage {name} is open since {_moment(self.work.stage(name))}; clew stage end {name} ends it")
        assert self.work.run is not None, "the command has begun one"
        values = {names.WORKFLOW_NAME: self.work.workflow, names.STAGE: name}
        if persona := persona or self.work.persona:
            values[names.PERSONA] = persona
            if persona == self.work.persona and self.work.chatmode:
                values[names.CHATMODE] = self.work.chatmode
        stage = detached.new("node", name, self._above(beside), **values)
        return self._begin(stage, "stages")

    def end_stage(self, name: str | None = None, *, failed: str = "") -> Detached:
        """Ends a stage; the one that was started last unless named.

        :param failed: why, when it failed: then the run fails too
        :raises ReportError: no such stage is open, or another is open inside it
        """
        stage = self.work.stage(name)
        if stage is None:
            raise ReportError("no stage is open; clew stage start NAME begins one")
        inner = [other.name for other in self.work.stages if other.parent_span_id == stage.span_id]
        if inner:
            raise ReportError(f"stage {', '.join(inner)} is open inside {stage.name}; clew stage end {inner[-1]} ends it")
        detached.end(stage, status="error" if failed else "ok", message=failed)
        if failed:
            self.work.objections[f"stage {stage.name}"] = f"stage {stage.name} failed: {failed}"
        self.work.stages.remove(stage)
        self._forget(stage)
        return stage

    def start_gate(self, name: str, *, stage: str | None = None, required: bool = True) -> Detached:
        """Begins a check of a stage; the one that was started last unless named.

        :raises ReportError: no such stage is open
        """
        where = self.work.stage(stage)
        if where is None:
            raise ReportError(f"no stage is open for gate {name}; clew stage start NAME begins one")
        values: dict[str, Any] = {
            **{key: value for key, value in where.attributes.items() if key in (names.WORKFLOW_NAME, names.STAGE, names.PERSONA, names.CHATMODE)},
            names.GATE_REQUIRED: required,
        }  # fmt: skip
        return _recording(detached.new("gate", name, where.traceparent, **values))

    def end_gate(self, gate: Detached, result: Result, *, check: str, reason: str = "") -> None:
        """What the check found: the stage passed, failed, or could not be checked. A required gate that is not passed makes the run fail, unless it
        passes later.

        :param check: sort of check: command or manual
        """
        required = bool(gate.attributes[names.GATE_REQUIRED])
        values = {names.GATE_RESULT: result, names.GATE_CHECK: check, **({names.GATE_REASON: reason} if reason else {})}
        told = f"gate {gate.name} {'failed' if result == 'failed' else 'could not be checked'}{f': {reason}' if reason else ''}"
        detached.end(gate, values, status="error" if required and result != "passed" else "ok", message=told)
        key = f"gate {gate.attributes[names.STAGE]}/{gate.name}"
        self.work.objections.pop(key, None)
        if required and result != "passed":
            self.work.objections[key] = told

    # -- what is kept -------------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Keeps the work as it is now."""
        self.work.touched_s = time.time()
        del self.work.ended[:-_MOST_ENDED]
        write_whole(self._path, json.dumps(asdict(self.work), indent=1).encode())

    def _above(self, beside: bool) -> TraceParent:
        run = self.work.run
        assert run is not None
        given = self._traceparent
        if not beside and given is not None and given.trace_id == run.trace_id and given.span_id not in self.work.ended:
            return given
        return (self.work.stages[-1] if self.work.stages and not beside else run).traceparent

    def _begin(self, span: Detached | None, where: str = "") -> Detached:
        begun = _recording(span)
        if where == "stages":
            self.work.stages.append(begun)
        elif where == "session":
            self.work.session = begun
        else:
            self.work.run = begun
        self.save()
        detached.start(begun)
        return begun

    def _forget(self, span: Detached) -> None:
        self.work.ended.append(span.span_id)


@contextmanager
def report(data_dir: Path, work: str, *, idle_s: float, traceparent: str | None = None) -> Iterator[tuple[Report, tuple[str, ...]]]:
    """A piece of work, to report on; kept when the block is left well. Only one process at a time is in such a block.

    Gives the report, and what was given up because no command has reported for longer than ``idle_s`` seconds (0: never).

    :param work: the project's directory, or a name
    :param traceparent: of the shell: what is begun nests in the span that it names, if that is open
    :raises ReportError: what was kept is damaged
    """
    folder = data_dir / "work"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(work.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.json"
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = Report(path, _read(path, work), parse_traceparent(traceparent))
        idle = idle_s and found.work.run is not None and time.time() - found.work.touched_s > idle_s
        yield found, found.give_up() if idle else ()
        found.save()
    finally:
        os.close(lock)


def project(directory: Path) -> Path:
    """The project that a directory is in: the nearest with a ``.git``, else itself."""
    directory = directory.resolve()
    return next((path for path in (directory, *directory.parents) if (path / ".git").exists()), directory)


def _read(path: Path, name: str) -> Work:
    try:
        kept = json.loads(path.read_bytes())
        spans = {key: None if kept[key] is None else Detached(**kept[key]) for key in ("run", "session")}
        return Work(**{**kept, **spans, "stages": [Detached(**stage) for stage in kept["stages"]]})
    except FileNotFoundError:
        return Work(name)
    except (ValueError, TypeError, KeyError) as error:
        raise ReportError(f"{path} is damaged ({error}); delete it: what was open then stays so in the record") from None


def _recording(span: Detached | None) -> Detached:
    if span is None:
        raise ReportError("recording is off, so nothing can be reported; unset CLEW_DISABLED")
    return span


def _moment(span: Detached | None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(span.start_ns / 1e9)) if span is not None else ""

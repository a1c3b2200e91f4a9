"""``LangfuseIntegration``: traces, generations, scores, prompts and datasets of Langfuse, over the one record."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, overload

from clew import settings
from clew.connect.langfuse.contexts import GenerationContext, SpanContext, TraceContext
from clew.connect.langfuse.datasets import DatasetRun, Datasets
from clew.connect.langfuse.prompts import Content, Prompt, chosen
from clew.connect.langfuse.rest import Rest, part
from clew.connect.langfuse.sending import SCORE_ID, LangfuseSink, Later, OtlpTransport, Transport, Whose
from clew.errors import LangfuseError
from clew.model import attributes as names
from clew.model.kinds import Kind
from clew.record import state
from clew.record.instruments.functions import evaluation, llm, workflow
from clew.record.instruments.functions import span as span_of
from clew.record.span import Span

F = TypeVar("F", bound=Callable[..., Any])
Through = Literal["package", "otlp"]

PROMPT_LIFE_S: Final = 60.0
"""How long a prompt is taken from memory before Langfuse is asked again; the time that Langfuse's own client uses."""
FLUSH_S: Final = 10.0
log: Final = logging.getLogger("clew")


class LangfuseIntegration:
    """Sends what is recorded to a Langfuse project, and uses what is kept there.

    Traces and generations that it makes are spans of the one record, like those of every instrument: nothing is recorded twice, and everything that is recorded
    goes to Langfuse, whoever made it. A persona is Langfuse's user, a chatmode its session.

    Without keys nothing is sent, which is logged once; traces are recorded as ever, and every method works.

    :param public_key: default: ``LANGFUSE_PUBLIC_KEY``; likewise ``secret_key``, and ``host`` (``LANGFUSE_BASE_URL``, ``LANGFUSE_HOST``)
    :param through: ``package`` (the ``langfuse`` package; default where it is installed) or ``otlp`` (Langfuse's OTLP endpoint and REST interface)
    :param persona_as_user: False: the end user and the session of the record are Langfuse's
    """

    def __init__(
        self,
        public_key: str | None = None,
        secret_key: str | None = None,
        host: str | None = None,
        *,
        through: Through | None = None,
        persona_as_user: bool = True,
    ) -> None:
        public, secret = settings.get("langfuse_public_key", public_key), settings.get("langfuse_secret_key", secret_key)
        self.host: str = settings.get("langfuse_host", host).rstrip("/")
        self.enabled = bool(public and secret)
        self.whose = Whose()
        self._rest: Rest | None = None
        self._sink: LangfuseSink | None = None
        self._package: Any = None
        self._prompts: dict[tuple[str, str | None, int | None], tuple[float, Prompt]] = {}
        self._later = Later()
        self._now = time.monotonic
        if not self.enabled:
            log.warning(
                "clew: Langfuse is off: set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to send traces there; they are recorded here as ever"
            )
            return
        self._rest = Rest(self.host, public, secret)
        transport: Transport
        if through == "package" or (through is None and _package_is_there()):
            transport = self._package = _package_transport(self.host, public, secret)
        else:
            transport = OtlpTransport(self.host, public, secret)
        self._sink = LangfuseSink(transport, self.whose, self._later, persona_as_user=persona_as_user)
        self.attach()

    @property
    def through(self) -> Through | None:
        """How it sends; None: it does not."""
        return None if not self.enabled else "otlp" if self._package is None else "package"

    def attach(self) -> None:
        """Send what is recorded from here on. Done when it is made; idempotent."""
        if self._sink is not None:
            state.send_to(self._sink)

    def detach(self) -> None:
        """Send nothing more of what is recorded. Idempotent."""
        if self._sink is not None:
            state.send_no_more(self._sink)

    # -- traces -------------------------------------------------------------------------------------------------------------------

    def start_trace(
        self,
        name: str,
        persona: str | None = None,
        chatmode: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        tags: Sequence[str] = (),
        user: str | None = None,
        session: str | None = None,
        input: Any = None,
        observation: Mapping[str, Any] | None = None,
    ) -> TraceContext:
        """A trace, open and current until :meth:`end_trace` or the end of its ``with``. Inside another trace it is a part of that.

        :param tags: beside workflow and stage, which are tags by themselves
        :param observation: attributes of Langfuse that every observation of the trace gets
        """
        whose = {"persona": persona, "chatmode": chatmode, "user": user, "session": session}
        span = workflow(name, input=input, **(metadata or {}), **whose, **{names.TAGS: list(tags) or None})
        made = TraceContext(self, span.start(), whose)
        if made.trace_id:
            known = {"name": name, "tags": list(tags), "metadata": dict(metadata or {}), "observation": dict(observation or {}), **whose}
            self.whose.note(made.trace_id, **{key: value for key, value in known.items() if value})
        return made

    def start_span(
        self, trace: SpanContext | None, name: str, metadata: Mapping[str, Any] | None = None, *, kind: Kind = "node", input: Any = None
    ) -> SpanContext:
        """A span inside ``trace``, under what is current there; None: under what is current."""
        span = span_of(name, kind=kind, input=input, **(metadata or {}))
        return SpanContext(self, self._start(span, trace))

    def create_generation(
        self,
        trace: SpanContext | None,
        name: str,
        model: str,
        prompt: Any = None,
        completion: Any = None,
        usage: Any = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        provider: str | None = None,
        managed: Prompt | None = None,
    ) -> GenerationContext:
        """A model call: one that has taken place when ``completion`` is given, else one that is open until its end.

        :param prompt: what the model is given: text or messages
        :param completion: a provider's response, or a text
        :param managed: the prompt of Langfuse that it was made from
        """
        span = llm(name, model=model, provider=provider, messages=prompt, **(metadata or {}), **(managed.attributes if managed else {}))
        made = GenerationContext(self, self._start(span, trace))
        if completion is not None:
            made.completion(completion, usage).end()
        return made

    def end_trace(self, trace: SpanContext, status: str | None = None) -> None:
        """End a trace."""
        trace.end(status)

    def _start(self, span: Any, trace: SpanContext | None) -> Any:
        from clew.record.context import context
        from clew.record.propagation import current

        above = trace.span if trace is not None else None
        here = current()
        if not isinstance(above, Span) or above.ended or (here is not None and here.trace is above.trace):
            return span.start()
        token = context.attach(above)
        try:
            return span.start()
        finally:
            context.release(token)

    @overload
    def observe(self, function: None = None, /, **options: Any) -> Callable[[F], F]: ...
    @overload
    def observe(self, function: F, /, **options: Any) -> F: ...
    def observe(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        as_type: Literal["span", "generation"] = "span",
        model: str | None = None,
        persona: str | None = None,
        chatmode: str | None = None,
        **metadata: Any,
    ) -> Any:
        """Decorator: each call of the function is a span, or with ``as_type="generation"`` a model call (as by ``clew.observe_llm``)."""
        if function is None:
            return functools.partial(self.observe, name=name, as_type=as_type, model=model, persona=persona, chatmode=chatmode, **metadata)
        if as_type == "generation":
            from clew.record.calls.observed import observe_llm

            return observe_llm(function, model=model, name=name, persona=persona, chatmode=chatmode)
        made = span_of(name or function.__name__, kind="node", persona=persona, chatmode=chatmode, **metadata)
        return made(function)

    # -- scores -------------------------------------------------------------------------------------------------------------------

    def score(
        self,
        of: SpanContext | Span,
        name: str,
        value: float | bool | str,
        comment: str | None = None,
        *,
        whole_trace: bool = False,
    ) -> str:
        """Judge an observation, or with ``whole_trace`` its trace: a number, yes or no, or a word. Recorded as a span of kind ``evaluation``, and sent.

        :returns: the score's id; sending the same judgement of the same thing again replaces it
        """
        span: Any = of.span if isinstance(of, SpanContext) else of
        trace_id, observation_id = f"{span.trace_id:032x}", f"{span.span_id:016x}"
        kind = "BOOLEAN" if isinstance(value, bool) else "CATEGORICAL" if isinstance(value, str) else "NUMERIC"
        subject = trace_id if whole_trace else observation_id
        score_id = hashlib.sha256(f"{trace_id}/{subject}/{name}".encode()).hexdigest()[:32]
        judged = evaluation(
            name,
            **{
                names.EVALUATION_NAME: name,
                names.EVALUATION_VALUE: None if isinstance(value, str) else float(value),
                names.EVALUATION_LABEL: value if isinstance(value, str) else None,
                names.EVALUATION_REASON: comment,
                names.EVALUATION_OF: None if whole_trace else observation_id,
                SCORE_ID: score_id,
            },
        )
        above = _Under(span)
        with above, judged:
            pass
        body = {
            "id": score_id,
            "traceId": trace_id,
            "observationId": None if whole_trace else observation_id,
            "name": name,
            "value": int(value) if isinstance(value, bool) else value,
            "dataType": kind,
            "comment": comment,
        }
        rest = self._rest
        if rest is not None and span.trace_id:
            self._later.do(lambda: rest.post("scores", body))
        return score_id

    # -- prompts ------------------------------------------------------------------------------------------------------------------

    def get_prompt(
        self, name: str, label: str | None = "production", *, version: int | None = None, fallback: Content | None = None
    ) -> Prompt:
        """A prompt by its label, or by its version. Kept for a minute; when Langfuse cannot be reached, the one that was had before is used.

        :param fallback: stands in when there is none
        :raises LangfuseError: there is no such prompt, or it cannot be had, and no fallback is given
        """
        label = None if version is not None else label
        key = (name, label, version)
        found = self._prompts.get(key)
        if found is not None and self._now() - found[0] < PROMPT_LIFE_S:
            return found[1]
        try:
            prompt = self._fetch_prompt(name, label, version)
        except LangfuseError as error:
            if found is not None and error.status != 404:
                return found[1]
            if fallback is not None:
                log.warning("clew: %s; the fallback of prompt %s is used", error, name)
                return Prompt(name, None, fallback)
            raise
        self._prompts[key] = (self._now(), prompt)
        return prompt

    def _fetch_prompt(self, name: str, label: str | None, version: int | None) -> Prompt:
        if self._rest is None:
            raise LangfuseError(f"prompt {name!r} cannot be had: Langfuse has no keys; set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY")
        return Prompt.read(self._rest.get(f"v2/prompts/{part(name)}", label=label, version=version))

    def choose_prompt(self, name: str, labels: Sequence[str], *, key: str | None = None) -> Prompt:
        """One of several labels of a prompt, for an A/B comparison. The version is on the spans of its calls: compare them by ``gen_ai.prompt.version``.

        :param key: whose choice it is, such as a session: the same key always gets the same label; None: at random
        """
        return self.get_prompt(name, chosen(labels, key, name))

    def create_prompt(
        self,
        name: str,
        content: Content,
        *,
        labels: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        message: str | None = None,
    ) -> Prompt:
        """A new version of a prompt.

        :raises LangfuseError: there are no keys, or Langfuse refuses
        """
        body = {
            "type": "text" if isinstance(content, str) else "chat",
            "name": name,
            "prompt": content,
            "labels": list(labels),
            "config": dict(config or {}),
            "commitMessage": message,
        }
        return Prompt.read(self._keys("creating a prompt").post("v2/prompts", body))

    # -- datasets -----------------------------------------------------------------------------------------------------------------

    def create_dataset(self, name: str, description: str | None = None, items: Sequence[Mapping[str, Any]] = ()) -> int:
        """A dataset with its items ``{input, expected_output, metadata}``; the number of items. Creating it again adds nothing: items have ids by their content.

        :raises LangfuseError: there are no keys, or Langfuse refuses
        """
        return Datasets(self._keys("creating a dataset")).create(name, description, items)

    def run_dataset(
        self,
        name: str,
        function: Callable[[Any], Any],
        *,
        run_name: str,
        evaluators: Sequence[Callable[..., Any]] = (),
        persona: str | None = None,
        chatmode: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> DatasetRun:
        """Run a function on every item of a dataset, each a trace of its own, and score what comes out.

        :param function: takes the item's input; sync or async
        :param evaluators: called with ``input``, ``output``, ``expected_output`` and ``metadata``; a number, yes or no, a word, or ``{name, value, comment}``
        :raises LangfuseError: there are no keys, or Langfuse refuses
        """
        return Datasets(self._keys("running a dataset")).run(
            self, name, function, run_name=run_name, evaluators=evaluators, persona=persona, chatmode=chatmode, metadata=metadata
        )

    def _keys(self, what: str) -> Rest:
        if self._rest is None:
            raise LangfuseError(f"{what} needs the keys of Langfuse; set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY")
        return self._rest

    # -- end ----------------------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float = FLUSH_S) -> bool:
        """Send everything that is recorded by now; False when ``timeout`` seconds were too short. At exit it is done by itself."""
        deadline = time.monotonic() + timeout
        recorder = state.recorder
        done = True if recorder is None else recorder.flush(timeout)
        if self._sink is not None:
            done = self._sink.flush(max(deadline - time.monotonic(), 0.0)) and done
        return done


class _Under:
    """Makes a span the parent of what is recorded inside, also when it has ended."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self._token: Any = None

    def __enter__(self) -> None:
        from clew.record.context import context

        if isinstance(self._span, Span) and self._span.started:
            self._token = context.attach(self._span)

    def __exit__(self, *_: object) -> None:
        from clew.record.context import context

        if self._token is not None:
            context.release(self._token)


def _package_is_there() -> bool:
    try:
        return importlib.util.find_spec("langfuse") is not None
    except (ImportError, ValueError):
        return False


def _package_transport(host: str, public_key: str, secret_key: str) -> Any:
    from clew.errors import MissingExtra

    if not _package_is_there():
        raise MissingExtra("LangfuseIntegration(through='package')", "langfuse", "langfuse")
    from clew.connect.langfuse.package import PackageTransport

    return PackageTransport(host, public_key, secret_key)


_default: LangfuseIntegration | None = None
_making: Final = threading.Lock()


def get_langfuse_integration() -> LangfuseIntegration:
    """The integration of this process, made from the settings on first use."""
    global _default
    with _making:
        if _default is None:
            _default = LangfuseIntegration()
        return _default


def reset_langfuse_integration() -> None:
    """Forget it, and send nothing more there."""
    global _default
    with _making:
        if _default is not None:
            _default.detach()
        _default = None

"""The node type ``llm``: asks a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from clew.act.workflow import calls, running
from clew.act.workflow.completion import complete
from clew.act.workflow.document import DEFAULT
from clew.act.workflow.models import names
from clew.act.workflow.nodes import function, node
from clew.act.workflow.nodes.limit import within
from clew.errors import BudgetExceeded, MissingExtra, ModelError, Refused
from clew.model.usage import Usage
from clew.record.calls.request import fell_back
from clew.record.errors import error_type
from clew.record.instruments.functions import decision, tool

if TYPE_CHECKING:
    from pydantic_ai.settings import ModelSettings

    from clew.act.workflow.nodes.asking import Asking

REPAIRS: Final = 2
MOST_REQUESTS: Final = 20


def _names_a_model(name: str) -> str:
    try:
        names.parts(name)
    except ModelError as error:
        raise ValueError(str(error)) from error
    return name


ModelName = Annotated[str, AfterValidator(_names_a_model)]


class Message(node.Params):
    """One earlier message of the conversation."""

    role: Literal["system", "user", "assistant"]
    """Who said it."""
    content: str
    """What was said."""


class LlmNode(node.NodeType):
    """Asks a model, and publishes what it answers: text, or with ``output_schema`` a value that fits the schema."""

    type = "llm"
    kind = "llm"
    outputs: ClassVar[Mapping[str, str]] = {
        "response": "Text of the answer; with ``output_schema`` the value",
        "model": "Model that answered, as it calls itself",
        "finish_reason": "Why the answer ended: ``stop``, ``length``, ``content_filter``, ``tool_call``; null where the provider does not say",
        "llm_usage": "Tokens of all requests of this node: ``model``, ``input_tokens``, ``output_tokens``, ``total_tokens``, and each class that was reported; null where one is unknown",
        "requests": "How many requests it took, failed ones included",
        "fallbacks": "``[{from, to, reason}]`` of the models that were given up",
    }

    class Params(node.Params):
        model: ModelName
        """``PROVIDER:MODEL``, or ``replay:FILE``."""
        prompt: str | None = None
        """What is asked; without it the last of ``messages`` is."""
        system: str | None = None
        """Instructions."""
        messages: list[Message] = Field(default_factory=list)
        """The conversation before the prompt: ``[{role, content}]``, role ``system``, ``user`` or ``assistant``."""
        temperature: Annotated[float, Field(ge=0)] | None = None
        """How far the answer may stray from the likeliest; without it, as with the next two, the provider decides."""
        max_tokens: Annotated[int, Field(ge=1)] | None = None
        """Most tokens of one answer."""
        seed: int | None = None
        """Asks for the same answer to the same request, as far as the provider can."""
        output_schema: dict[str, Any] | None = None
        """JSON Schema of the answer. An answer that does not fit goes back to the model with what is wrong with it."""
        repairs: Annotated[int, Field(ge=0, le=10)] = REPAIRS
        """How often that may happen; then the node fails."""
        tools: list[Annotated[str, Field(pattern=function.PATTERN)]] = Field(default_factory=list)
        """Functions the model may call, ``package.module:name``; their type hints and docstrings tell it how."""
        max_requests: Annotated[int, Field(ge=1)] = MOST_REQUESTS
        """Most requests of one answer, those with results of tools and repairs included."""
        stream: bool = False
        """Have the answer sent in pieces: then what came before a break is recorded, and the time to the first piece."""
        base_url: str | None = None
        """Address of the API instead of the provider's own; not for ``fallback_models``."""
        timeout_s: Annotated[float, Field(gt=0)] = names.TIMEOUT_S
        """Longest time of one request."""
        fallback_models: list[ModelName] = Field(default_factory=list)
        """Models that are asked, one after the other, when the one before failed, or a budget had no room for it."""
        action_from: str | None = None
        """Key of the structured answer whose value is the action of the edge to take."""
        record_to: str | None = None
        """File that every exchange is appended to, for ``replay:FILE``; relative to the document's directory."""

        @model_validator(mode="after")
        def _is_whole(self) -> LlmNode.Params:
            if self.prompt is None and (not self.messages or self.messages[-1].role != "user"):
                raise ValueError("nothing is asked: give prompt, or messages that end with one of the user")
            if self.action_from is not None and self.output_schema is None:
                raise ValueError("action_from needs output_schema: it names a key of the structured answer")
            return self

    @classmethod
    def load(cls, params: Mapping[str, Any]) -> None:
        import_module("clew.act.workflow.nodes.asking")
        names.load(str(params.get("model")))

    def execute(self, params: Params) -> dict[str, Any]:
        try:
            import pydantic_ai  # noqa: F401
        except ImportError as error:
            raise MissingExtra("an llm node", "pydantic-ai-slim", "workflow") from error
        from clew.act.workflow.nodes.asking import Asking

        base = running.base()
        asking = Asking(
            prompt=params.prompt if params.prompt is not None else params.messages[-1].content,
            system=params.system,
            earlier=[
                (message.role, message.content) for message in (params.messages if params.prompt is not None else params.messages[:-1])
            ],
            settings=_settings(params),
            schema=params.output_schema,
            repairs=params.repairs,
            tools=[_recorded(name, function.find(name, base)) for name in params.tools],
            max_requests=params.max_requests,
            stream=params.stream,
        )
        fallbacks: list[dict[str, str]] = []
        with calls.collecting() as ledger:
            response, finish_reason = _first_answer(asking, params, base, fallbacks)
        made = ledger.take()
        return {
            "response": response,
            "model": made[-1].model,
            "finish_reason": finish_reason,
            "llm_usage": calls.llm_usage(made[-1].model, _total([call.usage for call in made])),
            "requests": len(made),
            "fallbacks": fallbacks,
        }

    def post(self, shared: dict[str, Any], prep_res: Params, exec_res: dict[str, Any]) -> str:
        super().post(shared, prep_res, exec_res)
        return DEFAULT if prep_res.action_from is None else _action(exec_res["response"], prep_res.action_from)


def _first_answer(asking: Asking, params: LlmNode.Params, base: Path, fallbacks: list[dict[str, str]]) -> tuple[Any, str | None]:
    """The answer of the first model that gives one. Each change of the model is a decision in the record."""
    candidates = [params.model, *params.fallback_models]
    for number, name in enumerate(candidates):
        try:
            chosen = names.model(
                _replayed(name, base),
                base_url=params.base_url if number == 0 else None,
                timeout_s=within(params.timeout_s),
                record_to=None if params.record_to is None else base / params.record_to,
            )
            return complete(asking.answer(chosen))
        except (ModelError, BudgetExceeded) as error:
            if number + 1 == len(candidates):
                raise
            following = candidates[number + 1]
            fallbacks.append({"from": name, "to": following, "reason": str(error)})
            fell_back(name, following, error_type(error))
            with decision("which model answers", options=candidates[number:]) as made:
                made.choose(following, reason=str(error), by="fallback_models")
    raise AssertionError("there is a model at least")


def _settings(params: LlmNode.Params) -> ModelSettings:
    settings: ModelSettings = {}
    if params.temperature is not None:
        settings["temperature"] = params.temperature
    if params.max_tokens is not None:
        settings["max_tokens"] = params.max_tokens
    if params.seed is not None:
        settings["seed"] = params.seed
    return settings


def _replayed(name: str, base: Path) -> str:
    """A recording's file is relative to the document's directory."""
    kind, _, file = name.partition(":")
    return f"replay:{base / file}" if kind == "replay" and file else name


def _recorded(name: str, found: Callable[..., Any]) -> Callable[..., Any]:
    """``found`` as a tool for the model: each call is a span; what it raises is told to the model."""
    from pydantic_ai.exceptions import ModelRetry, ToolFailed

    @wraps(found)
    async def called(*args: Any, **kwargs: Any) -> Any:
        try:
            with tool(name.partition(":")[2], arguments=kwargs) as span:
                result = found(*args, **kwargs)
                if isawaitable(result):
                    result = await result
                span.output(result)
                return result
        except (ModelRetry, ToolFailed, Refused):  # a limit is for whoever set it, not for the model
            raise
        except Exception as error:
            raise ToolFailed(f"{type(error).__name__}: {error}") from error

    return called


def _total(usages: Sequence[Usage | None]) -> Usage | None:
    """The sum of what was used; None where a request did not say. A class that only some report is theirs."""
    known = [usage for usage in usages if usage is not None]
    if not known or len(known) < len(usages):
        return None
    fields = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")
    totals: dict[str, int | None] = {}
    for field in (*fields, "audio_input_tokens", "audio_output_tokens"):
        values = [value for usage in known if (value := getattr(usage, field)) is not None]
        whole = field in ("input_tokens", "output_tokens")
        totals[field] = sum(values) if values and (len(values) == len(known) or not whole) else None
    return Usage(**totals)


def _action(response: Any, key: str) -> str:
    value = response.get(key) if isinstance(response, dict) else None
    if not isinstance(value, str):
        raise ModelError(f"the answer's {key} is {value!r}, no action; make it a required string in output_schema, best with an enum")
    return value

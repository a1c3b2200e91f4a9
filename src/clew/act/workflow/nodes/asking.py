"""One question to a model, with all that belongs to its answer: tools, a schema, repairs. Through pydantic-ai's agent."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_ai import Agent, ModelRetry, NativeOutput, StructuredDict, ToolOutput
from pydantic_ai import messages as pa
from pydantic_ai.exceptions import AgentRunError, UsageLimitExceeded, UserError
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from clew.act.workflow.models.recorded import RecordedModel
from clew.errors import MissingExtra, ModelError

MOST_FAULTS: Final = 10
"""Faults of an answer that are told to the model at once."""
_WRAPPED: Final = "value"
"""Key that holds an answer whose schema is not an object's: providers take only objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is asked."""

    prompt: str
    system: str | None
    earlier: Sequence[tuple[str, str]]
    """Role and text of the messages before."""
    settings: ModelSettings
    schema: dict[str, Any] | None
    repairs: int
    tools: Sequence[Callable[..., Any]]
    max_requests: int
    stream: bool

    async def answer(self, model: RecordedModel) -> tuple[Any, str | None]:
        """The answer, a text or a value that fits the schema, and why it ended.

        :raises ModelError: the model failed, or gave no usable answer
        """
        validator = None if self.schema is None else _validator(self.schema)
        try:
            agent: Agent[object, Any] = Agent(
                model,
                output_type=str if self.schema is None else _output(self.schema, model),
                instructions=self.system,
                tools=self.tools,
                retries={"tools": 1, "output": 0 if self.schema is None else self.repairs},
            )
        except UserError as error:
            raise ModelError(f"output_schema or tools cannot be used: {error}") from error
        if validator is not None and self.schema is not None:
            wrapped = _is_wrapped(self.schema)

            @agent.output_validator
            def fits(value: Any) -> Any:
                faults = _faults(validator, value.get(_WRAPPED) if wrapped else value)
                if faults:
                    raise ModelRetry("The answer does not fit the schema:\n" + "\n".join(faults))
                return value

        async with model:
            try:
                result = await agent.run(
                    self.prompt,
                    message_history=_history(self.earlier),
                    model_settings=self.settings,
                    usage_limits=UsageLimits(request_limit=self.max_requests),
                    event_stream_handler=_drain if self.stream else None,
                    infer_name=False,
                )
            except ModelError:
                raise
            except UsageLimitExceeded as error:
                raise ModelError(
                    f"{model.name} came to no answer in {self.max_requests} requests; raise max_requests, or ask for less"
                ) from error
            except (AgentRunError, UserError) as error:
                raise ModelError(f"{model.name} {self._fault(error)}") from error
        output = result.output
        if self.schema is not None and _is_wrapped(self.schema):
            output = output[_WRAPPED]
        return (dict(output) if isinstance(output, dict) else output), result.response.finish_reason

    def _fault(self, error: Exception) -> str:
        """What was wrong with the model's last answer."""
        if not str(error).startswith("Exceeded maximum output retries"):
            return f"gave no usable answer: {error}"
        if self.schema is None:
            return "answered nothing; ask in another way, or retry"
        tries = "1 try" if self.repairs == 0 else f"{self.repairs + 1} tries"
        return f"gave no answer that fits output_schema in {tries}: {error.__cause__ or error}; loosen the schema, or raise repairs"


async def _drain(_: Any, events: AsyncIterable[Any]) -> None:
    async for _event in events:
        pass


def _validator(schema: dict[str, Any]) -> Any:
    try:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as error:
        raise MissingExtra("output_schema", "jsonschema", "workflow") from error
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ModelError(f"output_schema is no JSON Schema: {error.message} (at {'/'.join(map(str, error.path)) or 'its top'})") from error
    return kind(schema)


def _faults(validator: Any, value: Any) -> list[str]:
    errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.path)))
    return [f"- {'/'.join(map(str, error.absolute_path)) or 'the whole'}: {error.message}" for error in errors[:MOST_FAULTS]]


def _is_wrapped(schema: dict[str, Any]) -> bool:
    return schema.get("type") != "object"


def _output(schema: dict[str, Any], model: RecordedModel) -> Any:
    """The provider's own structured output where the model has it, else a tool that the model answers with."""
    if _is_wrapped(schema):
        schema = {"type": "object", "properties": {_WRAPPED: schema}, "required": [_WRAPPED], "additionalProperties": False}
    value = StructuredDict(schema, name=schema.get("title") or "answer")
    if model.profile.get("supports_json_schema_output"):
        return NativeOutput(value)
    return ToolOutput(value)


def _history(earlier: Sequence[tuple[str, str]]) -> list[pa.ModelMessage]:
    messages: list[pa.ModelMessage] = []
    for role, content in earlier:
        if role == "assistant":
            messages.append(pa.ModelResponse(parts=[pa.TextPart(content)]))
        else:
            part = pa.SystemPromptPart(content) if role == "system" else pa.UserPromptPart(content)
            messages.append(pa.ModelRequest(parts=[part]))
    return messages

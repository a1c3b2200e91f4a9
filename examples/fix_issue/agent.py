"""An agent: a model, its instructions and its tools, in a loop until the model answers without calling a tool."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openai import OpenAI
from openai.types.chat import ChatCompletion
from repository import ToolError

import clew

MOST_TURNS = 12

Tool = Callable[..., str]
"""A function of texts to a text; its docstring tells the model what it does."""


@dataclass(frozen=True)
class Agent:
    name: str
    model: str
    instructions: str
    client: OpenAI
    tools: Sequence[Tool] = ()
    stream: bool = False

    def run(self, task: str) -> str:
        """The agent's answer to the task."""
        with clew.agent(self.name) as span:
            span.input(task)
            messages: list[dict[str, Any]] = [
                {"role": "system", "content": f"You are the {self.name} of a small team that mends a Python program.\n{self.instructions}"},
                {"role": "user", "content": task},
            ]
            for _ in range(MOST_TURNS):
                message = self._ask(messages).choices[0].message
                calls = [call for call in message.tool_calls or [] if call.type == "function"]
                if not calls:
                    span.output(message.content)
                    return message.content or ""
                said = [
                    {"id": call.id, "type": "function", "function": call.function.model_dump(include={"name", "arguments"})}
                    for call in calls
                ]
                messages.append({"role": "assistant", "content": message.content, "tool_calls": said})
                for call in calls:
                    result = self._use(call.function.name, call.function.arguments, call.id)
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
            raise RuntimeError(f"the {self.name} did not come to an end in {MOST_TURNS} turns")

    def _ask(self, messages: list[dict[str, Any]]) -> ChatCompletion:
        request: dict[str, Any] = {"model": self.model, "messages": messages}
        if self.tools:
            request["tools"] = [_schema(tool) for tool in self.tools]
        with clew.llm("chat", provider="openai", stream=self.stream, **request) as call:
            if not self.stream:
                response: ChatCompletion = self.client.chat.completions.create(**request)
            else:
                with self.client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
                    for _ in stream:
                        call.first_chunk()
                    response = stream.get_final_completion()
            call.response(response)
            return response

    def _use(self, name: str, arguments: str, call_id: str) -> str:
        """What a tool gives back, or why it could not: both are for the model to read."""
        tools = {tool.__name__: tool for tool in self.tools}
        try:
            with clew.tool(name, arguments=arguments, call_id=call_id) as span:
                if name not in tools:
                    raise ToolError(f"there is no tool {name}; there are {', '.join(tools)}")
                result = tools[name](**json.loads(arguments))
                span.output(result)
                return result
        except (ToolError, TypeError, ValueError) as error:
            return f"error: {error}"


def _schema(tool: Tool) -> dict[str, Any]:
    names = list(inspect.signature(tool).parameters)
    parameters = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": names,
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": tool.__name__, "description": inspect.getdoc(tool), "strict": True, "parameters": parameters},
    }

"""What the programs here do: ask for the weather, run the tool that the model calls, and get an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

QUESTION = "How is the weather in Lisbon?"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> str:
    return f"sunny in {city}"


def converse(client: Any, run_tool: Callable[..., str] = get_weather) -> str:
    """Two requests by OpenAI's client, with a tool call between them."""
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[TOOL])
    [call] = first.choices[0].message.tool_calls
    result = run_tool(**json.loads(call.function.arguments))
    messages += [first.choices[0].message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": result}]
    second = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[TOOL])
    return str(second.choices[0].message.content)

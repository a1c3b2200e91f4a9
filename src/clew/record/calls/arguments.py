"""What a call of a model is given, told from the names of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from clew.record.calls.assembly import member

KEYWORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("messages", "prompt", "input", "contents", "inputs", "user_prompt", "message", "question", "query", "text"),
    "system": ("system", "system_prompt", "system_message", "instructions", "system_instruction"),
    "tools": ("tools", "functions", "toolConfig"),
    "model": ("model", "model_name", "model_id", "modelId"),
    "temperature": ("temperature",),
    "top_p": ("top_p", "topP"),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens", "num_predict"),
    "seed": ("seed",),
    "stream": ("stream",),
}
"""Keyword of a model's span -> the names under which functions and clients take it, best first."""

_NESTED: Final = ("config", "generation_config", "inferenceConfig", "options")
"""Arguments that hold others: Gemini's, Bedrock's, Ollama's."""


class Arguments:
    """Reads the arguments of a function's calls. The signature is read once.

    :ivar names: of its positional parameters, without ``self``
    :ivar open: it takes any keyword
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        positional = [item.name for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
        self._skipped = 1 if positional[:1] in (["self"], ["cls"]) else 0
        self.names = tuple(positional[self._skipped :])
        self._all = frozenset(item.name for item in parameters if item.kind is not item.VAR_POSITIONAL)
        self._defaults = {
            item.name: item.default
            for item in parameters
            if isinstance(item.default, (str, int, float)) and item.kind is not item.VAR_KEYWORD
        }
        self.open = not parameters or any(item.kind is item.VAR_KEYWORD for item in parameters)

    def takes(self, name: str) -> bool:
        """Whether the function can be called with ``name=``."""
        return self.open or name in self._all

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Keywords for the call's span. The first argument is the prompt when none is called so."""
        args = args[self._skipped :]
        given = {**self._defaults, **dict(zip(self.names, args, strict=False)), **kwargs}
        nested = [value for name in _NESTED if (value := given.get(name)) is not None]
        found: dict[str, Any] = {}
        for keyword, names in KEYWORDS.items():
            for name in names:
                value = given.get(name)
                if value is None:
                    value = next((inner for holder in nested if (inner := member(holder, name)) is not None), None)
                if value is not None:
                    found[keyword] = value
                    break
        if "messages" not in found and args and isinstance(args[0], (str, list)):
            found["messages"] = args[0]
        return {
            name: value for name, value in found.items() if name in ("messages", "system", "tools") or isinstance(value, (str, int, float))
        }

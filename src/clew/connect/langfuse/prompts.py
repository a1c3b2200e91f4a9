"""Prompts that are kept in Langfuse: by name and label or version, filled in, and named on the spans of the calls they are used for."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clew.model import attributes as names

_VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

Content = str | list[dict[str, Any]]
"""A text, or messages ``{role, content}`` with placeholders ``{type: "placeholder", name}``."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a prompt.

    :ivar version: None for the fallback that stands in for a prompt that cannot be had: it is named on no span
    :ivar config: what was kept with it, such as model and temperature
    """

    name: str
    version: int | None
    content: Content
    labels: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Prompt:
        """From the answer of Langfuse."""
        config = body.get("config")
        return cls(
            body["name"],
            int(body["version"]),
            body["prompt"],
            tuple(body.get("labels") or ()),
            config if isinstance(config, Mapping) else {},
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of ``{{variables}}``, in the order of their first use."""
        texts = [self.content] if isinstance(self.content, str) else [str(message.get("content", "")) for message in self.content]
        return tuple(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))

    def compile(self, variables: Mapping[str, Any] | None = None, **more: Any) -> Content:
        """The prompt with its variables and placeholders filled in; one that is not given stays as it stands."""
        values = {**(variables or {}), **more}

        def filled(text: str) -> str:
            return _VARIABLE.sub(lambda match: _shown(values[match[1]]) if match[1] in values else match[0], text)

        if isinstance(self.content, str):
            return filled(self.content)
        messages: list[dict[str, Any]] = []
        for message in self.content:
            if message.get("type") == "placeholder":
                given = values.get(str(message.get("name")))
                messages += [dict(item) for item in given] if isinstance(given, list) else [message]
            else:
                shown = {key: value for key, value in message.items() if key != "type"}
                messages.append({**shown, "content": filled(str(message.get("content", "")))})
        return messages

    @property
    def attributes(self) -> dict[str, str]:
        """What the span of a call says of the prompt."""
        return {} if self.version is None else {names.PROMPT_NAME: self.name, names.PROMPT_VERSION: str(self.version)}


def chosen(labels: Sequence[str], key: str | None, name: str) -> str:
    """One of several labels for an A/B comparison: the same key always gets the same one, and keys spread evenly; no key: any."""
    if key is None:
        return secrets.choice(labels)  # not of the program's own random numbers, which it may have seeded
    digest = hashlib.sha256(f"{name}\0{key}".encode()).digest()
    return labels[int.from_bytes(digest[:8], "big") % len(labels)]


def _shown(value: Any) -> str:
    return "" if value is None else str(value)

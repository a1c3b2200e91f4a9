"""A provider's client whose calls are recorded: it looks and behaves as before."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from clew.record.calls.arguments import Arguments

METHODS: Final[tuple[str, ...]] = (
    "chat.completions.create",  # openai, groq, together, and all of that form
    "chat.completions.parse",
    "beta.chat.completions.parse",
    "completions.create",
    "responses.create",
    "responses.parse",
    "messages.create",  # anthropic
    "beta.messages.create",
    "models.generate_content",  # google-genai
    "models.generate_content_stream",
    "aio.models.generate_content",
    "aio.models.generate_content_stream",
    "chat.complete",  # mistralai
    "chat.complete_async",
    "chat.stream",
    "chat.stream_async",
    "chat",  # cohere, ollama
    "chat_stream",
    "generate",
    "converse",  # boto3's bedrock-runtime
    "converse_stream",
    "invoke",  # LangChain
    "ainvoke",
    "stream",
    "astream",
)
"""The calls of clients that ask a model, by their path."""

SAME: Final = ("with_options", "copy", "with_retry", "bind", "bind_tools")
"""What gives another client like this one."""

PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "botocore": "aws.bedrock",
    "cohere": "cohere",
    "google": "gcp.gemini",
    "groq": "groq",
    "langchain_anthropic": "anthropic",
    "langchain_openai": "openai",
    "mistralai": "mistral_ai",
    "ollama": "ollama",
    "openai": "openai",
    "together": "together",
}
"""Package of a client -> OpenTelemetry's name of the provider."""

HOSTS: Final[Mapping[str, str]] = {
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "openrouter.ai": "openrouter",
}
"""Hosts that speak OpenAI's form and are not OpenAI."""


def is_client(target: object) -> bool:
    """Whether it has a call that asks a model."""
    return any(_follow(target, method) for method in METHODS)


def provider_of(client: object) -> str | None:
    """OpenTelemetry's name of the client's provider, or None."""
    if "Azure" in type(client).__name__:
        return "azure.ai.openai"
    host = urlsplit(str(getattr(client, "base_url", ""))).hostname or ""
    return HOSTS.get(host) or PROVIDERS.get(type(client).__module__.partition(".")[0])


def _follow(target: object, path: str) -> bool:
    for name in path.split("."):
        target = getattr(target, name, None)
        if target is None:
            return False
    return callable(target)


class ObservedClient:
    """Stands for a client, or for a part of one such as ``client.chat.completions``."""

    def __init__(self, target: Any, options: Mapping[str, Any], path: str = "") -> None:
        if not path:
            options = {"provider": provider_of(target), **_model(target), **options}
        self.__dict__.update(_target=target, _options=options, _path=path, _made={})

    @property
    def __class__(self) -> Any:  # a client to isinstance()
        return type(self._target)

    @__class__.setter
    def __class__(self, kind: Any) -> None:
        raise TypeError("the class of a client cannot be set")

    def __getattr__(self, name: str) -> Any:
        made: dict[str, Any] = self._made  # reading a signature for every call costs more than the record
        if name in made:
            return made[name]
        found = getattr(self._target, name)
        path = f"{self._path}.{name}" if self._path else name
        if path in METHODS and callable(found):
            made[name] = _observed(found, path, self._options)
            return made[name]
        if not self._path and name in SAME and callable(found):
            return lambda *args, **kwargs: ObservedClient(found(*args, **kwargs), self._options)
        if any(method.startswith(f"{path}.") for method in METHODS):
            made[name] = ObservedClient(found, self._options, path)
            return made[name]
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target, name, value)
        self._made.pop(name, None)

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __repr__(self) -> str:
        return f"<recorded {self._target!r}>"

    def __enter__(self) -> Any:
        self._target.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._target.__exit__(*exception)

    async def __aenter__(self) -> Any:
        await self._target.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        return await self._target.__aexit__(*exception)


def _model(client: object) -> dict[str, Any]:
    """The model that a client has of its own (LangChain's)."""
    found = next((value for name in ("model_name", "model") if isinstance(value := getattr(client, name, None), str)), None)
    return {"model": found} if found else {}


def _observed(function: Any, path: str, options: Mapping[str, Any]) -> Any:
    from clew.record.calls.observed import ObservableLLM, wrapped

    given = {"name": "chat", **options}
    asks = given.pop("stream_usage", False) and path == "chat.completions.create" and Arguments(function).takes("stream_options")
    llm = ObservableLLM(_asking_for_usage(function) if asks else function, **given)
    if asks:
        llm.hides = _usage_alone
    return wrapped(llm, function)


def _asking_for_usage(function: Any) -> Any:
    """OpenAI's form tells the usage of a stream only when asked, in a chunk of its own at the end."""

    @functools.wraps(function)
    def asking(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("stream") and kwargs.get("stream_options") is None:
            kwargs["stream_options"] = {"include_usage": True}
        return function(*args, **kwargs)

    return asking


def _usage_alone(piece: Any) -> bool:
    return getattr(piece, "usage", None) is not None and not getattr(piece, "choices", None)

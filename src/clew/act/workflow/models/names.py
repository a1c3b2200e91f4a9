"""Models by name: ``openai:gpt-4.1``, ``anthropic:claude-sonnet-4-5``, ``groq:...``, ``ollama:...``, ``replay:FILE``.

Keys come from the environment variables that the providers' own clients read. The clients never repeat a request by themselves: a
repeated request costs like any other, so a node's ``retry`` does it, and each try is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clew.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from clew.act.workflow.models.recorded import RecordedModel

TIMEOUT_S: Final = 300.0
"""Longest wait for a whole answer unless told otherwise: reasoning models take minutes, a server that hangs takes for ever."""
CONNECT_S: Final = 10.0
OLLAMA_URL: Final = "http://127.0.0.1:11434/v1"


def model(name: str, *, base_url: str | None = None, timeout_s: float = TIMEOUT_S, record_to: Path | None = None) -> RecordedModel:
    """The model of that name, ready to be used within ``async with``.

    :param name: ``PROVIDER:MODEL``, or ``replay:FILE``
    :param base_url: address of the API instead of the provider's own; with ``openai:`` of any OpenAI-compatible server
    :param timeout_s: longest time from a request to the last byte of its answer
    :param record_to: file that every exchange is appended to, for ``replay:FILE``
    :raises ModelError: there is no such provider, no key for it, or the file of exchanges cannot be read
    """
    kind, rest = parts(name)
    try:
        from pydantic_ai.exceptions import UserError

        from clew.act.workflow.models.recorded import RecordedModel
    except ImportError as error:
        raise MissingExtra("a model call", error.name or "pydantic-ai-slim", "workflow") from error
    if kind == "replay":
        from clew.act.workflow.models.replay import ReplayModel

        return RecordedModel(ReplayModel(Path(rest)), name=name, timeout_s=timeout_s, record_to=record_to)
    provider = PROVIDERS[kind]
    client = _http_client(provider, timeout_s)
    try:
        found = provider.make(rest, base_url or provider.base_url, client)
    except UserError as error:
        raise ModelError(f"{name} needs a key: set {provider.key} to it") from error
    found.client.max_retries = 0
    return RecordedModel(found, name=name, timeout_s=timeout_s, record_to=record_to, close=client.aclose)


def load(name: str) -> None:
    """Import what :func:`model` imports: a provider's client takes half a second."""
    kind, _, _ = name.partition(":")
    if kind in PROVIDERS:
        import_module(f"pydantic_ai.models.{kind}")
        import_module(f"pydantic_ai.providers.{kind}")


def parts(name: str) -> tuple[str, str]:
    """Provider and model.

    :raises ModelError: it names no model, or there is no such provider
    """
    kind, separator, rest = name.partition(":")
    if not separator or not rest:
        raise ModelError(f"{name!r} names no model; write PROVIDER:MODEL, such as openai:gpt-4.1; providers are {', '.join(KINDS)}")
    if kind not in KINDS:
        raise ModelError(
            f"{name!r}: no provider is called {kind!r}; there are {', '.join(KINDS)}; for another one, openai: with its base_url"
        )
    return kind, rest


def _http_client(provider: Provider, timeout_s: float) -> Any:
    """A client whose answers are heard (exchange.py)."""
    from clew.act.workflow.models.exchange import listen

    if provider.legacy_client:
        import httpx as library
    else:
        import httpx2 as library  # type: ignore[no-redef]
    return library.AsyncClient(
        timeout=library.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S)),
        event_hooks={"response": [listen]},
        headers={"Accept-Encoding": "identity"},  # what is heard must be readable
        follow_redirects=True,
    )


@dataclass(frozen=True, slots=True)
class Provider:
    """How models of a provider are made.

    :ivar make: model's name, base URL or None, HTTP client -> model
    :ivar key: environment variable that its client reads the key from
    :ivar legacy_client: its client library is built on httpx, not httpx2
    """

    make: Callable[[str, str | None, Any], Any]
    key: str
    base_url: str | None = None
    legacy_client: bool = False


def _openai(name: str, base_url: str | None, client: Any) -> Any:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=base_url, http_client=client))


def _ollama(name: str, base_url: str | None, client: Any) -> Any:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.providers.ollama import OllamaProvider

    return OllamaModel(name, provider=OllamaProvider(base_url=base_url, http_client=client))


def _anthropic(name: str, base_url: str | None, client: Any) -> Any:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(name, provider=AnthropicProvider(base_url=base_url, http_client=client))


def _groq(name: str, base_url: str | None, client: Any) -> Any:
    from pydantic_ai.models.groq import GroqModel
    from pydantic_ai.providers.groq import GroqProvider

    return GroqModel(name, provider=GroqProvider(base_url=base_url, http_client=client))


PROVIDERS: Final[dict[str, Provider]] = {
    "openai": Provider(_openai, "OPENAI_API_KEY"),
    "anthropic": Provider(_anthropic, "ANTHROPIC_API_KEY"),
    "groq": Provider(_groq, "GROQ_API_KEY", legacy_client=True),
    "ollama": Provider(_ollama, "OLLAMA_API_KEY", base_url=OLLAMA_URL),
}
KINDS: Final = (*PROVIDERS, "replay")

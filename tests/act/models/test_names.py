"""A model is named; what is wrong with a name is said before anything is asked."""

from __future__ import annotations

import pytest

from clew.act.workflow.completion import complete
from clew.act.workflow.models.names import PROVIDERS, model
from clew.act.workflow.models.recorded import RecordedModel
from clew.errors import ModelError


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        monkeypatch.delenv(provider.key, raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


async def close(found: RecordedModel) -> None:
    async with found:
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt-4.1", "'gpt-4.1' names no model; write PROVIDER:MODEL, such as openai:gpt-4.1; providers are openai, anthropic, groq, ollama, replay"),
        ("openai:", "'openai:' names no model; "),
        ("mistral:large", "'mistral:large': no provider is called 'mistral'; there are openai, anthropic, groq, ollama, replay; for another one, openai: with its base_url"),
        ("openai:gpt-4.1", "openai:gpt-4.1 needs a key: set OPENAI_API_KEY to it"),
        ("anthropic:claude-sonnet-5", "anthropic:claude-sonnet-5 needs a key: set ANTHROPIC_API_KEY to it"),
        ("groq:llama-3.3-70b-versatile", "groq:llama-3.3-70b-versatile needs a key: set GROQ_API_KEY to it"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_says_what_to_do(name: str, message: str) -> None:
    with pytest.raises(ModelError) as raised:
        model(name)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "base_url", "where"),
    [
        ("ollama:qwen3", None, "http://127.0.0.1:11434/v1/"),
        ("ollama:qwen3", "http://box:1/v1", "http://box:1/v1/"),
        ("openai:any/model", "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/"),
    ],
)
def test_a_server_at_home_needs_no_key(name: str, base_url: str | None, where: str) -> None:
    found = model(name, base_url=base_url)
    assert (found.system, found.model_name, found.base_url) == (*name.split(":"), where)
    complete(close(found))


def test_no_client_repeats_a_request_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, provider in PROVIDERS.items():
        monkeypatch.setenv(provider.key, "x")
        found = model(f"{kind}:m")
        assert found.client.max_retries == 0
        complete(close(found))

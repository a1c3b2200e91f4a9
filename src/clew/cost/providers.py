"""Whose price list a provider's name means.

The names come from ``gen_ai.provider.name`` (OpenTelemetry), ``llm.provider`` and ``llm.system`` (OpenInference), LiteLLM, Vercel's AI SDK
(its part before the dot) and pydantic-ai. A name that is an id of the price data needs no row.
"""

from __future__ import annotations

from typing import Final

PRICE_LIST: Final[dict[str, str]] = {
    # OpenTelemetry
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
    # OpenInference
    "amazon": "aws",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "vertexai": "google",
    "xai": "x-ai",
    # LiteLLM, gateways, SDKs
    "amazon-bedrock": "aws",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "bedrock": "aws",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "gemini": "google",
    "google-gla": "google",
    "google-vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "github_copilot": "github-copilot",
    "together_ai": "together",
    "togetherai": "together",
    "vertex": "google",
    "vertex_ai": "google",
    "voyage": "voyageai",
    "z-ai": "zai",
    "z.ai": "zai",
    "zhipu": "zhipuai",
}

GATEWAYS: Final = frozenset({"", "custom", "gateway", "helicone", "litellm", "litellm_proxy", "portkey", "unknown", "vercel"})
"""Names that say nothing of who bills: the model's name alone decides."""

ANY_VENDOR: Final = frozenset({"openai", "openrouter"})
"""Price lists whose provider's name also stands for others' models (every OpenAI-compatible server is called with OpenAI's client)."""

LOCAL: Final = frozenset({"gpt4all", "llama.cpp", "llamacpp", "llamafile", "lm_studio", "lmstudio", "local", "mlx", "ollama", "sglang",
                          "text-generation-inference", "tgi", "transformers", "vllm"})  # fmt: skip
"""Runtimes that bill nobody: a hosted model's price must not stand for them."""

NAMED_BY_MODEL: Final[tuple[tuple[str, str], ...]] = (
    (r"ft:", "openai"),
    (r"(?:[a-z-]+\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\.[a-z]", "aws"),
)
"""(start of a model's name, price list): forms of name that only one provider uses; for calls that name no provider."""

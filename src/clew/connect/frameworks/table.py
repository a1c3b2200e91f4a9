"""The libraries that :func:`clew.instrument` records, one row each. Adding a library is adding a row.

Where a well-kept instrumentation exists, it is used: those of the OpenInference project, and pydantic-ai's own. Ours are for libraries that have none.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Dialect = Literal["openinference", "genai", "clew"]
"""Whose attribute names its spans have."""


class Library(NamedTuple):
    """How a library is recorded.

    :ivar name: what a user calls it
    :ivar module: the library's module, to see whether it is installed
    :ivar package: the distribution that brings the instrumentor
    :ivar instrumentor: ``module:class`` with ``instrument(tracer_provider=...)`` and ``uninstrument()``
    :ivar extra: extra of Clew that brings the package, or None
    :ivar distribution: the library's distribution
    :ivar tested: recorded in the test suite, with the library itself
    """

    name: str
    module: str
    distribution: str
    package: str
    instrumentor: str
    dialect: Dialect
    extra: str | None = None
    tested: bool = False
    first: str = ""
    """Module whose loading says that the library is used, where that is another one."""
    needs: str = ""
    """Module of the package, where the instrumentor is ours and uses it."""

    @property
    def install(self) -> str:
        """The line that installs the instrumentor."""
        return f"pip install 'clew[{self.extra}]'" if self.extra else f"pip install {self.package}"


def _openinference(name: str, module: str, distribution: str, kind: str, *, extra: str | None = None) -> Library:
    package = name.replace("_", "-")
    return Library(
        name,
        module,
        distribution,
        f"openinference-instrumentation-{package}",
        f"openinference.instrumentation.{name}:{kind}",
        "openinference",
        extra,
        extra is not None,
    )


def _langchain(name: str, module: str, distribution: str) -> Library:
    return Library(
        name,
        module,
        distribution,
        "openinference-instrumentation-langchain",
        "clew.connect.frameworks.langchain:LangChainInstrumentor",
        "openinference",
        "langgraph",
        tested=True,
        first="langchain_core",
        needs="openinference.instrumentation.langchain",
    )


TABLE: Final[tuple[Library, ...]] = (
    _openinference("openai", "openai", "openai", "OpenAIInstrumentor", extra="openai"),
    _openinference("anthropic", "anthropic", "anthropic", "AnthropicInstrumentor", extra="anthropic"),
    _openinference("litellm", "litellm", "litellm", "LiteLLMInstrumentor", extra="litellm"),
    _langchain("langgraph", "langgraph", "langgraph"),
    _langchain("langchain", "langchain_core", "langchain"),
    Library("pydantic_ai", "pydantic_ai", "pydantic-ai", "pydantic-ai", "clew.connect.frameworks.pydantic_ai:PydanticAiInstrumentor", "genai", tested=True),
    Library("llm", "llm", "llm", "clew", "clew.connect.frameworks.llm:LlmInstrumentor", "clew", tested=True),
    Library("pocketflow", "pocketflow", "pocketflow", "clew", "clew.connect.frameworks.pocketflow:PocketFlowInstrumentor", "clew", tested=True),
    _openinference("ag2", "ag2", "ag2", "AG2Instrumentor"),
    _openinference("agno", "agno", "agno", "AgnoInstrumentor"),
    _openinference("autogen_agentchat", "autogen_agentchat", "autogen-agentchat", "AutogenAgentChatInstrumentor"),
    _openinference("bedrock", "boto3", "boto3", "BedrockInstrumentor"),
    _openinference("beeai", "beeai_framework", "beeai-framework", "BeeAIInstrumentor"),
    _openinference("claude_agent_sdk", "claude_agent_sdk", "claude-agent-sdk", "ClaudeAgentSDKInstrumentor"),
    _openinference("crewai", "crewai", "crewai", "CrewAIInstrumentor"),
    _openinference("dspy", "dspy", "dspy", "DSPyInstrumentor"),
    _openinference("google_adk", "google.adk", "google-adk", "GoogleADKInstrumentor"),
    _openinference("google_genai", "google.genai", "google-genai", "GoogleGenAIInstrumentor"),
    _openinference("groq", "groq", "groq", "GroqInstrumentor"),
    _openinference("haystack", "haystack", "haystack-ai", "HaystackInstrumentor"),
    _openinference("instructor", "instructor", "instructor", "InstructorInstrumentor"),
    _openinference("llama_index", "llama_index.core", "llama-index-core", "LlamaIndexInstrumentor"),
    _openinference("mcp", "mcp", "mcp", "MCPInstrumentor"),
    _openinference("mistralai", "mistralai", "mistralai", "MistralAIInstrumentor"),
    _openinference("openai_agents", "agents", "openai-agents", "OpenAIAgentsInstrumentor"),
    _openinference("portkey", "portkey_ai", "portkey-ai", "PortkeyInstrumentor"),
    _openinference("smolagents", "smolagents", "smolagents", "SmolagentsInstrumentor"),
    _openinference("vertexai", "vertexai", "google-cloud-aiplatform", "VertexAIInstrumentor"),
)  # fmt: skip

BY_NAME: Final = {library.name: library for library in TABLE}

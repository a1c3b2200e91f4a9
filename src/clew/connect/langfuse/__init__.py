"""Langfuse: send what is recorded to it, use its prompts, scores and datasets, and import what it holds."""

from clew.connect.langfuse.integration import LangfuseIntegration, get_langfuse_integration, reset_langfuse_integration

__all__ = ["LangfuseIntegration", "get_langfuse_integration", "reset_langfuse_integration"]

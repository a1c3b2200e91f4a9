"""The instruments: one row per kind of span, with the keywords it understands."""

from __future__ import annotations

from typing import Final

from clew.model import attributes as names
from clew.record.instrument import CLIENT, Instrument

_MODEL: Final = {
    "model": names.REQUEST_MODEL,
    "provider": names.PROVIDER,
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "seed": names.REQUEST_SEED,
    "stream": names.REQUEST_STREAM,
    "cache_hit": names.CACHE_HIT,
}
_CALL: Final = {"usage": "usage", "response": "response", "cost": "cost"}

WORKFLOW: Final = Instrument("workflow", name_attribute=names.WORKFLOW_NAME)
NODE: Final = Instrument("node")
AGENT: Final = Instrument(
    "agent",
    name_attribute=names.AGENT_NAME,
    keywords={**_MODEL, "id": names.AGENT_ID, "description": names.AGENT_DESCRIPTION},
)
LLM: Final = Instrument(
    "llm",
    otlp_kind=CLIENT,
    input=names.INPUT_MESSAGES,
    output=names.OUTPUT_MESSAGES,
    keywords=_MODEL,
    methods={**_CALL, "input": "messages", "messages": "messages", "system": "system", "tools": "tools"},
)
EMBEDDING: Final = Instrument("embedding", otlp_kind=CLIENT, keywords=_MODEL, methods=_CALL)
RETRIEVAL: Final = Instrument("retrieval", otlp_kind=CLIENT)
TOOL: Final = Instrument(
    "tool",
    name_attribute=names.TOOL_NAME,
    input=names.TOOL_ARGUMENTS,
    output=names.TOOL_RESULT,
    keywords={"description": names.TOOL_DESCRIPTION, "call_id": names.TOOL_CALL_ID},
    methods={"arguments": "input", "result": "output"},
)
DECISION: Final = Instrument(
    "decision",
    name_attribute=names.DECISION_QUESTION,
    input=names.DECISION_OPTIONS,
    output=names.DECISION_CHOICE,
    keywords={"by": names.DECISION_BY},
    methods={"options": "options"},
)
GIT: Final = Instrument("git", name_attribute=names.GIT_OPERATION, keywords={"commit": names.GIT_COMMIT, "branch": names.GIT_BRANCH})
MESSAGE: Final = Instrument("message")
MEMORY: Final = Instrument("memory", keywords={"memory_type": names.MEMORY_TYPE})
TASK: Final = Instrument(
    "task",
    keywords={
        "task_id": names.TASK_ID,
        "worker_profile": names.WORKER_PROFILE,
        "phase": names.TASK_PHASE,
        "result": names.TASK_STATUS,
        "retries": names.TASK_RETRIES,
    },
)
EXECUTION: Final = Instrument("execution")
GATE: Final = Instrument("gate")
EVALUATION: Final = Instrument("evaluation")
OTHER: Final = Instrument("other")

BY_KIND: Final = {
    row.kind: row
    for row in (WORKFLOW, NODE, AGENT, LLM, TOOL, DECISION, MESSAGE, MEMORY, RETRIEVAL, EMBEDDING, GIT, TASK, EXECUTION, GATE, EVALUATION, OTHER)
}  # fmt: skip

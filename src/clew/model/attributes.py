"""Attribute names, each with its type, meaning, unit and source. Emission uses these names only; ingest accepts every dialect (dialects.py).

The names ``gen_ai.*`` are OpenTelemetry's GenAI semantic conventions, text of 1.41 (emission profile ``genai-1.41``); ``clew.*`` exists
only where that text has no name.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

PROFILE: Final = "genai-1.41"


class Attribute(NamedTuple):
    name: str
    type: Literal["string", "int", "double", "bool", "string[]", "json"]
    meaning: str
    unit: str = ""
    source: str = PROFILE
    content: bool = False
    """True for what people and models wrote: subject to content capture, stored as a payload, searched as text."""


# Identity of the process that records (resource attributes).
SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
PROCESS_PID: Final = "process.pid"
HOST_NAME: Final = "host.name"
DETACHED: Final = "clew.detached"

# What the collector's limits left out of a record.
CUT_ATTRIBUTES: Final = "clew.cut.attributes"
CUT_EVENTS: Final = "clew.cut.events"
CUT_LINKS: Final = "clew.cut.links"

# Identity of what happens.
SPAN_KIND: Final = "clew.span.kind"
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
USER_ID: Final = "user.id"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "gen_ai.agent.id"
AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
PERSONA: Final = "clew.persona"
PERSONA_FROM: Final = "clew.persona.from"
CHATMODE: Final = "clew.chatmode"
STAGE: Final = "clew.stage"
NODE_TYPE: Final = "clew.node.type"
NODE_VISIT: Final = "clew.node.visit"
NODE_ACTION: Final = "clew.node.action"
ERROR_TYPE: Final = "error.type"

# A model call.
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
RESPONSE_SPEED: Final = "clew.response.tokens_per_second"
RETRY_ATTEMPT: Final = "clew.retry.attempt"
RETRY_REASON: Final = "clew.retry.reason"
FALLBACK_FROM: Final = "clew.fallback.from"
FALLBACK_REASON: Final = "clew.fallback.reason"
PROMPT_NAME: Final = "gen_ai.prompt.name"
PROMPT_VERSION: Final = "gen_ai.prompt.version"
TAGS: Final = "clew.tags"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

# Usage: inclusive and closed (usage.py).
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
CACHE_WRITE_1H_TOKENS: Final = "clew.usage.cache_write_1h.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
AUDIO_INPUT_TOKENS: Final = "clew.usage.audio.input_tokens"
AUDIO_OUTPUT_TOKENS: Final = "clew.usage.audio.output_tokens"
USAGE_RAW: Final = "clew.usage.raw"
USAGE_SOURCE: Final = "clew.usage.source"
COST_USD: Final = "clew.cost.usd"
CACHE_HIT: Final = "clew.cache.hit"

# A tool call.
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

# What any other kind takes in and gives back.
INPUT: Final = "clew.input"
OUTPUT: Final = "clew.output"

# A decision.
DECISION_QUESTION: Final = "clew.decision.question"
DECISION_OPTIONS: Final = "clew.decision.options"
DECISION_CHOICE: Final = "clew.decision.choice"
DECISION_REASON: Final = "clew.decision.reason"
DECISION_CONFIDENCE: Final = "clew.decision.confidence"
DECISION_BY: Final = "clew.decision.by"

# An evaluation.
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_REASON: Final = "gen_ai.evaluation.explanation"
EVALUATION_OF: Final = "clew.evaluation.of"

# Git.
GIT_OPERATION: Final = "clew.git.operation"
GIT_COMMIT: Final = "vcs.ref.head.revision"
GIT_BRANCH: Final = "vcs.ref.head.name"
GIT_REF: Final = "vcs.ref.base.name"
GIT_REPOSITORY: Final = "clew.git.repository"
GIT_RESULT: Final = "clew.git.result"
GIT_RESOLVED: Final = "clew.git.resolved"
GIT_METHOD: Final = "clew.git.method"
GIT_FILES: Final = "clew.git.files"
GIT_PATHS: Final = "clew.git.paths"
GIT_CONFLICTS: Final = "clew.git.conflicts"
GIT_CONFLICT_PATHS: Final = "clew.git.conflict_paths"
GIT_INSERTIONS: Final = "clew.git.insertions"
GIT_DELETIONS: Final = "clew.git.deletions"

# A task.
TASK_ID: Final = "clew.task.id"
TASK_PHASE: Final = "clew.task.phase"
TASK_STATUS: Final = "clew.task.status"
TASK_RETRIES: Final = "clew.task.retries"
WORKER_PROFILE: Final = "clew.task.worker_profile"

# A memory.
MEMORY_TYPE: Final = "clew.memory.type"

# Budgets, and the limits of loops and fan-out.
BUDGET_NAME: Final = "clew.budget.name"
BUDGET_KEY: Final = "clew.budget.key"
BUDGET_MEASURE: Final = "clew.budget.measure"
BUDGET_THRESHOLD: Final = "clew.budget.threshold"
BUDGET_LIMIT: Final = "clew.budget.limit"
BUDGET_SPENT: Final = "clew.budget.spent"
BUDGET_REMAINING: Final = "clew.budget.remaining"
BUDGET_ASKED: Final = "clew.budget.asked"
BUDGET_ESTIMATED: Final = "clew.budget.estimated"
LOOP_RULE: Final = "clew.loop.rule"
LOOP_COUNT: Final = "clew.loop.count"
LOOP_LIMIT: Final = "clew.loop.limit"
LOOP_SUBJECT: Final = "clew.loop.subject"

# A gate.
GATE_RESULT: Final = "clew.gate.result"
GATE_REQUIRED: Final = "clew.gate.required"
GATE_CHECK: Final = "clew.gate.check"
GATE_REASON: Final = "clew.gate.reason"
GATE_SCORE: Final = "clew.gate.score"
GATE_THRESHOLD: Final = "clew.gate.threshold"

# Our own events.
BUDGET_THRESHOLD_EVENT: Final = "clew.budget.threshold"
LOOP_EVENT: Final = "clew.loop"

# Events, by OpenTelemetry's names.
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

# The recorder's own account of loss: one log record per process, rewritten as counts grow.
RECORDER_STATS_EVENT: Final = "clew.recorder.stats"

_OTEL: Final = "OpenTelemetry"

TABLE: tuple[Attribute, ...] = (
    Attribute(SERVICE_NAME, "string", "Program that records", source=_OTEL),
    Attribute(SERVICE_INSTANCE_ID, "string", "One process of it; a UUID made at start and after a fork", source=_OTEL),
    Attribute(PROCESS_PID, "int", "Process id", source=_OTEL),
    Attribute(HOST_NAME, "string", "Host", source=_OTEL),
    Attribute(DETACHED, "bool", "Whether what is open stays open when the process that wrote it ends: another one ends it", source="clew"),
    Attribute(CUT_ATTRIBUTES, "int", "Attributes of the record that the collector left out, beyond its limit", source="clew"),
    Attribute(CUT_EVENTS, "int", "Events of the span that it left out", source="clew"),
    Attribute(CUT_LINKS, "int", "Links of the span that it left out", source="clew"),
    Attribute(SPAN_KIND, "string", "Kind of span, one of model.kinds.KINDS", source="clew"),
    Attribute(OPERATION, "string", "Operation"),
    Attribute(PROVIDER, "string", "Provider of the model"),
    Attribute(CONVERSATION_ID, "string", "Session: one conversation over several runs"),
    Attribute(USER_ID, "string", "End user on whose behalf the run happens", source=_OTEL),
    Attribute(AGENT_NAME, "string", "Agent"),
    Attribute(AGENT_ID, "string", "Agent's id"),
    Attribute(AGENT_DESCRIPTION, "string", "What the agent is for"),
    Attribute(WORKFLOW_NAME, "string", "Workflow"),
    Attribute(PERSONA, "string", "Persona that acts", source="clew"),
    Attribute(PERSONA_FROM, "string", "Persona that acted before, on the span of a persona's session; none before the first", source="clew"),
    Attribute(CHATMODE, "string", "Mode in which the persona acts, such as feature-dev", source="clew"),
    Attribute(STAGE, "string", "Stage of the workflow", source="clew"),
    Attribute(NODE_TYPE, "string", "Type of the workflow's node", source="clew"),
    Attribute(NODE_VISIT, "int", "How often the node has run in this run, this time included", source="clew"),
    Attribute(NODE_ACTION, "string", "Edge that the node chose", source="clew"),
    Attribute(ERROR_TYPE, "string", "Class of the error: exception type, rate_limit or timeout", source=_OTEL),
    Attribute(REQUEST_MODEL, "string", "Model asked for"),
    Attribute(REQUEST_TEMPERATURE, "double", "Sampling temperature"),
    Attribute(REQUEST_TOP_P, "double", "Nucleus sampling share"),
    Attribute(REQUEST_MAX_TOKENS, "int", "Most tokens to generate", "token"),
    Attribute(REQUEST_SEED, "int", "Seed"),
    Attribute(REQUEST_STREAM, "bool", "Whether the answer was asked for as a stream"),
    Attribute(RESPONSE_MODEL, "string", "Model that answered"),
    Attribute(RESPONSE_ID, "string", "Provider's id of the answer"),
    Attribute(RESPONSE_FINISH_REASONS, "string[]", "Why each choice ended"),
    Attribute(RESPONSE_FIRST_CHUNK, "double", "Time to the first chunk", "s"),
    Attribute(RESPONSE_SPEED, "double", "Output tokens per second, of a stream since its first chunk", "token/s", "clew"),
    Attribute(RETRY_ATTEMPT, "int", "Which try of the same request it is, from the second on", source="clew"),
    Attribute(RETRY_REASON, "string", "Class of the error that the try before ended with", source="clew"),
    Attribute(FALLBACK_FROM, "string", "Model that was given up for this one", source="clew"),
    Attribute(FALLBACK_REASON, "string", "Class of the error for which it was given up", source="clew"),
    Attribute(PROMPT_NAME, "string", "Managed prompt that the messages come from"),
    Attribute(PROMPT_VERSION, "string", "Its version", source="genai-next"),
    Attribute(TAGS, "string[]", "Tags of the run", source="clew"),
    Attribute(SYSTEM_INSTRUCTIONS, "json", "System instructions", content=True),
    Attribute(INPUT_MESSAGES, "json", "Messages given to the model: [{role, parts: [{type, content, ...}]}]", content=True),
    Attribute(OUTPUT_MESSAGES, "json", "Messages the model gave: [{role, parts, finish_reason}]", content=True),
    Attribute(TOOL_DEFINITIONS, "json", "Tools offered to the model", content=True),
    Attribute(INPUT_TOKENS, "int", "Input tokens, cached and cache-written ones included", "token"),
    Attribute(OUTPUT_TOKENS, "int", "Output tokens, reasoning included", "token"),
    Attribute(CACHE_READ_TOKENS, "int", "Input tokens read from the provider's cache", "token"),
    Attribute(CACHE_WRITE_TOKENS, "int", "Input tokens written to the provider's cache", "token"),
    Attribute(CACHE_WRITE_1H_TOKENS, "int", "Those of them written with a life of one hour", "token", "clew"),
    Attribute(REASONING_TOKENS, "int", "Output tokens spent on reasoning", "token"),
    Attribute(AUDIO_INPUT_TOKENS, "int", "Input tokens that are audio", "token", "clew"),
    Attribute(AUDIO_OUTPUT_TOKENS, "int", "Output tokens that are audio", "token", "clew"),
    Attribute(USAGE_RAW, "json", "The provider's own usage object, as it came", source="clew"),
    Attribute(USAGE_SOURCE, "string", "Where the usage comes from: provider, estimated or missing", source="clew"),
    Attribute(COST_USD, "double", "Cost that the provider reported", "USD", "clew"),
    Attribute(CACHE_HIT, "bool", "Answered from a local cache: costs nothing", source="clew"),
    Attribute(TOOL_NAME, "string", "Tool"),
    Attribute(TOOL_DESCRIPTION, "string", "What the tool is for"),
    Attribute(TOOL_CALL_ID, "string", "Id of the call, as the model gave it"),
    Attribute(TOOL_ARGUMENTS, "json", "Arguments of the call", content=True),
    Attribute(TOOL_RESULT, "json", "Result of the call", content=True),
    Attribute(INPUT, "json", "What a span of any other kind took in", source="clew", content=True),
    Attribute(OUTPUT, "json", "What a span of any other kind gave back", source="clew", content=True),
    Attribute(DECISION_QUESTION, "string", "What was to be decided", source="clew", content=True),
    Attribute(DECISION_OPTIONS, "json", "Options considered: [{name, score?, reason?}]", source="clew", content=True),
    Attribute(DECISION_CHOICE, "string", "Option chosen", source="clew"),
    Attribute(DECISION_REASON, "string", "Why it was chosen", source="clew", content=True),
    Attribute(DECISION_CONFIDENCE, "double", "Confidence, from 0 to 1", source="clew"),
    Attribute(DECISION_BY, "string", "Who or what decided: an agent, a model, a rule, a person", source="clew"),
    Attribute(EVALUATION_NAME, "string", "What is judged"),
    Attribute(EVALUATION_VALUE, "double", "The judgement as a number"),
    Attribute(EVALUATION_LABEL, "string", "The judgement as a word"),
    Attribute(EVALUATION_REASON, "string", "Why", content=True),
    Attribute(EVALUATION_OF, "string", "Span id of what is judged, where it is not the parent", source="clew"),
    Attribute(GIT_OPERATION, "string", "Git operation: commit, merge, checkout, worktree, ...", source="clew"),
    Attribute(GIT_COMMIT, "string", "Commit hash", source=_OTEL),
    Attribute(GIT_BRANCH, "string", "Branch", source=_OTEL),
    Attribute(GIT_REF, "string", "What is merged, checked out or rebased onto", source=_OTEL),
    Attribute(GIT_REPOSITORY, "string", "Directory of the work tree", source="clew"),
    Attribute(GIT_RESULT, "string", "How the operation went: success, conflict, error; of a resolution success or failure", source="clew"),
    Attribute(GIT_RESOLVED, "bool", "Whether the conflicts were resolved", source="clew"),
    Attribute(GIT_METHOD, "string", "How conflicts were resolved: llm, auto or manual", source="clew"),
    Attribute(GIT_FILES, "int", "Files that the operation changed", "file", "clew"),
    Attribute(GIT_PATHS, "string[]", "Their paths, at most a hundred", source="clew"),
    Attribute(GIT_CONFLICTS, "int", "Files in conflict", "file", "clew"),
    Attribute(GIT_CONFLICT_PATHS, "string[]", "Their paths, at most a hundred", source="clew"),
    Attribute(GIT_INSERTIONS, "int", "Lines added", "line", "clew"),
    Attribute(GIT_DELETIONS, "int", "Lines removed", "line", "clew"),
    Attribute(TASK_ID, "string", "Task", source="clew"),
    Attribute(TASK_PHASE, "string", "Phase of the task, such as plan, build or test", source="clew"),
    Attribute(TASK_STATUS, "string", "How the task ended: success, failed, retry or error", source="clew"),
    Attribute(TASK_RETRIES, "int", "Retries until its end", "retry", "clew"),
    Attribute(WORKER_PROFILE, "string", "Kind of worker that has the task", source="clew"),
    Attribute(MEMORY_TYPE, "string", "Memory: short_term, long_term, semantic, ...", source="clew"),
    Attribute(BUDGET_NAME, "string", "Budget that refused the call, or whose threshold was passed", source="clew"),
    Attribute(BUDGET_KEY, "string", "Its account: the run, agent, model, ... that it is of; empty when all share one", source="clew"),
    Attribute(BUDGET_MEASURE, "string", "What it limits: tokens, usd, calls or seconds", source="clew"),
    Attribute(BUDGET_THRESHOLD, "double", "Threshold that was passed", "%", "clew"),
    Attribute(BUDGET_LIMIT, "double", "Limit, in the measure's unit", source="clew"),
    Attribute(BUDGET_SPENT, "double", "What was spent of it", source="clew"),
    Attribute(BUDGET_REMAINING, "double", "What was left of it; negative when it was overspent", source="clew"),
    Attribute(BUDGET_ASKED, "double", "What the refused call would have reserved", source="clew"),
    Attribute(BUDGET_ESTIMATED, "bool", "The call said no usage: budgets keep what was reserved for it", source="clew"),
    Attribute(LOOP_RULE, "string", "Limit of a runaway that was reached: repeats, no_progress, children, depth or agents", source="clew"),
    Attribute(LOOP_COUNT, "int", "How far it came", source="clew"),
    Attribute(LOOP_LIMIT, "int", "The limit", source="clew"),
    Attribute(LOOP_SUBJECT, "string", "What was repeated, or grew: the tool, model, agent or span", source="clew"),
    Attribute(GATE_RESULT, "string", "Result of a gate: passed, failed or error (the check itself could not be made)", source="clew"),
    Attribute(GATE_REQUIRED, "bool", "Whether the run stops when the gate is not passed; else it is advisory", source="clew"),
    Attribute(GATE_CHECK, "string", "Sort of check: command, junit, coverage, function, model or manual", source="clew"),
    Attribute(GATE_REASON, "string", "Why it was passed or not, in one line", source="clew"),
    Attribute(GATE_SCORE, "double", "What the check measured", source="clew"),
    Attribute(GATE_THRESHOLD, "double", "What it had to be at least", source="clew"),
)  # fmt: skip

BY_NAME: dict[str, Attribute] = {attribute.name: attribute for attribute in TABLE}

"""The one table of settings. Nothing else in Clew reads the environment.

A setting is taken from, in this order: the argument given in code or on the command line, the environment variable, the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.errors import SettingError


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    ``name`` is the keyword in code; ``variables`` are the environment variables that carry it, first match wins; ``read`` turns text
    into the value and raises ValueError, whose text ends the sentence "NAME=value is not usable: ...".
    """

    name: str
    variables: tuple[str, ...]
    default: Any
    read: Callable[[str], Any]
    help: str


def _flag(text: str) -> bool:
    folded = text.strip().lower()
    if folded in ("1", "true", "yes", "on"):
        return True
    if folded in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("expected one of 1, 0, true, false, yes, no, on, off")


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError("expected a number from 0 to 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("expected a whole number of at least 0")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError("expected a port from 0 to 65535")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("expected a number of seconds of at least 0")
    return value


def _price(text: str) -> tuple[float, float]:
    incoming, separator, outgoing = text.partition("/")
    try:
        prices = float(incoming), float(outgoing)
    except ValueError:
        prices = (-1.0, -1.0)
    if not separator or not all(0 <= price < float("inf") for price in prices):
        raise ValueError("expected two prices, input/output in USD per million tokens, such as 0.15/0.60")
    return prices


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return read


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # "~name" of a user that is not there
        raise ValueError(str(error)) from None


def _urls(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _headers(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not separator for _, separator, _ in pairs):
        raise ValueError("expected key=value, separated by commas")
    return {key.strip(): value.strip() for key, _, value in pairs}


TABLE: tuple[Setting, ...] = (
    Setting("data_dir", ("CLEW_DATA_DIR",), Path("~/.clew"), _path, "Directory that holds the spool and the store."),
    Setting("disabled", ("CLEW_DISABLED",), False, _flag, "Record nothing; every instrument becomes a no-op."),
    Setting("service", ("CLEW_SERVICE", "OTEL_SERVICE_NAME"), None, str, "Name of this program in the records; default: the script's name."),
    Setting("capture", ("CLEW_CAPTURE",), "full", _one_of("full", "hash", "off"), "How message content is recorded: full, hash or off."),
    Setting("redact", ("CLEW_REDACT",), True, _flag, "Mask secrets (by pattern and key name) before anything leaves the process."),
    Setting("sample", ("CLEW_SAMPLE",), 1.0, _share, "Share of traces that are recorded, from 0 to 1, decided at the root."),
    Setting("sample_errors", ("CLEW_SAMPLE_ERRORS",), True, _flag, "Keep traces with an error even when sampling would drop them."),
    Setting("spool", ("CLEW_SPOOL",), True, _flag, "Write records to the spool in the data directory."),
    Setting("spool_bytes", ("CLEW_SPOOL_BYTES",), 1 << 30, _count, "Most bytes that one process keeps in the spool; beyond it records are dropped and counted."),
    Setting("endpoint", ("CLEW_ENDPOINT",), None, str, "OTLP/HTTP address that records are also sent to, such as http://127.0.0.1:4318."),
    Setting("headers", ("CLEW_HEADERS",), {}, _headers, "Headers for the OTLP/HTTP exporter, as key=value pairs separated by commas."),
    Setting("console", ("CLEW_CONSOLE",), False, _flag, "Also write one readable line per span through stdlib logging."),
    Setting("queue", ("CLEW_QUEUE",), 100_000, _count, "Most spans that wait in memory for the background writer."),
    Setting("queue_bytes", ("CLEW_QUEUE_BYTES",), 64 << 20, _count, "Most bytes, about, that those spans hold."),
    Setting("flush_s", ("CLEW_FLUSH_S",), 0.5, _seconds, "Seconds between two writes of the background writer."),
    Setting("value_bytes", ("CLEW_VALUE_BYTES",), 1 << 20, _count, "Longest attribute value that is recorded whole; longer ones are cut and say so."),
    Setting("traceparent", ("TRACEPARENT",), None, str, "W3C trace context of the parent process."),
    Setting("propagate", ("CLEW_PROPAGATE",), True, _flag, "Carry the current span into threads, thread pools and process pools."),
    Setting("langfuse_public_key", ("LANGFUSE_PUBLIC_KEY",), None, str, "Public key of a Langfuse project; without both keys nothing is sent to Langfuse."),
    Setting("langfuse_secret_key", ("LANGFUSE_SECRET_KEY",), None, str, "Its secret key."),
    Setting("langfuse_host", ("LANGFUSE_BASE_URL", "LANGFUSE_HOST"), "https://cloud.langfuse.com", str, "Address of Langfuse."),
    Setting("resources", ("CLEW_RESOURCES",), False, _flag, "Record what this process uses: CPU, memory, disk I/O."),
    Setting("resources_s", ("CLEW_RESOURCES_S",), 60.0, _seconds, "Seconds between two measurements of resources; 0 turns those of clew serve off."),
    Setting("watch", ("CLEW_WATCH",), None, _urls, "Redis and PostgreSQL servers that clew serve measures: URLs, separated by spaces."),
    Setting("prices", ("CLEW_PRICES",), None, _path, "File with price overrides; default: prices.toml in the data directory."),
    Setting("personas", ("CLEW_PERSONAS",), None, _path, "File with personas and their budgets; default: personas.toml in the data directory."),
    Setting("labels", ("CLEW_LABELS",), {}, _headers, "Whose work this process does, as key=value pairs separated by commas: persona, chatmode, workflow, stage, session, user."),
    Setting("work", ("CLEW_WORK",), None, str, "Name of the piece of work that clew stage and its like report on; default: the project's directory."),
    Setting("work_idle_s", ("CLEW_WORK_IDLE_S",), 43_200.0, _seconds, "Seconds without a report after which such work is given up as lost; 0 for never."),
    Setting("default_price", ("CLEW_DEFAULT_PRICE",), None, _price, "What a model without a price costs, as input/output in USD per million tokens, such as 0.15/0.60; default: it has none."),
    Setting("budgets", ("CLEW_BUDGETS",), None, _path, "File with budgets; default: clew-budgets.toml here and budgets.toml in the data directory, both."),
    Setting("budget_ledger", ("CLEW_BUDGET_LEDGER",), None, _path, "File that holds what budgets have spent, shared by all processes; :memory: keeps it in this one; default: budgets.sqlite in the data directory."),
    Setting("budget_failure", ("CLEW_BUDGET_FAILURE",), "open", _one_of("open", "closed"), "What a model call meets when budgets cannot be read or written: open lets it go on with a warning, closed refuses it."),
    Setting("budget_output_tokens", ("CLEW_BUDGET_OUTPUT_TOKENS",), 1024, _count, "Output tokens that budgets reserve for a call that sets no max_tokens."),
    Setting("planner_model", ("CLEW_PLANNER_MODEL",), None, str, "Model that plans workflows from words, as PROVIDER:MODEL."),
    Setting("store", ("CLEW_STORE",), None, str, "ClickHouse server that has the tables, as clickhouse://user:password@host:8123/database; default: they are in the data directory."),
    Setting("settle", ("CLEW_SETTLE",), True, _flag, "Settle what comes into the tables of a ClickHouse server; of several collectors on one, exactly one does."),
    Setting("owner_wait_s", ("CLEW_OWNER_WAIT_S",), 10.0, _seconds, "Longest wait for the process that owns the store."),
    Setting("owner_linger_s", ("CLEW_OWNER_LINGER_S",), 10.0, _seconds, "Seconds the store's owner stays after its last client."),
    Setting("host", ("CLEW_HOST",), "127.0.0.1", str, "Address that clew serve listens on; any but this machine's own loopback demands API keys."),
    Setting("port", ("CLEW_PORT",), 6360, _port, "Port of clew serve: its interface, and OTLP/HTTP."),
    Setting("otlp_http", ("CLEW_OTLP_HTTP",), 4318, _port, "Second port for OTLP/HTTP, the one that programs expect; 0 turns it off."),
    Setting("otlp_grpc", ("CLEW_OTLP_GRPC",), 4317, _port, "Port for OTLP/gRPC; 0 turns it off."),
    Setting("log_bytes", ("CLEW_LOG_BYTES",), 1 << 30, _count, "Most bytes of the collector's log on disk; beyond it senders are asked to wait."),
    Setting("retention_traces_days", ("CLEW_RETENTION_TRACES_DAYS",), 30, _count, "Days that spans and their content are kept, counted from arrival; 0: for ever."),
    Setting("retention_logs_days", ("CLEW_RETENTION_LOGS_DAYS",), 30, _count, "Days that log records are kept, counted from arrival; 0: for ever."),
    Setting("retention_metrics_days", ("CLEW_RETENTION_METRICS_DAYS",), 30, _count, "Days that metric points are kept, counted from arrival; 0: for ever."),
    Setting("retention_bytes", ("CLEW_RETENTION_BYTES",), 0, _count, "Most bytes of the data directory; beyond it the oldest days of arrival are dropped. 0: no limit."),
    Setting("redact_ingest", ("CLEW_REDACT_INGEST",), None, _flag, "Mask secrets in what any program sends, before it is stored; default: as it was last set for the data directory, off at first."),
    Setting("body_bytes", ("CLEW_BODY_BYTES",), 64 << 20, _count, "Largest body of a request to clew serve, compressed and decompressed."),
    Setting("body_records", ("CLEW_BODY_RECORDS",), 200_000, _count, "Most spans, log records or points in one request."),
    Setting("body_attributes", ("CLEW_BODY_ATTRIBUTES",), 10_000, _count, "Most attributes of one span, event, link, log record, point, resource or scope that clew serve takes; the rest are left out and counted."),
    Setting("body_events", ("CLEW_BODY_EVENTS",), 10_000, _count, "Most events of one span; the rest are left out and counted."),
    Setting("body_links", ("CLEW_BODY_LINKS",), 10_000, _count, "Most links of one span; the rest are left out and counted."),
    Setting("body_value_bytes", ("CLEW_BODY_VALUE_BYTES",), 16 << 20, _count, "Longest text or value in a request; longer ones are cut, say so and are counted."),
    Setting("body_s", ("CLEW_BODY_S",), 30.0, _seconds, "Longest time that the head or the body of a request may take to arrive."),
    Setting("requests", ("CLEW_REQUESTS",), 256, _count, "Most requests that clew serve works on at once; beyond it senders are asked to wait."),
    Setting("requests_bytes", ("CLEW_REQUESTS_BYTES",), 256 << 20, _count, "Most bytes of bodies in memory at once; beyond it senders are asked to wait."),
    Setting("connections", ("CLEW_CONNECTIONS",), 4096, _count, "Most open connections to clew serve over HTTP; the next one is closed."),
    Setting("idle_s", ("CLEW_IDLE_S",), 75.0, _seconds, "Seconds after which a connection without a request is closed."),
)  # fmt: skip

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in TABLE}


def get(name: str, given: Any = None) -> Any:
    """The value of setting ``name``; ``given`` (not None) wins over the environment, the environment over the default.

    :raises SettingError: the environment holds a value that cannot be used
    """
    setting = BY_NAME[name]
    if given is not None:
        return Path(given).expanduser() if setting.read is _path else given
    for variable in setting.variables:
        text = os.environ.get(variable)
        if text is None:
            continue
        try:
            return setting.read(text)
        except ValueError as error:
            raise SettingError(f"{variable}={text!r} is not usable: {error}") from None
    return setting.default.expanduser() if isinstance(setting.default, Path) else setting.default


def unknown() -> list[str]:
    """Variables of the environment that look like settings and are none, such as a misspelt one."""
    known = {variable for setting in TABLE for variable in setting.variables}
    return sorted(name for name in os.environ if name.startswith("CLEW_") and name not in known)


def child_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that Clew starts: this process's own, and over it what is given."""
    return {**os.environ, **given}


def tell_library(variable: str, value: str) -> None:
    """Sets a variable of the environment that a library reads, in this process, unless the user has."""
    os.environ.setdefault(variable, value)

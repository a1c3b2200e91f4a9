"""258 recorded exchanges with 50 providers and gateways, each recorded as a program would that calls ``clew.llm`` around its request."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from page import table, usd

import clew
from clew.model.usage import Usage
from clew.observe.store.store import Store
from clew.testing import START_NS, Clock, recording

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When most of them were recorded; they are priced for that time."""


@dataclass
class Exchange:
    file: str
    index: int
    uri: str
    status: int
    asked: dict[str, Any]
    events: list[Any]
    streamed: bool

    @property
    def name(self) -> str:
        return f"{'/'.join(self.file.split('/')[-2:])}#{self.index} {self.uri}"

    @property
    def usage(self) -> Usage | None:
        return Usage.from_stream(self.events) if self.streamed else Usage.from_provider(self.events[0])

    @property
    def model(self) -> str:
        """The model that was asked for: in the body, or, at Google and on Bedrock, in the path."""
        named = self.asked.get("model") or self.asked.get("modelId")
        found = re.search(r"/models?/([^/:]+(?::\d+)?)", urlsplit(self.uri).path)
        return str(named or (found.group(1) if found else ""))


def read(archive: Path) -> Iterator[Exchange]:
    """The exchanges whose answer has a body that can be read."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with lzma.open(archive) as stream, tarfile.open(fileobj=stream) as members:
        for member in members:
            if not member.name.endswith(".yaml"):
                continue
            content = members.extractfile(member)
            assert content is not None
            for index, interaction in enumerate(yaml.load(content, loader).get("interactions", [])):
                request, response = interaction["request"], interaction["response"]
                body = response.get("body") or response.get("parsed_body")
                body = body.get("string", body) if isinstance(body, dict) else body
                status = response.get("status") or response.get("status_code")
                events = values(body)
                if events:
                    code = status["code"] if isinstance(status, dict) else status
                    given = [request.get("parsed_body"), *values(request.get("body") or "")]
                    asked: dict[str, Any] = next((one for one in given if isinstance(one, dict)), {})
                    yield Exchange(member.name, index, request["uri"], code, asked, events, len(events) > 1)


def values(body: Any) -> list[Any]:
    """JSON values of a body: one, the data of server-sent events, JSON lines, or the payloads of an AWS event stream."""
    if isinstance(body, (dict, list)):
        return [body]
    raw = body if isinstance(body, bytes) else (body or "").encode()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    try:
        return [json.loads(raw)]
    except ValueError:
        pass
    decoder, found = json.JSONDecoder(), []
    text = raw.decode("latin-1")
    if "\0" in text:  # binary frames: each payload starts with a brace after its headers
        starts: Iterator[int] = (match.start() for match in re.finditer(r'\{"', text))
        end = 0
        for start in starts:
            if start >= end:
                try:
                    value, end = decoder.raw_decode(text, start)
                except ValueError:
                    continue
                found.append(value)
        return found
    for line in raw.decode(errors="replace").splitlines():
        line = line.strip().removeprefix("data:").strip()
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def provider_of(uri: str, model: str) -> str:
    """The provider's name as the price data has it, by the address that was asked."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    try:
        return str(DataSnapshot(providers=providers, from_auto_update=False).find_provider(model or None, None, uri).id)
    except LookupError:
        return ""


def as_otlp(exchanges: list[Exchange]) -> bytes:
    """Lines of OTLP/JSON: one span for each, named after its file."""
    clock = Clock()
    clock.advance(AT.timestamp() - START_NS / 1e9)
    with recording(clock=clock, value_bytes=1 << 30) as record:
        for exchange in exchanges:
            known = {"model": exchange.model, "provider": provider_of(exchange.uri, exchange.model)}
            with clew.llm(exchange.file, **{name: value for name, value in known.items() if value}) as call:
                asked = exchange.asked
                call.messages(asked.get("messages") or asked.get("input") or asked.get("contents") or asked.get("prompt"))
                if exchange.streamed:
                    call.usage(exchange.usage)
                else:
                    call.response(exchange.events[0])
        return b"".join(record.lines)


_CALLS = """SELECT name AS file, count() AS calls, countIf(usage_source != 'missing') AS known, arrayStringConcat(arraySort(groupUniqArray(provider)), ', ') AS providers,
    arrayStringConcat(arraySort(groupUniqArray(model)), ', ') AS models, sum(input_tokens) AS input, sum(output_tokens) AS output,
    sum(cache_read_tokens) AS cache_read, sum(cache_write_tokens) AS cache_write, sum(reasoning_tokens) AS reasoning,
    sum(reported_cost_usd) AS reported, sum(computed_cost_usd) AS computed, countIf(cost_source = 'unpriced') AS unpriced
FROM model_calls GROUP BY name ORDER BY name"""
_SAID = """SELECT s.name, countIf(direction != 'output'), countIf(direction = 'output') FROM messages AS m
INNER JOIN spans AS s ON m.trace_id = s.trace_id AND m.span_id = s.span_id GROUP BY s.name"""


def section(store: Store) -> str:
    """The table; the calls must be the only ones in the store."""
    said = {name: (given, came) for name, given, came in store.query(_SAID).result_rows}
    rows = []
    for row in store.rows(_CALLS):
        unpriced = f"{row['unpriced']} without a price" if row["unpriced"] else ""
        models = row["models"].strip(", ")
        rows.append(
            (
                short(row["file"]),
                f"{row['known']} of {row['calls']}",
                row["providers"].strip(", "),
                models if len(models) <= 80 else models[:80] + " …",
                *(row[name] for name in ("input", "output", "cache_read", "cache_write", "reasoning")),
                usd(row["reported"]),
                ", ".join(filter(None, [usd(row["computed"]), unpriced])),
                *said.get(row["file"], (0, 0)),
            )
        )
    heads = (
        "file",
        "with usage",
        "provider",
        "models",
        "input",
        "output",
        "cache read",
        "cache write",
        "reasoning",
        "reported USD",
        "computed USD",
        "messages in",
        "out",
    )
    unlisted = [
        model
        for (model,) in store.query("SELECT DISTINCT model FROM model_calls WHERE cost_source = 'unpriced' ORDER BY model").result_rows
    ]
    return f"{table(heads, rows)}\n\nWithout a price are models that run at home (Ollama, vLLM), and what the price data does not list: {', '.join(unlisted)}."


def short(file: str) -> str:
    """A file by its project and its own name."""
    project, *_, folder, name = file.split("/")
    return f"{project.partition('+')[2]}: {folder.removeprefix('test_')}/{name.removesuffix('.yaml')}"

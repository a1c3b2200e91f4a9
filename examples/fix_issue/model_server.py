"""A model at home: an HTTP server that speaks the chat completions format, streaming and not, and plays three parts from a script.

It stands in where no model is at hand. What it sends is ours, in the provider's format: tool calls, usage with cached and reasoning
tokens, server-sent events. Which line it speaks depends on the part (the first line of the system message) and on how often the part has
spoken in the conversation so far.

Run alone, it serves until interrupted: ``python model_server.py 8080``.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

FIRST_TOKEN_S = 0.12
CHUNK_S = 0.006
CACHE_BLOCK = 64
"""Prompt tokens are cached in blocks of this many, from the start of the prompt (a provider's block is 128, its prompts are longer)."""

DATED = {"gpt-4.1": "gpt-4.1-2025-04-14", "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14", "o4-mini": "o4-mini-2025-04-16"}
"""The name a model answers under."""

OFF_BY_ONE = '''"""Splitting a bill."""


def split(total: int, people: int) -> list[int]:
    """Shares of ``total`` cents for ``people``; they add up to the total and differ by one cent at most."""
    share, rest = divmod(total, people)
    return [share + 1 if guest <= rest else share for guest in range(people)]
'''
FIXED = OFF_BY_ONE.replace("<= rest", "< rest")

PLAN = {
    "options": [
        {"name": "give the rest to the last guest", "score": 0.35, "reason": "adds up, but one guest may pay several cents more"},
        {"name": "spread the rest over the first guests", "score": 0.9, "reason": "adds up, and shares differ by one cent at most"},
        {"name": "round with Decimal", "score": 0.2, "reason": "each share is rounded alone, so the sum can still be off"},
    ],
    "choice": "spread the rest over the first guests",
    "reason": "The test suite asks for shares that differ by one cent at most, which only this option gives.",
    "confidence": 0.86,
    "task": "In till/split.py, use divmod and give one extra cent to as many of the first guests as there are cents left. Run the tests.",
}

Turn = dict[str, Any]


def _call(name: str, **arguments: str) -> Turn:
    return {"call": (name, json.dumps(arguments))}


SCRIPT: dict[str, list[Turn]] = {
    "planner": [
        _call("search_code", text="def split"),
        {"text": json.dumps(PLAN, indent=1)},
    ],
    "coder": [
        _call("read_file", path="till/split.py"),
        _call("write_file", path="till/split.py", content=OFF_BY_ONE),
        _call("run_tests"),
        _call("write_file", path="till/split.py", content=FIXED),
        _call("run_tests"),
        {"text": "Spread the rest of a bill over the first guests\n\nInteger division dropped the rest, so a bill could lose cents."},
    ],
    "reviewer": [
        {
            "text": json.dumps({"verdict": "approve", "score": 0.93, "comment": "The shares add up again, and the tests hold it."}),
            "reasoning": 192,
        },
    ],
}


class Refused(Exception):
    """A request that gets an error in the provider's format: status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def tokens(text: str) -> int:
    """This model's tokens: four characters each."""
    return (len(text) + 3) // 4


class Model:
    """Answers requests; remembers the prompts of each part, to tell which tokens it has read before."""

    def __init__(self) -> None:
        self._prompts: dict[str, str] = {}
        self._ids = count(1)
        self._lock = threading.Lock()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The whole completion for a request, as the provider sends it when it does not stream."""
        messages = request.get("messages") or []
        part = next((part for part in SCRIPT if messages and f"You are the {part} " in str(messages[0].get("content"))), None)
        if part is None:
            raise Refused(400, "this model knows only the parts " + ", ".join(SCRIPT))
        spoken = sum(message["role"] == "assistant" for message in messages)
        turn = SCRIPT[part][min(spoken, len(SCRIPT[part]) - 1)]
        with self._lock:
            number = next(self._ids)
            prompt = json.dumps([request.get("tools"), messages])
            cached = _shared(self._prompts.get(part, ""), prompt)
            self._prompts[part] = prompt
        message: dict[str, Any] = {"role": "assistant", "content": turn.get("text"), "refusal": None}
        if "call" in turn:
            name, arguments = turn["call"]
            message["tool_calls"] = [{"id": f"call_{number:08d}", "type": "function", "function": {"name": name, "arguments": arguments}}]
        reasoning = turn.get("reasoning", 0)
        completion = reasoning + tokens(turn.get("text") or "".join(turn["call"]))
        return {
            "id": f"chatcmpl-{number:08d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": DATED.get(request["model"], request["model"]),
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if "call" in turn else "stop"}],
            "usage": {
                "prompt_tokens": tokens(prompt),
                "completion_tokens": completion,
                "total_tokens": tokens(prompt) + completion,
                "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
            },
        }


def _shared(before: str, now: str) -> int:
    """Tokens at the start of ``now`` that ``before`` began with too, in whole blocks."""
    same = next((index for index, (old, new) in enumerate(zip(before, now, strict=False)) if old != new), min(len(before), len(now)))
    return same // 4 // CACHE_BLOCK * CACHE_BLOCK


def chunks(answer: dict[str, Any], *, usage: bool) -> Iterator[dict[str, Any]]:
    """A completion as the chunks of a stream; the usage, when asked for, comes last and without a choice."""
    head = {key: answer[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    message, finish = answer["choices"][0]["message"], answer["choices"][0]["finish_reason"]

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}], "usage": None}

    yield chunk({"role": "assistant", "content": None if message["content"] is None else ""})
    for piece in _pieces(message["content"] or ""):
        yield chunk({"content": piece})
    for index, call in enumerate(message.get("tool_calls", [])):
        yield chunk({"tool_calls": [{"index": index, **call, "function": {"name": call["function"]["name"], "arguments": ""}}]})
        for piece in _pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, finish)
    if usage:
        yield head | {"choices": [], "usage": answer["usage"]}


def _pieces(text: str, length: int = 24) -> Iterator[str]:
    return (text[start : start + length] for start in range(0, len(text), length))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_POST(self) -> None:
        try:
            if not self.path.endswith("/chat/completions"):
                raise Refused(404, f"unknown path {self.path}")
            request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            answer = self.server.model.answer(request)
        except (Refused, ValueError, KeyError, TypeError) as error:
            status = error.status if isinstance(error, Refused) else 400
            self._send(status, {"error": {"message": str(error), "type": "invalid_request_error", "param": None, "code": None}})
            return
        time.sleep(FIRST_TOKEN_S)
        if request.get("stream"):
            self._stream(chunks(answer, usage=bool((request.get("stream_options") or {}).get("include_usage"))))
        else:
            time.sleep(CHUNK_S * answer["usage"]["completion_tokens"] / 6)
            self._send(200, answer)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, parts: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self._event(json.dumps(part))
            time.sleep(CHUNK_S)
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the record tells what was called."""


class ModelServer(ThreadingHTTPServer):
    """Serves from its own thread while it is entered; ``url`` is the base URL for a client."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = Model()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self.serve_forever, args=(0.02,), name="model", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()


if __name__ == "__main__":
    server = ModelServer(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(f"OPENAI_BASE_URL={server.url}", flush=True)
    server.serve_forever()

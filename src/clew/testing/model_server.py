"""A model for tests: an HTTP server on this machine that speaks OpenAI's chat completions (and Groq's) and Anthropic's messages, streaming
and not.

What it answers is a script: a list, one answer after the other, or a function of the request. An answer may also be a fault, as real
providers have them: a rate limit, an error, a body that is no answer, a stream that breaks off, silence.

::

    with ModelServer(["Hello", Refusal(429, retry_after=2), Hang()]) as server:
        client = OpenAI(base_url=server.url, api_key="none")
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Final, Literal, Self

from clew.model.usage import Usage

PIECE: Final = 24
"""Characters in a piece of a streamed answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says.

    :ivar text: its text, or None when it only calls tools
    :ivar calls: tool calls: name and arguments
    :ivar usage: tokens, inclusive; None: counted, four characters a token; False: not reported
    :ivar model: the name it answers under; None: the one it was asked by
    :ivar finish: finish reason in OpenAI's words; None: what fits
    :ivar cost: USD that the answer reports as charged, as OpenRouter does
    """

    text: str | None = None
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    usage: Usage | Literal[False] | None = None
    model: str | None = None
    finish: str | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error in the provider's format."""

    status: int
    message: str = "refused by the script"
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """A body as it stands: garbage, nothing, a proxy's page."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer, until :meth:`ModelServer.release` or the server's end; then the connection is closed."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A stream that ends after so many events of ``answer``: in the middle of the connection, or ``cleanly``, as if it were whole."""

    answer: Answer
    events: int
    cleanly: bool = False


Reply = Answer | Refusal | Raw | Hang | Broken | str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came in."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""


Script = Iterable[Reply] | Callable[[dict[str, Any]], Reply]


class ModelServer:
    """Serves from a thread of its own while it is entered.

    :param script: the answers in turn, after the last one the server refuses with 500; or a function of the request's body
    :param port: 0 for any that is free
    :param first_token_s: how long the model thinks before it speaks
    :param piece_s: how long it takes for each piece of :data:`PIECE` characters
    :ivar url: base URL for a client of OpenAI's format
    :ivar anthropic_url: the same for Anthropic's and Groq's, which add the rest of the path themselves
    :ivar asked: the requests, in the order they came
    """

    def __init__(self, script: Script, *, port: int = 0, first_token_s: float = 0.0, piece_s: float = 0.0) -> None:
        self._next = script if callable(script) else _in_turn(script)
        self.first_token_s = first_token_s
        self.piece_s = piece_s
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._ids = count(1)
        self._lock = threading.Lock()
        self._server = _Server(self, port)
        self.anthropic_url = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.anthropic_url}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="model server", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        self._server.serve_forever()

    def release(self) -> None:
        """Let go of every request that hangs, and of those to come."""
        self.released.set()

    def reply(self, asked: Asked) -> tuple[int, Reply]:
        """The number of the request and what is said to it; the script is asked once for each request."""
        with self._lock:
            self.asked.append(asked)
            reply = self._next(asked.body)
            return next(self._ids), Answer(reply) if isinstance(reply, str) else reply


def _in_turn(replies: Iterable[Reply]) -> Callable[[dict[str, Any]], Reply]:
    rest = iter(replies)
    return lambda _: next(rest, Refusal(500, "the script has no further answer"))


class _Format:
    """How a provider writes an answer."""

    def whole(self, number: int, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        raise NotImplementedError

    def events(self, number: int, request: dict[str, Any], answer: Answer) -> Iterator[bytes]:
        raise NotImplementedError

    def error(self, refusal: Refusal) -> dict[str, Any]:
        raise NotImplementedError


class _OpenAI(_Format):
    def whole(self, number: int, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.calls:
            message["tool_calls"] = [
                {"id": f"call_{number:08d}_{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                for index, (name, arguments) in enumerate(answer.calls)
            ]
        finish = answer.finish or ("tool_calls" if answer.calls else "stop")
        usage = _usage(request, answer)
        return {
            "id": f"chatcmpl-{number:08d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answer.model or request["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            **({"usage": self._tokens(usage, answer)} if usage else {}),
        }

    def _tokens(self, usage: Usage, answer: Answer) -> dict[str, Any]:
        return {
            "prompt_tokens": usage.input_tokens or 0,
            "completion_tokens": usage.output_tokens or 0,
            "total_tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
            "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0, "audio_tokens": 0},
            **({"cost": answer.cost} if answer.cost is not None else {}),
        }

    def events(self, number: int, request: dict[str, Any], answer: Answer) -> Iterator[bytes]:
        whole = self.whole(number, request, answer)
        head = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
        message, finish = whole["choices"][0]["message"], whole["choices"][0]["finish_reason"]

        def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            return _event(head | {"choices": [choice], "usage": None})

        yield chunk({"role": "assistant", "content": None if message["content"] is None else ""})
        for piece in _pieces(message["content"] or ""):
            yield chunk({"content": piece})
        for index, call in enumerate(message.get("tool_calls", [])):
            yield chunk({"tool_calls": [{"index": index, **call, "function": {"name": call["function"]["name"], "arguments": ""}}]})
            for piece in _pieces(call["function"]["arguments"]):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield chunk({}, finish)
        if "usage" in whole:
            yield from self._last(head, request, whole["usage"])
        yield b"data: [DONE]\n\n"

    def _last(self, head: dict[str, Any], request: dict[str, Any], usage: dict[str, Any]) -> Iterator[bytes]:
        """The usage of a stream comes last, and only when asked for."""
        if (request.get("stream_options") or {}).get("include_usage"):
            yield _event(head | {"choices": [], "usage": usage})

    def error(self, refusal: Refusal) -> dict[str, Any]:
        return {"error": {"message": refusal.message, "type": _KINDS.get(refusal.status, "server_error"), "param": None, "code": None}}


class _Groq(_OpenAI):
    """OpenAI's format, save for the place of a stream's usage."""

    def _last(self, head: dict[str, Any], request: dict[str, Any], usage: dict[str, Any]) -> Iterator[bytes]:
        yield _event(head | {"choices": [], "x_groq": {"id": head["id"], "usage": usage}})


class _Anthropic(_Format):
    _STOPS: Final = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}

    def whole(self, number: int, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        content: list[dict[str, Any]] = [] if answer.text is None else [{"type": "text", "text": answer.text}]
        content += [
            {"type": "tool_use", "id": f"toolu_{number:08d}_{index}", "name": name, "input": dict(arguments)}
            for index, (name, arguments) in enumerate(answer.calls)
        ]
        finish = answer.finish or ("tool_calls" if answer.calls else "stop")
        return {
            "id": f"msg_{number:08d}",
            "type": "message",
            "role": "assistant",
            "model": answer.model or request["model"],
            "content": content,
            "stop_reason": self._STOPS.get(finish, finish),
            "stop_sequence": None,
            "usage": self._tokens(_usage(request, answer) or Usage(input_tokens=0, output_tokens=0)),
        }

    def _tokens(self, usage: Usage) -> dict[str, Any]:
        return {
            "input_tokens": usage.uncached_tokens or 0,
            "cache_creation_input_tokens": usage.cache_write_tokens or 0,
            "cache_read_input_tokens": usage.cache_read_tokens or 0,
            "output_tokens": usage.output_tokens or 0,
        }

    def events(self, number: int, request: dict[str, Any], answer: Answer) -> Iterator[bytes]:
        whole = self.whole(number, request, answer)
        usage = whole["usage"]
        yield self._named(
            {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}}
        )
        for index, block in enumerate(whole["content"]):
            empty: dict[str, Any] = {"text": ""} if block["type"] == "text" else {"input": {}}
            yield self._named({"type": "content_block_start", "index": index, "content_block": {**block, **empty}})
            text = block["text"] if block["type"] == "text" else json.dumps(block["input"])
            for piece in _pieces(text):
                delta = (
                    {"type": "text_delta", "text": piece}
                    if block["type"] == "text"
                    else {"type": "input_json_delta", "partial_json": piece}
                )
                yield self._named({"type": "content_block_delta", "index": index, "delta": delta})
            yield self._named({"type": "content_block_stop", "index": index})
        stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield self._named({"type": "message_delta", "delta": stop, "usage": {"output_tokens": usage["output_tokens"]}})
        yield self._named({"type": "message_stop"})

    def _named(self, event: dict[str, Any]) -> bytes:
        return f"event: {event['type']}\n".encode() + _event(event)

    def error(self, refusal: Refusal) -> dict[str, Any]:
        return {"type": "error", "error": {"type": _KINDS.get(refusal.status, "api_error"), "message": refusal.message}}


_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
# The first that fits the end of the path.
_FORMATS: Final[dict[str, _Format]] = {
    "/openai/v1/chat/completions": _Groq(),
    "/chat/completions": _OpenAI(),
    "/messages": _Anthropic(),
}


def tokens(text: str) -> int:
    """This model's tokens: four characters each."""
    return (len(text) + 3) // 4


def _usage(request: dict[str, Any], answer: Answer) -> Usage | None:
    if isinstance(answer.usage, Usage):
        return answer.usage
    if answer.usage is False:
        return None
    said = (answer.text or "") + "".join(name + json.dumps(arguments) for name, arguments in answer.calls)
    given = json.dumps([request.get("system"), request.get("tools"), request.get("messages")])
    return Usage(input_tokens=tokens(given), output_tokens=tokens(said))


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, model: ModelServer, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        form = next((form for path, form in _FORMATS.items() if self.path.partition("?")[0].endswith(path)), None)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if form is None:
            self._refuse(_FORMATS["/chat/completions"], Refusal(404, f"unknown path {self.path}"))
            return
        try:
            request = json.loads(body)
            number, reply = self.server.model.reply(Asked(self.path, request, {key.lower(): value for key, value in self.headers.items()}))
            self._say(form, number, request, reply)
        except (ValueError, KeyError, TypeError) as error:
            self._refuse(form, Refusal(400, f"{type(error).__name__}: {error}"))

    def _say(self, form: _Format, number: int, request: dict[str, Any], reply: Reply) -> None:
        model = self.server.model
        if isinstance(reply, Hang):
            model.released.wait()
            self.close_connection = True
        elif isinstance(reply, Refusal):
            self._refuse(form, reply)
        elif isinstance(reply, Raw):
            self._send(reply.status, reply.body, reply.content_type)
        elif isinstance(reply, Broken):
            self._stream(form.events(number, request, reply.answer), reply.events, cleanly=reply.cleanly)
        else:
            assert isinstance(reply, Answer)
            time.sleep(model.first_token_s)
            if request.get("stream"):
                self._stream(form.events(number, request, reply))
            else:
                said = (reply.text or "") + "".join(json.dumps(arguments) for _, arguments in reply.calls)
                time.sleep(model.piece_s * len(said) / PIECE)
                self._send(200, json.dumps(form.whole(number, request, reply)).encode())

    def _refuse(self, form: _Format, refusal: Refusal) -> None:
        headers = {} if refusal.retry_after is None else {"Retry-After": f"{refusal.retry_after:g}"}
        self._send(refusal.status, json.dumps(form.error(refusal)).encode(), headers=headers)

    def _send(self, status: int, body: bytes, content_type: str = "application/json", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: Iterator[bytes], most: int | None = None, *, cleanly: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for index, event in enumerate(events):
            if index == most:
                break
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()
            time.sleep(self.server.model.piece_s)
        if cleanly:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: :attr:`ModelServer.asked` tells what was asked."""

"""The model for tests answers as its script says, in the form that real clients read."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from clew.model.usage import Usage
from clew.testing import Answer, Broken, Hang, ModelServer, Raw, Refusal

CHAT = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}


def post(server: ModelServer, path: str = "/v1/chat/completions", **body: Any) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request("POST", path, json.dumps({**CHAT, **body}))
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def said(server: ModelServer) -> str:
    return str(json.loads(post(server)[2])["choices"][0]["message"]["content"])


def events(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]


def test_a_list_is_answered_in_turn_and_then_refused() -> None:
    with ModelServer(["one", Answer("two")]) as server:
        assert [said(server), said(server)] == ["one", "two"]
        status, _, body = post(server)
    assert (status, json.loads(body)["error"]["message"]) == (500, "the script has no further answer")
    assert [asked.body["messages"][0]["content"] for asked in server.asked] == ["hi", "hi", "hi"]
    assert server.asked[0].path == "/v1/chat/completions"


def test_a_function_answers_to_what_is_asked() -> None:
    with ModelServer(lambda request: request["messages"][-1]["content"] * 2) as server:
        assert said(server) == "hihi"


def test_an_answer_has_usage_that_is_given_counted_or_left_out() -> None:
    with ModelServer([Answer("12345678", usage=Usage(input_tokens=9, output_tokens=4)), "12345678", Answer("x", usage=False)]) as server:
        given, counted, without = (json.loads(post(server)[2]) for _ in range(3))
    assert given["usage"]["prompt_tokens"] == 9
    assert counted["usage"]["completion_tokens"] == 2
    assert "usage" not in without


def test_a_stream_carries_the_same_answer_and_usage_only_when_asked_for() -> None:
    answer = Answer("A text that takes more than one piece.", calls=(("add", {"a": 1}),))
    with ModelServer([answer, answer]) as server:
        whole = events(post(server, stream=True, stream_options={"include_usage": True})[2])
        bare = events(post(server, stream=True)[2])
    deltas = [event["choices"][0]["delta"] for event in whole if event["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == answer.text
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a": 1}'
    assert whole[-1]["usage"]["completion_tokens"] > 0
    assert all(event["usage"] is None for event in bare)


def test_anthropics_form_keeps_cached_tokens_apart() -> None:
    usage = Usage(input_tokens=100, output_tokens=5, cache_read_tokens=60, cache_write_tokens=30)
    with ModelServer([Answer("x", usage=usage)] * 2) as server:
        whole = json.loads(post(server, "/v1/messages")[2])
        streamed = events(post(server, "/v1/messages", stream=True)[2])
    assert whole["usage"] == {"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60, "output_tokens": 5}
    assert [event["type"] for event in streamed] == [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop")
    ]


def test_a_refusal_has_its_status_and_says_when_to_come_back() -> None:
    with ModelServer([Refusal(429, "slow down", retry_after=2)] * 2) as server:
        status, headers, body = post(server)
        theirs = json.loads(post(server, "/v1/messages")[2])
    assert (status, headers["Retry-After"], json.loads(body)["error"]["message"]) == (429, "2", "slow down")
    assert theirs == {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}


def test_a_body_may_be_anything() -> None:
    with ModelServer([Raw(b"<html>", 502, "text/html")]) as server:
        status, headers, body = post(server)
    assert (status, headers["Content-Type"], body) == (502, "text/html", b"<html>")


def test_a_stream_may_break_off_in_the_middle_or_at_a_clean_end() -> None:
    broken = Answer("A text that takes more than one piece.")
    with ModelServer([Broken(broken, 2), Broken(broken, 2, cleanly=True)]) as server:
        with pytest.raises(http.client.IncompleteRead):
            post(server, stream=True)
        assert len(events(post(server, stream=True)[2])) == 2


def test_a_request_hangs_until_it_is_released() -> None:
    with ModelServer([Hang()]) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
        connection.request("POST", "/v1/chat/completions", json.dumps(CHAT))
        server.release()
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()


def test_a_mistake_in_the_script_or_the_path_is_answered_not_swallowed() -> None:
    with ModelServer(lambda request: request["no such key"]) as server:
        assert json.loads(post(server)[2])["error"]["message"] == "KeyError: 'no such key'"
        assert post(server, "/v2/other")[0] == 404

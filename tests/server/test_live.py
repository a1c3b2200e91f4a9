"""The live tail: what is stored is sent on at once, to everyone whom it concerns; who cannot keep up is told."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark")


class Heard:
    """The events of one connection, as they come."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.listening = threading.Event()
        self.ended = threading.Event()

    def next(self) -> tuple[str, Any]:
        return self.events.get(timeout=30)

    def read(self, url: str, parameters: dict[str, str]) -> None:
        import httpx

        with httpx.stream("GET", f"{url}/api/v1/live", params=parameters, timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            for line in answer.iter_lines():
                if line == ": listening":
                    self.listening.set()
                elif line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.events.put((name, json.loads(line.removeprefix("data: "))))
        self.ended.set()


Listen = Callable[..., Any]


@pytest.fixture
def running(start: Any) -> Any:
    return start()


@pytest.fixture
def listen(running: Any) -> Listen:
    """Connections that last until the server stops."""

    @contextmanager
    def begin(**parameters: str) -> Iterator[Heard]:
        heard = Heard()
        threading.Thread(target=heard.read, args=(running.url, parameters), daemon=True).start()
        assert heard.listening.wait(30)
        yield heard

    return begin


def test_what_is_stored_is_sent_to_those_whom_it_concerns(running: Any, listen: Listen, otlp: Any) -> None:
    failed = {"status": {"code": 2, "message": "red"}}
    with listen() as all_, listen(filter="status:error") as errors, listen(of="logs", filter="disk") as logs:
        running.post(otlp.protobuf(otlp.traces(otlp.span(1), otlp.span(2, **failed))))
        running.post(otlp.protobuf(otlp.logs(otlp.log("the disk is full"), otlp.log("all is well"))), signal="logs")
        name, data = all_.next()
        assert (name, sorted(hit["span_id"][-1] for hit in data["hits"]), data["more"]) == ("spans", ["1", "2"], False)
        name, data = errors.next()
        assert (name, [(hit["span_id"][-1], hit["status_message"]) for hit in data["hits"]]) == ("spans", [("2", "red")])
        name, data = logs.next()
        assert (name, [log["body"] for log in data["logs"]]) == ("logs", ["the disk is full"])


def test_a_span_is_sent_when_it_starts_and_when_it_ends_and_not_again(running: Any, listen: Listen, otlp: Any) -> None:
    with listen() as heard:
        for body in (otlp.span(1, endTimeUnixNano="0"), otlp.span(1), otlp.span(1), otlp.span(2)):
            running.post(otlp.protobuf(otlp.traces(body)))
            running.settled()
        states: list[tuple[str, str]] = []
        while ("2", "ended") not in states:
            states += [(hit["span_id"][-1], hit["state"]) for hit in heard.next()[1]["hits"]]
        assert states == [("1", "running"), ("1", "ended"), ("2", "ended")]


def test_what_an_import_stores_is_sent_too(running: Any, listen: Listen, store: Any, otlp: Any) -> None:
    with listen() as heard:
        otlp.take(store, otlp.lines(otlp.traces(otlp.span(7))))
        assert heard.next()[1]["hits"][0]["span_id"] == otlp.span_id(7)


def test_a_server_that_stops_says_so_and_does_not_wait_for_listeners(running: Any, listen: Listen) -> None:
    with listen() as heard:
        running.server.stop()
        assert heard.next() == ("end", {"message": "the server stops"})
        assert heard.ended.wait(30)


def test_a_filter_that_is_none_is_refused(running: Any) -> None:
    import httpx

    for parameters in ({"filter": "agnet:x"}, {"filter": "level:loud", "of": "logs"}, {"of": "colours"}):
        assert httpx.get(f"{running.url}/api/v1/live", params=parameters, timeout=30).status_code == 400


def test_a_reader_that_is_too_slow_is_told_and_let_go() -> None:
    from clew.server.live import WAITING, Listener

    async def read_late() -> list[bytes]:
        listener = Listener(("spans", ""))
        for number in range(WAITING + 10):
            listener.put(b"%d" % number)
        return [event async for event in listener.events()]

    events = asyncio.run(read_late())
    assert events[:-1] == [b": listening\n\n", *(b"%d" % number for number in range(WAITING))]
    assert events[-1].startswith(b'event: end\ndata: {"message":"this reader is more than 64 events behind')


def test_nothing_is_asked_of_the_store_while_nobody_listens(store: Any, otlp: Any) -> None:
    from clew.server.live import Live

    asked: list[Any] = []

    async def ask(*question: Any, **_: Any) -> Any:
        asked.append(question)

    async def store_unheard() -> None:
        live = Live(ask)
        store.on_stored.append(live.note)
        live.leave(live.listen("spans", ""))
        await asyncio.to_thread(otlp.take, store, otlp.lines(otlp.traces(otlp.span(1))))
        await asyncio.sleep(0)

    asyncio.run(store_unheard())
    assert asked == []
    assert len(store.on_stored) == 1


def test_what_is_new_is_read_from_new_parts_only(store: Any, otlp: Any) -> None:
    from clew.observe.ingest.intake import Intake
    from clew.observe.query.search import ARRIVED
    from clew.wire.check import check_json

    store.command("SYSTEM STOP MERGES span_records")
    for number in (1, 2, 3):
        with Intake(store, sender="test", compact=False) as intake:
            intake.add(number, check_json(otlp.lines(otlp.traces(otlp.span(number)))), "json")
    last = store.value("SELECT max(arrival_ns) FROM span_records")
    plan = "\n".join(
        line
        for (line,) in store.query(
            f"EXPLAIN indexes = 1 SELECT count() FROM (SELECT * FROM span_records WHERE {ARRIVED} AND name != '')",
            {"first_ns": last, "last_ns": last},
        ).result_rows
    )
    store.command("SYSTEM START MERGES span_records")
    assert "Parts: 1/3" in plan

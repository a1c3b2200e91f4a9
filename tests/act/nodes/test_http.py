"""An http node asks a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from clew.act.workflow import running
from clew.act.workflow.running import Try
from clew.testing import recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run


class Handler(BaseHTTPRequestHandler):
    """Tells what it was asked; ``/status/N`` answers with N, ``/hang`` when the test is over."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        status, headers, content = 200, {"Content-Type": "application/json"}, b""
        if self.path == "/hang":
            self.server.released.wait()  # type: ignore[attr-defined]
            self.close_connection = True
            return
        if self.path.startswith("/status/"):
            status, content = int(self.path.rpartition("/")[2]), b"the\nreason"
        elif self.path == "/redirect":
            status, headers["Location"] = 302, "/landed"
        elif self.path == "/text":
            headers["Content-Type"], content = "text/plain; charset=latin-1", "für".encode("latin-1")
        else:
            heard = {"method": self.command, "path": self.path, "body": body, "header": self.headers.get("X-Test")}
            content = json.dumps(heard).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.released = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.released.set()  # type: ignore[attr-defined]
    httpd.shutdown()
    httpd.server_close()


def test_an_answer_is_published_as_text_and_as_a_value(run: Run, server: str) -> None:
    done = run("http", url=f"{server}/a", query={"q": "x y", "n": 3}, headers={"X-Test": "h"})
    assert done.action == "default"
    assert done.results["status"] == 200
    assert done.results["json"] == {"method": "GET", "path": "/a?q=x+y&n=3", "body": "", "header": "h"}
    assert json.loads(done.results["body"]) == done.results["json"]
    assert done.results["headers"]["content-type"] == "application/json"


def test_a_body_is_sent_as_json_or_as_it_is(run: Run, server: str) -> None:
    assert run("http", url=f"{server}/a", method="POST", json={"ä": 1}).results["json"]["body"] == '{"ä":1}'
    assert run("http", url=f"{server}/a", method="PUT", body="plain").results["json"]["body"] == "plain"
    assert "give json or body, not both" in run("http", url=f"{server}/a", json=1, body="x").message


def test_a_text_is_read_in_its_own_encoding(run: Run, server: str) -> None:
    found = run("http", url=f"{server}/text").results
    assert (found["body"], found["json"]) == ("für", None)


def test_a_redirect_is_followed_unless_told_otherwise(run: Run, server: str) -> None:
    assert run("http", url=f"{server}/redirect").results["url"] == f"{server}/landed"
    done = run("http", url=f"{server}/redirect", follow_redirects=False, ok_statuses=[302])
    assert done.results["headers"]["location"] == "/landed"


def test_a_status_other_than_2xx_fails_the_node_and_its_results_stay(run: Run, server: str) -> None:
    done = run("http", url=f"{server}/status/503")
    assert done.message == f"GET {server}/status/503 answered 503: the reason"
    assert (done.results["status"], done.results["body"]) == (503, "the\nreason")


def test_a_status_may_be_declared_good_or_choose_the_edge(run: Run, server: str) -> None:
    assert run("http", url=f"{server}/status/404", ok_statuses=[404]).action == "default"
    assert run("http", url=f"{server}/status/404", check=False).action == "default"
    assert run("http", url=f"{server}/status/404", actions={404: "missing"}).action == "missing"


def test_a_server_that_does_not_answer_is_a_time_out(run: Run, server: str) -> None:
    done = run("http", url=f"{server}/hang", timeout_s=0.1)
    assert isinstance(done.error, TimeoutError)
    assert done.message == f"GET {server}/hang had no answer within 0.1 s; raise timeout_s, or check the server"


def test_the_nodes_own_time_bounds_the_request(run: Run, server: str) -> None:
    token = running.attempt.set(Try(0.05))
    done = run("http", url=f"{server}/hang")
    running.attempt.reset(token)
    assert isinstance(done.error, TimeoutError)


def test_a_server_that_is_not_there_is_named(run: Run) -> None:
    assert run("http", url="http://127.0.0.1:9/x").message.startswith("GET http://127.0.0.1:9/x failed: ")


def test_an_answer_that_is_too_long_fails_the_node(run: Run, server: str) -> None:
    done = run("http", url=f"{server}/a", max_bytes=10)
    assert done.message == f"GET {server}/a answered more than max_bytes (10); raise it, or ask for less"


def test_an_address_without_a_scheme_is_refused(run: Run) -> None:
    assert run("http", url="example.org").message == 'params.url: "example.org" is not usable; expected a text like ^https?://'


def test_the_record_has_the_request_without_its_secrets(run: Run, server: str) -> None:
    with recording() as record:
        run("http", url=f"{server}/a", headers={"Authorization": "Bearer abc12345678", "X-Test": "shown"}, query={"api_key": "k-1234"})
        run("http", url=f"{server}/status/500")
    good, bad = record.spans
    assert (good.kind, good.name, good.status, bad.status) == ("tool", "http", "ok", "error")
    assert "shown" in good.attributes["gen_ai.tool.call.arguments"]
    written = b"".join(record.lines)
    assert b"abc12345678" not in written
    assert b"k-1234" not in written

"""A small ClickHouse for tests: the engine of chdb behind ClickHouse's HTTP interface. ``python clickhouse_server.py DIRECTORY [PORT]``
prints its port.

What a client of ClickHouse can tell: queries in the body or the parameter ``query``, data after an INSERT, parameters and settings in the
address, sessions, compressed bodies, the engine's own error texts with their codes. One directory, one process; 127.0.0.1 only. There is no
Keeper, so no replicated tables, and no cluster.
"""

from __future__ import annotations

import gzip
import itertools
import os
import re
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame  # type: ignore[import-untyped]
import zstandard

TRANSPORT = frozenset(
    (
        *("query", "database", "user", "password", "session_id", "session_timeout", "session_check", "query_id", "quota_key", "role"),
        *("compress", "decompress", "buffer_size", "wait_end_of_query", "client_protocol_version", "enable_http_compression"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms", "default_format"),
    )
)
"""Parameters of the address that are no settings."""
INSERT = re.compile(rb"\A\s*(INSERT\s+INTO\s+.*?)\s+FORMAT\s+(\w+)[ \t]*\r?\n?", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)")


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
"""By Content-Encoding."""


class Sessions:
    """A handle of the engine for each session, and one for each request without a session."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._handles: dict[str, tuple[Any, threading.Lock]] = {}
        self._lock = threading.Lock()
        self._keep = self._connect()  # the engine lives as long as a handle does

    def _connect(self) -> Any:
        connect: Any = chdb.connect
        return connect(str(self._directory))

    def handle(self, session: str | None) -> tuple[Any, threading.Lock]:
        if session is None:
            return self._connect(), threading.Lock()
        with self._lock:
            if session not in self._handles:
                self._handles[session] = (self._connect(), threading.Lock())
            return self._handles[session]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sessions: Sessions
    folder: Path
    numbers = itertools.count()

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._answer(200, b"Ok.\n")
        else:
            self._run(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._run(DECOMPRESS[self.headers.get("Content-Encoding", "")](body))

    def log_message(self, format: str, *args: Any) -> None: ...

    def _chunks(self) -> Any:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _run(self, body: bytes) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        settings = {name: value for name, value in given.items() if name not in TRANSPORT and not name.startswith("param_")}
        settings = dict(sorted(settings.items(), key=lambda item: item[0] == "readonly"))  # which forbids to set any other
        parameters = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
        session = given.get("session_id")
        handle, lock = self.sessions.handle(session)
        try:
            with lock:
                handle.query(f"USE `{given.get('database') or 'default'}`")
                answer = self._execute(handle, given.get("query", "").encode(), body, settings, parameters)
        except Exception as error:
            text = str(error)
            found = CODE.search(text)
            self._answer(500, text.encode(), {"X-ClickHouse-Exception-Code": found[1] if found else "1002"})
        else:
            self._answer(200, answer)
        finally:
            if session is None:
                handle.close()

    def _execute(self, handle: Any, query: bytes, body: bytes, settings: dict[str, str], parameters: dict[str, str]) -> bytes:
        insert = INSERT.match(query + b"\n") if query else INSERT.match(body)
        path = self.folder / f"{next(self.numbers)}.data"
        kept = {name: self._set(handle, name, value) for name, value in settings.items()}
        try:
            if insert:
                path.write_bytes(body if query else body[insert.end() :])
                sql = f"{insert[1].decode()} FROM INFILE '{path}' FORMAT {insert[2].decode()}"
                handle.query(sql, params=parameters)
                return b""
            sql = (query + b"\n" + body if query and body else query or body).decode()
            found = FORMAT.search(sql.encode())
            result = handle.query(sql, found[1].decode() if found else "TabSeparated", params=parameters)
            return bytes(result.bytes()) if result else b""
        finally:
            path.unlink(missing_ok=True)
            for name, before in kept.items():
                with suppress(Exception):
                    handle.query(f"SET {name} = {before}")

    @staticmethod
    def _set(handle: Any, name: str, value: str) -> str:
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"Code: 115. DB::Exception: unknown setting {name}")
        before = str(handle.query(f"SELECT value FROM system.settings WHERE name = '{name}'", "TabSeparatedRaw")).rstrip("\n")
        handle.query(f"SET {name} = {_quoted(value)}")
        return _quoted(before)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/octet-stream", "X-ClickHouse-Summary": "{}", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def main() -> None:
    directory = Path(sys.argv[1]).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)  # the engine caches schemas given as text in the working directory
    with tempfile.TemporaryDirectory() as folder, ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler) as server:
        Handler.sessions, Handler.folder = Sessions(directory / "data"), Path(folder)
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

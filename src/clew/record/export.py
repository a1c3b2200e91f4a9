"""The OTLP/HTTP exporter: sends what is recorded to a collector, beside the spool. A dead collector blocks and delays nothing else."""

from __future__ import annotations

import gzip
import http.client
import logging
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

QUEUE_BYTES: Final = 32 << 20
"""Most bytes that wait to be sent. When full the oldest go first: the spool has them."""
TIMEOUT_S: Final = 10.0
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
_RETRYABLE: Final = frozenset({408, 429, 502, 503, 504})  # OTLP specification 1.x, "Failures", plus request timeout

_PATHS: Final = ((b'{"resourceLogs', "/v1/logs"), (b'{"resourceMetrics', "/v1/metrics"))

log: Final = logging.getLogger("clew")

_pauses: Final = random.SystemRandom()  # not the program's own random numbers, which it may have seeded


class Exporter:
    """Posts lines as OTLP/JSON, gzipped, to ``<endpoint>/v1/traces``, ``/v1/logs`` and ``/v1/metrics``, one at a time, in a thread of its own.

    A refused connection and the statuses 408, 429, 502, 503 and 504 are tried again, after what ``Retry-After`` says or an exponential
    pause with jitter of at most a minute, for as long as the bounded queue has room. Any other failure drops the line. Start records are
    not sent: another collector would take them for spans that ended in 1970.

    :ivar sent: spans that were accepted; :ivar dropped: spans that were given up
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, queue_bytes: int = QUEUE_BYTES, first_pause_s: float = FIRST_PAUSE_S):
        self._url: SplitResult = urlsplit(endpoint.rstrip("/"))
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError(f"endpoint {endpoint!r} is not an http or https address")
        self._headers = dict(headers)
        self._limit = queue_bytes
        self._first_pause_s = first_pause_s
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._warned_at = float("-inf")
        self.sent = 0
        self.dropped = 0

    def write(self, line: bytes, spans: int, *, starts: bool) -> str | None:
        """Take one line to send; never waits."""
        if starts:
            return None
        with self._changed:
            if self._closing:
                self.dropped += spans
                return "closed"
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clew-exporter", daemon=True)
                self._thread.start()
            self._waiting.append((line, spans))
            self._bytes += len(line)
            while self._bytes > self._limit and len(self._waiting) > 1:
                old, lost = self._waiting.popleft()
                self._bytes -= len(old)
                self.dropped += lost
            self._changed.notify_all()
        return None

    def flush(self, timeout: float) -> bool:
        """Wait until everything has been sent or given up; False when ``timeout`` seconds were too short."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._waiting and self._thread is not None and self._thread.is_alive():
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
            return not self._waiting

    def close(self, timeout: float) -> None:
        """Send what waits, for at most ``timeout`` seconds; what is left then counts as dropped."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._waiting and self._thread is not None and self._thread.is_alive():
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            self.dropped += sum([spans for _, spans in self._waiting])
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()

    def abandon(self) -> None:
        # The thread and its locks stayed in the parent; what waits is the parent's to send.
        self._connection = None

    def _run(self) -> None:
        pause = self._first_pause_s
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closing:
                        self._disconnect()
                        return
                    self._changed.wait()
                line, spans = self._waiting[0]
            verdict, retry_after = self._post(line)
            with self._changed:
                if verdict == "retry":
                    wait = retry_after if retry_after is not None else pause * _pauses.uniform(0.5, 1.0)
                    pause = min(pause * 2, LONGEST_PAUSE_S)
                    deadline = time.monotonic() + min(wait, LONGEST_PAUSE_S)
                    while not self._closing and (left := deadline - time.monotonic()) > 0:
                        self._changed.wait(left)
                    if self._closing and self._waiting:  # one more try, then it is over
                        self._changed.wait(min(self._first_pause_s, 0.1))
                    continue
                pause = self._first_pause_s
                if self._waiting and self._waiting[0][0] is line:
                    self._waiting.popleft()
                    self._bytes -= len(line)
                    if verdict == "sent":
                        self.sent += spans
                    else:
                        self.dropped += spans
                elif verdict == "sent":  # it fell out of the full queue while it was on its way
                    self.sent += spans
                    self.dropped -= spans
                self._changed.notify_all()

    def _post(self, line: bytes) -> tuple[str, float | None]:
        """``sent``, ``drop``, or ``retry`` and the seconds that the server asks to wait."""
        path = self._url.path + next((path for start, path in _PATHS if line.startswith(start)), "/v1/traces")
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", **self._headers}
        try:
            connection = self._connect()
            connection.request("POST", path, gzip.compress(line, 1), headers)
            response = connection.getresponse()
            response.read()
            if response.will_close:
                self._disconnect()
            status = response.status
        except Exception as error:
            self._disconnect()
            self._warn(f"{type(error).__name__}: {error}")
            return "retry", None
        if 200 <= status < 300:
            return "sent", None
        self._warn(f"status {status}")
        return ("retry", _seconds(response.getheader("Retry-After"))) if status in _RETRYABLE else ("drop", None)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = str(self._url.hostname), self._url.port
            if self._url.scheme == "https":
                self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _warn(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= 60.0:  # a collector that is down stays down for a while
            self._warned_at = now
            log.warning("clew: cannot send to %s: %s", f"{self._url.scheme}://{self._url.netloc.rpartition('@')[2]}", reason)


def _seconds(header: str | None) -> float | None:
    """``Retry-After``: seconds or a date."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except ValueError:
        return None

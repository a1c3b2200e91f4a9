"""A trace file: lines while the run goes on, one JSON document when it has ended.

While the run goes on ``<kind>-<YYYYMMDD-HHMMSS>.json.part`` gets one line for each thing that happens, each in one write to the operating
system: after ``kill -9`` everything up to the last line is readable. At the end the lines become the document
``<kind>-<YYYYMMDD-HHMMSS>.json``. Both have mode 0600; secrets are masked in both. A large value is written once, as a blob; where it stood
is ``{"$blob": id}``. :func:`read_trace` reads either file and gives the same document.

A disk that cannot be written costs the trace, said once; the run goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from clew.act.workflow.plain import encode, quoted
from clew.errors import WorkflowError
from clew.wire.redaction import redact_text

BLOB: Final = "$blob"
AFTER: Final = "$after"
"""``{"$after": seq}``: the store as it was after that entry, which is not written again."""
BLOB_CHARACTERS: Final = 1024
"""JSON texts longer than this are written once and referred to. A reference takes 45."""

LISTS: Final = {"node": "nodes", "llm_call": "llm_calls", "node_execution": "node_execution", "event": "events"}
"""Sort of line -> the list of the document that its content joins."""
MEMBERS: Final = ("meta", "end")
"""Sorts of line whose content joins the document itself."""
BLOBS: Final = "blobs"
DROPPED: Final = ("start",)
"""Sorts of line that say what is under way, and nothing once it has ended."""

INCOMPLETE: Final = "incomplete"


class TraceFile:
    """The trace file of one execution.

    :param directory: made with mode 0700 when it is missing
    :param kind: first part of the name: ``workflow``, ``planner``
    :param lists: sorts of line that the document has a list for, also when it stays empty
    :param warn: is told, once, why the trace cannot be written
    :ivar path: the document's path; None when the file cannot be written
    """

    def __init__(
        self, directory: Path, kind: str, *, lists: tuple[str, ...], warn: Callable[[str], None], now: datetime | None = None
    ) -> None:
        self.path: Path | None = None
        self.part: Path | None = None
        self._lists = lists
        self._warn = warn
        self._lock = threading.Lock()
        self._known: set[bytes] = set()
        self._file = -1
        self._size = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open(directory, f"{kind}-{(now or datetime.now().astimezone()):%Y%m%d-%H%M%S}")
        except OSError as error:
            self._give_up(f"no trace is written: {_said(error, directory)}")

    def _open(self, directory: Path, stem: str) -> None:
        """Claim the first free name: ``<stem>``, ``<stem>-2``, ..."""
        for number in count(1):
            path = directory / f"{stem}{f'-{number}' if number > 1 else ''}.json"
            part = path.with_name(path.name + ".part")
            if path.exists():
                continue
            try:
                file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            if path.exists():  # another process has ended its trace of that name just now
                os.close(file)
                part.unlink()
                continue
            self._file, self.path, self.part = file, path, part
            return

    def value(self, name: str, value: Any) -> str:
        """``value`` as JSON text, with secrets masked by look and by ``name``, large parts as references; these are written first."""
        text = _redacted(name, value)
        if len(text) <= BLOB_CHARACTERS:
            return text
        if isinstance(value, dict) and all(type(key) is str for key in value):
            parts = [f"{quoted(key)}:{self._referred(_redacted(key, item))}" for key, item in value.items()]
            text = f"{{{','.join(parts)}}}"
        return self._referred(text)

    def _referred(self, text: str) -> str:
        if len(text) <= BLOB_CHARACTERS:
            return text
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16)
        with self._lock:
            is_new = digest.digest() not in self._known
            self._known.add(digest.digest())
        if is_new:
            self.write("blob", f'{{"id":"{digest.hexdigest()}","value":{text}}}')
        return f'{{"{BLOB}":"{digest.hexdigest()}"}}'

    def write(self, sort: str, text: str) -> None:
        """Append a line: ``text`` is a JSON object without line ends."""
        if self._file < 0:
            return
        # A lone surrogate has no UTF-8; as an escape it is JSON.
        line = f'{{"{sort}":{text}}}\n'.encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                done = 0
                while done < len(line):
                    done += os.write(self._file, line[done:] if done else line)
                self._size += done
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._size)  # no half line, which a reader would have to guess at
                self._give_up(f"the trace ends early: {_said(error, self.part)}")

    def _give_up(self, complaint: str) -> None:
        if self._file >= 0:
            os.close(self._file)
        kept = f"; what was written is in {self.part}" if self.part is not None else ""
        self._file, self.path = -1, None
        self._warn(complaint + kept)

    def finish(self) -> Path | None:
        """Make the document of the lines. None when it could not be written; the lines then stay."""
        if self._file < 0 or self.path is None or self.part is None:
            return None
        nascent = self.path.with_name(self.path.name + ".new")
        try:
            with open(os.open(nascent, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                for piece in _document(self.part, self._lists):
                    file.write(piece)
            os.rename(nascent, self.path)
            self.part.unlink()
        except OSError as error:
            nascent.unlink(missing_ok=True)
            self._give_up(f"the trace stays in lines: {_said(error, self.path)}")
            return None
        os.close(self._file)
        self._file = -1
        return self.path


def _said(error: OSError, path: object) -> str:
    return f"{error.strerror or error}: {error.filename or path}"


def _redacted(name: str, value: Any) -> str:
    """``value`` as JSON, masked as what stands under ``name``."""
    head = f"{{{quoted(name)}:"
    text = encode({name: value})
    clean = redact_text(text)
    if clean is not text and not clean.startswith(head):
        return encode(next(iter(json.loads(clean).values())))
    return clean[len(head) : -1]


def _document(part: Path, lists: tuple[str, ...]) -> Iterator[bytes]:
    """The lines as one JSON document, in several passes over the file so that memory stays small."""
    yield b"{"
    for content in _lines(part, "meta"):
        yield content[1:-1]
    for sort in lists:
        yield b',\n"%s":[' % LISTS[sort].encode()
        for number, content in enumerate(_lines(part, sort)):
            yield (b",\n" if number else b"\n") + content
        yield b"]"
    yield b',\n"%s":{' % BLOBS.encode()
    for number, content in enumerate(_lines(part, "blob")):
        # {"id":"<32 digits>","value":...}: the writer's own form
        yield (b",\n" if number else b"\n") + content[6:40] + b":" + content[49:-1]
    yield b"}"
    for content in _lines(part, "end"):
        yield b",\n" + content[1:-1]
    yield b"}\n"


def _lines(part: Path, sort: str) -> Iterator[bytes]:
    head = b'{"%s":' % sort.encode()
    with part.open("rb") as file:
        for line in file:
            if line.startswith(head):
                yield line[len(head) : -2]


def read_trace(path: Path) -> dict[str, Any]:
    """The document of a trace file, or of what a killed process left of one (``….json.part``, or its ``….json`` name).

    Of a part ``final_status`` is ``incomplete``, and ``running`` lists what had begun and not ended. A cut last line is left out.

    :raises WorkflowError: the file cannot be read as a trace
    """
    part = path if path.suffix == ".part" else path.with_name(path.name + ".part")
    try:
        if path.suffix != ".part" and (path.exists() or not part.exists()):
            found = json.loads(path.read_bytes())
            if not isinstance(found, dict):
                raise WorkflowError(f"{path} is no trace: it holds no JSON object")
            return found
        return _from_lines(part)
    except OSError as error:
        raise WorkflowError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise WorkflowError(f"{path} is no trace: {error}") from None


def _from_lines(part: Path) -> dict[str, Any]:
    lines = part.read_bytes().split(b"\n")
    document: dict[str, Any] = {}
    blobs: dict[str, Any] = {}
    begun: dict[Any, Any] = {}
    for number, line in enumerate(lines, 1):
        try:
            ((sort, content),) = json.loads(line).items() if line else ((DROPPED[0], {}),)
        except ValueError:
            if number == len(lines):
                break
            raise
        if sort in MEMBERS:
            document |= content
        elif sort in LISTS:
            document.setdefault(LISTS[sort], []).append(content)
            begun.pop(content.get("seq"), None)
        elif sort == "blob":
            blobs[content["id"]] = content["value"]
        elif content:
            begun[content.get("seq")] = content
    return {**document, BLOBS: blobs, "running": list(begun.values()), "final_status": document.get("final_status", INCOMPLETE)}


def resolve_blobs(value: Any, document: dict[str, Any]) -> Any:
    """A value of the document with the large values in place of the references to them."""
    if isinstance(value, dict):
        if value.keys() == {BLOB}:
            return resolve_blobs(document[BLOBS].get(value[BLOB]), document)
        return {key: resolve_blobs(item, document) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_blobs(item, document) for item in value]
    return value


def store_at(document: Mapping[str, Any], entry: Mapping[str, Any], moment: str) -> dict[str, Any]:
    """The shared store before or after an entry of a trace, whole.

    :param document: as :func:`read_trace` gives it
    :param moment: ``shared_before`` or ``shared_after``
    """
    found = entry[moment]
    by_sequence = {node["seq"]: node for node in document["nodes"]}
    changes: list[Mapping[str, Any]] = []
    while found.keys() == {AFTER}:  # back to the last entry that has the store whole, then forward again
        node = by_sequence[found[AFTER]]
        changes.append(node["mutations"])
        found = node["shared_before"]
    store = dict(found)
    for change in reversed(changes):
        store |= {**change["added"], **change["modified"]}
        for key in change["removed"]:
            store.pop(key, None)
    whole: dict[str, Any] = resolve_blobs(store, dict(document))
    return whole

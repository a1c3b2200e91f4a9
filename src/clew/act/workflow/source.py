"""Reads a workflow document as YAML or JSON, and remembers on which line each key and item stands.

YAML is read by the rules of its version 1.2: only ``true`` and ``false`` are truth values (``on``, ``yes`` and dates are texts), keys are
texts. Anchors may be used; what they expand to is bounded. Nothing in a document is executed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml
from yaml import events

from clew.act.workflow.names import nearest
from clew.act.workflow.problem import Place, Problem, kind, on_one_line, written
from clew.errors import DocumentError

LARGEST_BYTES: Final = 10 << 20
"""Of a file; a workflow of 10,000 nodes has 1 MB, which takes 0.3 s to read, ten times that with the parser in Python."""
MOST_VALUES: Final = 500_000
"""In a document, each value that an alias repeats counted again: nine lines of aliases can stand for a billion."""
DEEPEST: Final = 100
"""Mappings and lists inside one another."""

STDIN: Final = "-"

# The parser in C is some ten times as fast; both give the same events.
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Source:
    """A document as it was written, before anything but its syntax is checked."""

    text: str
    data: dict[str, Any]
    name: str
    """What messages call it: the path as given, or ``stdin``."""
    path: Path | None = None
    """None when it is no file."""
    lines: Mapping[Place, int] = field(default_factory=dict)
    """Line, counted from 1, of each key and each item; empty where there was no text."""
    faults: tuple[Problem, ...] = ()
    """What is wrong with the text although it could be read, such as a key that stands twice."""

    @property
    def base(self) -> Path:
        """The directory that the paths of sub-workflows start from."""
        return self.path.parent if self.path is not None else Path()

    def line(self, place: Place) -> int | None:
        """Line of a value, or of the nearest thing around it that is written."""
        for end in range(len(place), -1, -1):
            if (line := self.lines.get(place[:end])) is not None:
                return line
        return None


def read(path: str | Path) -> Source:
    """The document in a file; ``-`` is stdin. A name that ends in ``.json`` is JSON, any other YAML or JSON.

    :raises DocumentError: it cannot be read, or is neither YAML nor JSON, or no mapping; with line, column, what was found and the next step
    """
    if str(path) == STDIN:
        return parsed(_decoded(sys.stdin.buffer.read(LARGEST_BYTES + 1), "stdin"), name="stdin")
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        _refuse(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}; {_instead(path)}")
    return parsed(_decoded(content, str(path)), name=str(path), path=path)


def of(data: dict[str, Any], *, name: str, path: Path | None = None) -> Source:
    """A document that is there as a value already, such as one that a model wrote.

    :raises DocumentError: it is nested too deeply
    """
    layer: list[Any] = [data]
    for _ in range(DEEPEST + 1):
        layer = [
            item for value in layer for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, (dict, list))
        ]
        if len(layer) > MOST_VALUES:
            break
    if layer:
        _refuse(name, f"is nested more than {DEEPEST} deep; make it flatter")
    return Source(text="", data=data, name=name, path=path)


def parsed(text: str, *, name: str = "the text", path: Path | None = None) -> Source:
    """The document in a text.

    :raises DocumentError: as for :func:`read`
    """
    if not text.strip():
        _refuse(name, "is empty; a workflow has at least a name and nodes")
    if path is not None and path.suffix.lower() == ".json":
        reading = _json(text, name)
    else:
        reading = _braces(text, name) if text.lstrip().startswith("{") else _yaml(text, name)
    if not isinstance(reading.data, dict):
        _refuse(name, f"line 1: holds {kind(reading.data)} at the top; a workflow is a mapping with the keys name, nodes, edges, ...")
    return Source(text, reading.data, name, path, reading.lines, tuple(reading.faults))


def _braces(text: str, name: str) -> _Reading:
    """JSON, else a YAML mapping in braces; the error is that of the one it looks like."""
    try:
        return _json(text, name)
    except DocumentError:
        if re.match(r'\s*\{\s*"', text):
            with suppress(DocumentError):
                return _yaml(text, name)
            raise
    return _yaml(text, name)


def _refuse(name: str, problem: str) -> NoReturn:
    raise DocumentError(name, [problem])


def _instead(path: Path) -> str:
    try:
        names = [other.name for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml", ".json")]
    except (OSError, ValueError):
        return "check the path"
    near = nearest(path.name, [name for name in names if name != path.name])
    return f"did you mean {path.with_name(near)}?" if near else "check the path"


def _decoded(content: bytes, name: str) -> str:
    if len(content) > LARGEST_BYTES:
        _refuse(name, f"is larger than {LARGEST_BYTES >> 20} MiB; is it a workflow? Move large texts into files of their own")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        found = f"byte 0x{content[error.start]:02x}"
        _refuse(name, f"line {line}, column {column}: {found} is not UTF-8; save the file as UTF-8 text")
    if "\0" in text:
        _refuse(name, f"line {text.count(chr(10), 0, text.index(chr(0))) + 1}: holds a zero byte; a workflow is YAML or JSON text")
    return text


class _Reading:
    """What came out of a text so far."""

    def __init__(self) -> None:
        self.data: Any = None
        self.lines: dict[Place, int] = {}
        self.faults: list[Problem] = []

    def fault(self, place: Place, line: int, message: str) -> None:
        self.faults.append(Problem(written(place), on_one_line(message), line))

    def enter(self, place: Place, line: int, known: Container[str]) -> None:
        """Notes the line of a key; one that its mapping has already is a mistake."""
        if place[-1] in known:
            self.fault(place, line, f"{place[-1]} stands here again, after line {self.lines[place]}; keep one of them")
        self.lines[place] = line


# YAML


_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"null|Null|NULL|~|"), lambda _: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),
    (re.compile(r"0o[0-7]{1,4000}"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,4000}"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
)
"""What a scalar without quotes is, by the core schema of YAML 1.2; anything else is a text. Infinities are texts: JSON has none."""

_HALF = re.compile("[\ud800-\udfff]")

_TAGS: Mapping[str | None, str] = {
    None: "",
    "!": "text",
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:map": "",
    "tag:yaml.org,2002:seq": "",
    "tag:yaml.org,2002:int": "",
    "tag:yaml.org,2002:float": "",
    "tag:yaml.org,2002:bool": "",
    "tag:yaml.org,2002:null": "",
}

_ADVICE: tuple[tuple[str, str], ...] = (
    ("mapping values are not allowed", "put a text that holds ': ' in quotes"),
    ("'\\t'", "indent with spaces, not tabs"),
    ("a tab character", "indent with spaces, not tabs"),
    ("found character that cannot start any token", "indent with spaces, not tabs, and put a text that begins with @, ` or % in quotes"),
    ("cannot start any token", "put a text that begins with this character in quotes"),
    ("'}'", "close the brackets, and inside { } and [ ] put templates in quotes"),
    ("']'", "close the brackets, and inside { } and [ ] put templates in quotes"),
    ("escape code", "write the character itself"),
    ("quoted scalar", "close the quotes"),
    ("undefined alias", "name an anchor (&name) that stands before it, or put a text that begins with * in quotes"),
    ("expected <block end>", "indent the keys of one mapping, and the items of one list, alike"),
)
"""Part of the parser's message -> next step."""


def _yaml(text: str, name: str) -> _Reading:
    reading = _YamlReading(text, name)
    try:
        reading.data = reading.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        assert mark is not None, said  # the parser's errors have a place
        reading.refuse(mark.line, mark.column, said)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        character = f"character U+{error.character:04X}" if isinstance(error.character, int) else "a character"
        reading.refuse(before.count("\n"), 0, f"{character} may not stand in YAML", "remove it, or write it as an escape in double quotes")
    except RecursionError:
        _refuse(name, f"is nested too deeply; {DEEPEST} levels are enough")
    return reading


class _YamlReading(_Reading):
    """Builds the value from the parser's events."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__()
        self._text, self._name = text, name
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def refuse(self, line: int, column: int, said: str, advice: str | None = None) -> NoReturn:
        """Ends the reading; ``line`` and ``column`` count from 0."""
        rows = self._text.split("\n")
        found = rows[line].strip()[:80] if line < len(rows) else ""
        advice = advice or next((text for part, text in _ADVICE if part in said), "correct the line")
        at = f", in {found!r}" if found else ", at the end of the text" if line >= len(rows) - 1 else ""
        _refuse(self._name, f"line {line + 1}, column {column + 1}: is not YAML: {said}{at}; {advice}")

    def document(self) -> Any:
        next(self._events), next(self._events)  # beginning of the stream, beginning of a document or end of the stream
        first = next(self._events, None)
        value = None if first is None else self._value(first, (), 0)
        second = next((event.start_mark for event in self._events if isinstance(event, events.DocumentStartEvent)), None)
        if second is not None:
            self.fault((), second.line + 1, "a second document begins here (---); a file holds one workflow")
        return value

    def _value(self, event: Any, place: Place, depth: int) -> Any:
        mark: Any = event.start_mark
        if depth > DEEPEST:
            self.refuse(mark.line, mark.column, f"mappings and lists are nested more than {DEEPEST} deep", "make it flatter")
        before = self._count
        self._counted(1, mark)
        if isinstance(event, events.AliasEvent):
            if event.anchor not in self._anchors:
                self.refuse(mark.line, mark.column, f"found undefined alias {event.anchor!r}, or one inside what it stands for")
            value, count = self._anchors[event.anchor]
            self._counted(count, mark)
            return value
        value = self._scalar(event, place) if isinstance(event, events.ScalarEvent) else self._collection(event, place, depth)
        if event.anchor:
            self._anchors[event.anchor] = value, self._count - before
        return value

    def _counted(self, count: int, mark: Any) -> None:
        self._count += count
        if self._count > MOST_VALUES:
            said = f"the document has more than {MOST_VALUES:,} values, those that aliases repeat counted"
            self.refuse(mark.line, mark.column, said, "move data into files of its own")

    def _collection(self, event: Any, place: Place, depth: int) -> Any:
        self._tag(event, place)
        self.lines.setdefault(place, event.start_mark.line + 1)
        if isinstance(event, events.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(child := next(self._events), events.SequenceEndEvent):
                self.lines[(*place, len(items))] = child.start_mark.line + 1
                items.append(self._value(child, (*place, len(items)), depth + 1))
            return items
        mapping: dict[str, Any] = {}
        while not isinstance(child := next(self._events), events.MappingEndEvent):
            key = self._key(child, place, depth)
            self.enter((*place, key), child.start_mark.line + 1, mapping)
            mapping[key] = self._value(next(self._events), (*place, key), depth + 1)
        return mapping

    def _key(self, event: Any, place: Place, depth: int) -> str:
        line = event.start_mark.line + 1
        if isinstance(event, events.ScalarEvent):
            if event.value == "<<" and event.implicit[0]:
                self.fault(place, line, "merge keys (<<) are not supported; write the keys out, or repeat a whole value with an alias")
            return str(event.value)
        value = self._value(event, place, depth + 1)
        if isinstance(value, str):  # an alias of a text
            return value
        self.fault(place, line, f"{kind(value)} stands as a key; keys are texts")
        return f"line {line}"

    def _scalar(self, event: Any, place: Place) -> Any:
        text: str = event.value
        if _HALF.search(text):  # the parser in C refuses it by itself
            self.refuse(
                event.start_mark.line, event.start_mark.column, "found half a character (\\ud800 to \\udfff)", "write the character itself"
            )
        if self._tag(event, place) == "text" or not (event.implicit[0] or event.tag):
            return text
        for pattern, convert in _NUMBERS:
            if pattern.fullmatch(text):
                value = convert(text)
                return text if value in (float("inf"), float("-inf")) else value
        return text

    def _tag(self, event: Any, place: Place) -> str:
        if event.tag not in _TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.fault(place, event.start_mark.line + 1, f"the YAML tag {tag} is not supported; write a text, number, list or mapping")
        return _TAGS.get(event.tag, "text")


# JSON


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s"\[\]{},:]+|\n')


def _json(text: str, name: str) -> _Reading:
    reading = _Reading()
    try:
        reading.data = json.loads(text, parse_constant=_no_constant)
        json.dumps(reading.data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        rows = text.split("\n")
        found = rows[error.lineno - 1].strip()[:80] if error.lineno <= len(rows) else ""
        _refuse(
            name,
            f"line {error.lineno}, column {error.colno}: is not JSON: {error.msg}{f', in {found!r}' if found else ''}; {_comma(text, error.pos)}",
        )
    except UnicodeEncodeError as error:
        _refuse(
            name, f"holds half a character: \\u{ord(error.object[error.start]):04x}; write both halves of the pair, or the character itself"
        )
    except RecursionError:
        _refuse(name, f"is nested too deeply; {DEEPEST} levels are enough")
    except ValueError as error:
        _refuse(name, f"holds a number that cannot be used: {error}; write it as a text in quotes")
    _places(text, reading, name)
    return reading


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _comma(text: str, position: int) -> str:
    before = text[:position].rstrip()
    after = text[position:].lstrip(", \t\r\n")[:1]
    if after in ("}", "]") and (before.endswith(",") or text[position : position + 1] == ","):
        return "remove the comma before the bracket"
    if text[position : position + 1] == "'":
        return "use double quotes"
    return "correct the line"


def _places(text: str, reading: _Reading, name: str) -> None:
    """Notes the line of every key and item of a text that is known to be JSON."""
    line, count = 1, 0
    stack: list[list[Any]] = []  # of each open mapping or list: its place, its next index (None in a mapping), and the keys so far
    key: str | None = None
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
            continue
        if token == ",":
            key = None
            continue
        if token in "]}":
            stack.pop()
            continue
        if token == ":":
            continue
        place: Place = ()
        if stack:
            outer, index, seen = stack[-1]
            if index is None and key is None:  # this token is a key
                key = json.loads(token)
                reading.enter((*outer, key), line, seen)
                seen.add(key)
                continue
            if index is None:
                assert key is not None
                place = (*outer, key)
            else:
                place = (*outer, index)
                reading.lines[place] = line
                stack[-1][1] = index + 1
        count += 1
        if token in "[{":
            reading.lines.setdefault(place, line)
            stack.append([place, 0 if token == "[" else None, set()])
            key = None
            if len(stack) > DEEPEST:
                _refuse(name, f"line {line}: mappings and lists are nested more than {DEEPEST} deep; make it flatter")
        if count > MOST_VALUES:
            _refuse(name, f"line {line}: the document has more than {MOST_VALUES:,} values; move data into files of its own")

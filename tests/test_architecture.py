"""Imports run one way, as the design's table says; reading the source finds them, those inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "clew"

BASE = {"errors", "settings", "model", "wire", "cost"}

# Part -> what it may import of Clew besides itself. "clew" is the front door, clew/__init__.py.
PARTS: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "model": {"errors", "settings"},
    "wire": {"errors", "settings", "model"},
    "cost": {"errors", "settings", "model", "wire"},
    "record": BASE,
    "observe": BASE,
    "act": BASE | {"record"},
    "connect": BASE | {"record", "observe"},
    "debug": BASE | {"record", "act", "observe"},
    "server": BASE | {"record", "observe", "connect", "debug"},
    "testing": BASE | {"record"},
    "clew": BASE | {"record", "connect"},
    "cli": BASE | {"clew", "record", "observe", "act", "connect", "debug", "server", "testing"},
}

# The same inside two parts: room -> which rooms of the same part it may import.
ROOMS: dict[str, dict[str, set[str]]] = {
    "observe": {
        "store": set(),
        "ingest": {"store"},
        "query": {"store"},
        "resources": {"store", "ingest"},
        "alerts": {"store", "query"},
    },
    "act": {
        "sandbox": set(),
        "memory": set(),
        "tools": set(),
        "workflow": {"sandbox", "memory", "tools"},
        "agents": {"sandbox", "memory", "tools", "workflow"},
    },
}

HEAVY = (
    "chdb",
    "clickhouse_connect",
    "pandas",
    "numpy",
    "starlette",
    "fastapi",
    "opentelemetry",
    "msgspec",
    "genai_prices",
    "openai",
    "rich",
)


def module_name(file: Path, source: Path) -> str:
    parts = ["clew", *file.relative_to(source).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, source: Path, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Every module of Clew that ``file`` names: import statements at any depth, and text that is the name of a module (lazy imports)."""
    package = module_name(file, source).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "clew")
        elif isinstance(node, ast.ImportFrom):
            base = (
                [*package[: len(package) - node.level + 1], *filter(None, [node.module])] if node.level else (node.module or "").split(".")
            )
            if base[0] == "clew":
                for alias in node.names:
                    name = ".".join([*base, alias.name])
                    yield node.lineno, name if name in modules else ".".join(base)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = ".".join(package) + node.value if node.value.startswith(".") else node.value
            if text in modules and text != "clew":
                yield node.lineno, text


def violations(source: Path) -> list[str]:
    """One line for each import that the tables do not allow, and for each part or room that they do not know."""
    files = sorted(source.rglob("*.py"))
    modules = {module_name(file, source) for file in files}
    found = []
    for file in files:
        where = f"{file.relative_to(source.parent)}"
        me = module_name(file, source).split(".")
        part = me[1] if len(me) > 1 else "clew"
        if part not in PARTS:
            found.append(f"{where}: {part} is a part that the table does not know")
            continue
        rooms = ROOMS.get(part, {})
        room = me[2] if rooms and len(me) > 2 else None
        if room is not None and room not in rooms:
            found.append(f"{where}: {room} is a room of {part} that the table does not know")
            continue
        for line, name in imports(file, source, modules):
            other = name.split(".")
            target = other[1] if len(other) > 1 else "clew"
            if target != part and target not in PARTS[part]:
                found.append(f"{where}:{line}: {part} imports {name}")
            elif target == part and rooms and len(other) > 2 and other[2] != room and other[2] not in rooms.get(room or "", set()):
                found.append(f"{where}:{line}: {part}.{room or '__init__'} imports {name}")
    return found


def test_every_import_is_allowed_by_the_table() -> None:
    assert violations(SOURCE) == []


def test_the_source_has_the_parts_that_this_test_reads() -> None:
    read = {module_name(file, SOURCE).split(".")[1] for file in SOURCE.rglob("*.py") if file.parent != SOURCE}
    assert read >= {"model", "wire", "cost", "record", "observe", "cli"}


@pytest.mark.parametrize(
    ("file", "code", "complaint"),
    [
        ("observe/query/a.py", "from clew.record import spool", "observe imports clew.record.spool"),
        ("observe/query/a.py", "def f():\n    import clew.record", "observe imports clew.record"),
        ("observe/query/a.py", "from clew import record", "observe imports clew.record"),
        ("observe/query/a.py", "from ...record import spool", "observe imports clew.record.spool"),
        ("observe/query/a.py", "import clew", "observe imports clew"),
        ("observe/query/a.py", "NAMES = {'spool': 'clew.record.spool'}", "observe imports clew.record.spool"),
        ("record/a.py", "from clew.observe.store import open", "record imports clew.observe.store"),
        ("model/a.py", "from clew.wire import otlp", "model imports clew.wire"),
        ("wire/a.py", "from clew import cost", "wire imports clew.cost"),
        ("observe/store/a.py", "from clew.observe.ingest import spool", "observe.store imports clew.observe.ingest"),
        ("observe/query/a.py", "from ..ingest import spool", "observe.query imports clew.observe.ingest"),
        ("observe/ingest/a.py", "from clew.observe import query", "observe.ingest imports clew.observe.query"),
        ("cost/a.py", "from clew.cli import main", "cost imports clew.cli"),
        ("gossip/a.py", "", "gossip is a part that the table does not know"),
        ("observe/gossip/a.py", "", "gossip is a room of observe that the table does not know"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, code: str, complaint: str) -> None:
    source = tmp_path / "clew"
    for module in ("record/spool", "model/kinds", "wire/x", "cost/x", "observe/store/x", "observe/query/x", "observe/ingest/x", "cli/x"):
        for folder in (path := source / f"{module}.py").parents[:-1]:
            if folder.is_relative_to(source):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "__init__.py").touch()
        path.touch()
    assert violations(source) == []
    (source / file).parent.mkdir(exist_ok=True)
    (source / file).write_text(code)
    assert [line.split(": ", 1)[1] for line in violations(source)] == [complaint]

"""The documentation is true: links lead somewhere, shown commands and names exist, and what exists is documented."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import clew
from clew.errors import MissingExtra

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def cli() -> click.Group:
    group: object = importlib.import_module("clew.cli.main").main
    assert isinstance(group, click.Group)
    return group


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command a user can type, such as ("clew runs", <command>), groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join(["clew", *path, name]), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def code_blocks(text: str, *languages: str) -> Iterator[str]:
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language in languages:
            yield block


def sections(text: str) -> dict[str, str]:
    """Heading (without backquotes) -> the text under it, up to the next heading."""
    found = re.findall(r"^##+ +(.+?)\s*$\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return {heading.strip("`"): body for heading, body in found}


def anchors(text: str) -> set[str]:
    """The anchors that headings get, by GitHub's rule: lower case, punctuation dropped, spaces as hyphens."""
    headings = re.findall(r"^#+ +(.+?)\s*$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (file.parent / name).resolve() if name else file
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        file = waiting.pop()
        if file in reached:
            continue
        reached.add(file)
        for name in re.findall(r"\]\(([^)#\s]+\.md)", file.read_text(encoding="utf-8")):
            path = (file.parent / name).resolve()
            if path.is_relative_to(DOCS):
                waiting.append(path)
    assert set(DOCS.rglob("*.md")) - reached == set()


def typed(text: str) -> Iterator[str]:
    """Each command line that a page shows, after ``$ `` or bare."""
    for block in code_blocks(text, "sh", "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.removeprefix("$ ").split(" #")[0].strip()
            if command.split(" ")[0] in ("clew", "make"):
                yield command


def mistakes(command: str, group: click.Group, verbs: set[str]) -> list[str]:
    """What a shown command line names that does not exist."""
    words = shlex.split(command.split(" -- ")[0].split(" | ")[0].split(" && ")[0])
    if words[0] == "make":
        return [word for word in words[1:] if not word.startswith("-") and "=" not in word and word not in verbs]
    current: click.Command = group
    found = []
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            options = {flag for parameter in [*group.params, *current.params] for flag in (*parameter.opts, *parameter.secondary_opts)}
            if word.split("=")[0] not in options | {"--help"}:
                found.append(word)
        elif isinstance(current, click.Group) and (child := current.get_command(click.Context(current), word)):
            current = child
        elif current is group and not _is_value(words, word, group):
            found.append(word)
    return found


def _is_value(words: list[str], word: str, group: click.Group) -> bool:
    before = words[words.index(word) - 1]
    return any(before in parameter.opts and not getattr(parameter, "is_flag", False) for parameter in group.params)


def verbs() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_shown_commands_exist(file: Path) -> None:
    shown = list(typed(file.read_text(encoding="utf-8")))
    assert {command: wrong for command in shown if (wrong := mistakes(command, cli(), verbs()))} == {}


def test_a_shown_command_that_does_not_exist_is_found() -> None:
    @click.group()
    @click.option("--data-dir")
    def group() -> None: ...

    @group.command()
    @click.option("--json", is_flag=True)
    def runs() -> None: ...

    good = ["clew runs --json", "clew --data-dir .demo runs", "clew --help", "make test PYTHON=python3.12", "clew runs | head"]
    assert [command for command in good if mistakes(command, group, verbs())] == []
    bad = {"clew rnus": ["rnus"], "clew runs --jsn": ["--jsn"], "make tests": ["tests"], "clew --datadir x runs": ["--datadir", "x"]}
    assert {command: mistakes(command, group, verbs()) for command in bad} == bad


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_shown_python_uses_names_that_exist(file: Path) -> None:
    unknown = []
    for block in code_blocks(file.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "clew"
                and not hasattr(clew, node.attr)
            ):
                unknown.append(f"clew.{node.attr}")
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "clew":
                unknown += [f"{node.module}.{alias.name}" for alias in node.names if not is_there(node.module or "", alias.name)]
    assert unknown == []


def is_there(module: str, name: str) -> bool:
    """Whether a module has the name, a module inside it included."""
    try:
        found = importlib.import_module(module)
    except MissingExtra:  # judged where the extras are installed
        return True
    return hasattr(found, name) or (hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None)


def long_options(command: click.Command) -> set[str]:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    return {flag for parameter in options for flag in (*parameter.opts, *parameter.secondary_opts) if flag.startswith("--")}


def test_every_command_and_option_is_documented() -> None:
    """docs/cli.md has a heading for each command, such as ``## `clew show RUN` ``, and under it each of its options."""
    text = page("cli.md")
    missing = sorted(flag for flag in long_options(cli()) if f"`{flag}" not in text)
    for name, command in commands(cli()):
        section = next((body for heading, body in sections(text).items() if f"{heading} ".startswith(f"{name} ")), None)
        if section is None:
            missing.append(name)
        else:
            missing += sorted(f"{name} {flag}" for flag in long_options(command) - long_options(cli()) if f"`{flag}" not in section)
    assert missing == []


@pytest.mark.needs("chdb", "clickhouse_connect")
def test_every_view_and_column_is_documented(data_dir: Path) -> None:
    """docs/sql.md has a heading for each public view, and under it each of its columns, and none that it does not have."""
    views = sorted(file.stem for file in (ROOT / "src/clew/observe/store/views").glob("*.sql"))
    assert len(views) >= 8
    query = f"SELECT table, name FROM system.columns WHERE database = currentDatabase() AND table IN ({', '.join(map(repr, views))})"
    shown = subprocess.run([Path(sys.executable).with_name("clew"), "sql", "--json", query], capture_output=True, text=True, check=True)
    columns: dict[str, set[str]] = {view: set() for view in views}
    for row in json.loads(shown.stdout):
        columns[row["table"]].add(row["name"])
    documented = {
        view: set(re.findall(r"^\| `(\w+)`", body, re.MULTILINE)) for view, body in sections(page("sql.md")).items() if view in columns
    }
    assert documented == columns


@pytest.mark.needs("chdb", "lark")
def test_every_filter_field_is_documented() -> None:
    """docs/filter.md has a table row for each field that a search knows, with its type, and the values of those that have a closed set."""
    from clew.observe.query.search import FIELDS

    kinds = {"duration_ns": "duration", "usd": "USD"}
    rows = [
        f"| `{field.name}` | {', '.join(f'`{value}`' for value in field.values) if field.values else kinds.get(field.type, field.type)} | {field.help} |"
        for field in FIELDS.values()
    ]
    assert [line for line in sections(page("filter.md"))["Fields"].splitlines() if line.startswith("| `")] == rows


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    required = {re.split(r"[^\w.-]", line)[0] for line in declared}
    python, _, web = page("dependencies.md").partition("\n## The web UI")
    named = [set(re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\|([^|]*)\|", part, re.MULTILINE)))) for part in (python, web)]
    packages = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))
    assert named == [required - {"clew"}, {*packages["dependencies"], *packages["devDependencies"]}]

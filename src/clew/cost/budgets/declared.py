"""The user's file of budgets: TOML with ``[[budget]]`` entries and at most one ``[runaway]``. docs/budgets.md describes it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from clew.cost.budgets import budget as budgets
from clew.cost.budgets import runaway as runaways
from clew.cost.budgets.budget import Budget
from clew.cost.budgets.runaway import Runaway
from clew.errors import BudgetError
from clew.wire.whole import write_whole


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file, or all files together, declare."""

    budgets: tuple[Budget, ...] = ()
    runaway: tuple[Runaway, ...] = ()


def read_all(files: Iterable[Path]) -> Declared:
    """All that is declared in the files that are there. All of it holds; of two budgets with one name, the earlier file's does.

    :raises BudgetError: a file cannot be read or used
    """
    found: dict[str, Budget] = {}
    runaway: list[Runaway] = []
    for file in files:
        if not file.exists():
            continue
        declared = read(file)
        found = {**{each.name: each for each in declared.budgets}, **found}
        runaway += declared.runaway
    return Declared(tuple(found.values()), tuple(runaway))


def read(file: Path) -> Declared:
    """:raises BudgetError: the file cannot be read or used; names the file, the line, the value and what to do"""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise BudgetError(f"{file} cannot be read: {error.strerror}; create it, or unset CLEW_BUDGETS") from None
    except UnicodeDecodeError as error:
        raise BudgetError(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    return parse(text, str(file))


def parse(text: str, file: str) -> Declared:
    """:raises BudgetError: as :func:`read`"""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BudgetError(f"{file} is not TOML: {error}") from None
    _known(document, ("budget", "runaway"), file, text, -1)
    entries, limits = document.get("budget", []), document.get("runaway")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BudgetError(f"{file}: budget is not a list of tables; write [[budget]] above each entry")
    if limits is not None and not isinstance(limits, dict):
        raise BudgetError(f"{file}: runaway is not a table; write [runaway] above its limits")
    found: dict[str, Budget] = {}
    for number, entry in enumerate(entries):
        made = _read(budgets.budget, budgets.KEYS, entry, file, text, number)
        if made.name in found:
            raise BudgetError(f"{_place(file, text, number, 'name')}: there is a budget {made.name!r} above; give it another name")
        found[made.name] = replace(made, source=file)
    runaway = () if limits is None else (_read(runaways.runaway, runaways.KEYS, limits, file, text, None),)
    return Declared(tuple(found.values()), runaway)


def _read(make: Any, keys: tuple[str, ...], entry: Mapping[str, Any], file: str, text: str, number: int | None) -> Any:
    _known(entry, keys, file, text, number)
    try:
        return make(entry, "")
    except BudgetError as error:
        said = re.sub(r"^\((.*?)\)", r"budget \1", str(error).lstrip(" :"))
        key = next((key for key in keys if re.match(rf"(budget .*: )?{key} = ", said)), None)
        raise BudgetError(f"{_place(file, text, number, key)}: {said}") from None


def _known(table: Mapping[str, Any], keys: tuple[str, ...], file: str, text: str, number: int | None) -> None:
    for key in table:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(keys)}"
            raise BudgetError(f"{_place(file, text, number, key)}: {key} is not known; {hint}")


_HEADER: Final = re.compile(r"\s*\[")
_ENTRY: Final = re.compile(r"\s*\[\[\s*budget\s*\]\]")
_RUNAWAY: Final = re.compile(r"\s*\[\s*runaway\s*\]")


def _block(lines: list[str], number: int | None) -> tuple[int, int]:
    """First line and the one after the last of entry ``number``, of ``[runaway]`` (None) or of what stands above all tables (-1)."""
    if number == -1:
        return 0, next((index for index, line in enumerate(lines) if _HEADER.match(line)), len(lines))
    heads = [index for index, line in enumerate(lines) if (_RUNAWAY if number is None else _ENTRY).match(line)]
    if len(heads) <= (number or 0):  # written in another form of TOML
        return 0, 0
    start = heads[number or 0]
    return start, next((index for index in range(start + 1, len(lines)) if _HEADER.match(lines[index])), len(lines))


def _place(file: str, text: str, number: int | None, key: str | None) -> str:
    lines = text.splitlines()
    start, end = _block(lines, number)
    if number == -1 and key is not None:  # an unknown table
        start, end = 0, len(lines)
    named = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key or '')}[\"']?\s*[=\]]")
    line = next((index for index in range(start, end) if key and named.match(lines[index])), start)
    return f"{file}, line {line + 1}" if end else file


def write(file: Path, name: str, changes: Mapping[str, Any]) -> Budget:
    """Changes the entry of a budget, or adds one; what else stands in the file, comments included, stays. The whole is checked first.

    :param changes: keys of ``[[budget]]``; None takes a key away
    :raises BudgetError: the file, or what it would become, cannot be used; nothing is changed then
    :raises OSError: it cannot be written
    """
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    known = [each.name for each in parse(text, str(file)).budgets]
    lines = text.splitlines()
    if name in known:
        start, end = _block(lines, known.index(name))
        if not end:
            raise BudgetError(
                f"{file} declares {name!r} in a form that cannot be changed here; write [[budget]] above it, or edit the file"
            )
    else:
        lines += [*([""] if lines and lines[-1].strip() else []), "[[budget]]", f"name = {_toml(name)}"]
        start, end = len(lines) - 2, len(lines)
    block = lines[start:end]
    for key, value in changes.items():
        at = next((index for index, line in enumerate(block) if re.match(rf"\s*{key}\s*=", line)), None)
        if at is not None:
            block[at : at + 1] = [] if value is None else [f"{key} = {_toml(value)}"]
        elif value is not None:
            last = max(index for index, line in enumerate(block) if line.strip() and not line.lstrip().startswith("#"))
            block.insert(last + 1, f"{key} = {_toml(value)}")
    made = "\n".join([*lines[:start], *block, *lines[end:]]) + "\n"
    declared = parse(made, str(file))
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(file, made.encode())
    return next(each for each in declared.budgets if each.name == name)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return (
        f"{value:g}"
        if isinstance(value, float) and value == int(value) and abs(value) < 1e6
        else str(int(value) if value == int(value) else value)
    )

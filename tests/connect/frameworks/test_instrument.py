"""clew.instrument: libraries are recorded by name, whenever they are loaded, once, and no longer when told so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.connect.frameworks import instrumentation as room
from clew.connect.frameworks.table import BY_NAME, TABLE
from clew.errors import MissingExtra, UnknownLibrary
from clew.record import state

DOCS = Path(__file__).parents[3] / "docs" / "instrument.md"


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    clew.uninstrument()


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownLibrary, match=r"no library 'opanai'; did you mean 'openai'\?"):
        clew.instrument("opanai")
    with pytest.raises(ValueError, match="there are openai, anthropic"):
        clew.instrument("zzz")
    with pytest.raises(ValueError, match="no library 'zzz'"):
        clew.uninstrument("zzz")


def test_what_is_not_installed_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there: set[str] = set()
    monkeypatch.setattr(room, "_is_there", lambda module: module in there)
    with pytest.raises(MissingExtra, match=r"clew.instrument\('crewai'\) needs the package 'crewai'.*run: pip install crewai$"):
        clew.instrument("crewai")
    there.add("crewai")
    with pytest.raises(ImportError, match=r"run: pip install openinference-instrumentation-crewai$"):
        clew.instrument("crewai")
    there.add("openai")
    with pytest.raises(MissingExtra, match=r"run: pip install 'clew\[openai\]'$"):
        clew.instrument("openai")
    assert clew.instrument() == ()
    assert room.instrumented() == ()


def test_nothing_is_recorded_while_recording_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_DISABLED", "1")
    assert clew.instrument() == ()
    state.forget()


@pytest.mark.needs("openinference.instrumentation.openai", "openai", "pocketflow")
def test_a_second_time_changes_nothing_and_the_end_puts_everything_back() -> None:
    import pocketflow
    from openai.resources.chat.completions import Completions

    before = pocketflow.BaseNode._run, Completions.create
    assert clew.instrument("pocketflow", "openai", "OpenAI") == ("pocketflow", "openai")
    once = pocketflow.BaseNode._run
    assert once is not before[0]
    assert clew.instrument("pocketflow") == ("pocketflow",)
    assert pocketflow.BaseNode._run is once
    assert room.instrumented() == ("openai", "pocketflow")
    assert clew.uninstrument("pocketflow") == ("pocketflow",)
    assert clew.uninstrument("pocketflow") == ()
    assert pocketflow.BaseNode._run is before[0]
    assert clew.uninstrument() == ("openai",)
    assert room.instrumented() == ()


@pytest.mark.needs("openinference.instrumentation.langchain", "langgraph")
def test_langchain_is_recorded_as_long_as_one_of_its_names_is() -> None:
    import langchain_core.callbacks  # noqa: F401  # it is loaded: recorded at once
    from openinference.instrumentation.langchain import LangChainInstrumentor

    assert clew.instrument("langgraph", "langchain") == ("langgraph", "langchain")
    assert clew.uninstrument("langgraph") == ("langgraph",)
    assert LangChainInstrumentor().is_instrumented_by_opentelemetry
    assert clew.uninstrument() == ("langchain",)
    assert not LangChainInstrumentor().is_instrumented_by_opentelemetry


def fresh(code: str, tmp_path: Path) -> list[Any]:
    script = f"import clew, sys, json\nclew.init(data_dir={str(tmp_path)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.needs("openinference.instrumentation.openai", "openai", "wrapt")
def test_nothing_is_imported_and_what_is_imported_later_is_recorded(tmp_path: Path) -> None:
    code = """
named = clew.instrument()
loaded = [name for name in ("openai", "anthropic", "litellm", "langchain_core", "pydantic_ai", "llm", "pocketflow") if name in sys.modules]
import openai
from openai.resources.chat.completions import Completions
from openinference.instrumentation.openai import OpenAIInstrumentor
print(json.dumps([",".join(loaded), "openai" in named, OpenAIInstrumentor().is_instrumented_by_opentelemetry]))
"""
    assert fresh(code, tmp_path) == ["", True, True]


@pytest.mark.needs("openinference.instrumentation.openai", "openai", "wrapt")
def test_a_library_that_is_given_up_before_it_is_loaded_is_not_recorded(tmp_path: Path) -> None:
    code = """
clew.instrument("openai")
clew.uninstrument("openai")
import openai
from openinference.instrumentation.openai import OpenAIInstrumentor
print(json.dumps([OpenAIInstrumentor().is_instrumented_by_opentelemetry]))
"""
    assert fresh(code, tmp_path) == [False]


def test_every_library_of_the_table_is_in_the_docs_with_its_install_line() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert list(rows) == [library.name for library in TABLE]
    for library in TABLE:
        cells = [cell.strip() for cell in rows[library.name].split("|")]
        install = "–" if library.package == "clew" else f"`{library.install}`" if library.package != library.distribution else "–"
        assert cells == [library.package, install, library.dialect, "yes" if library.tested else "not run"], library.name


def test_names_and_extras_are_those_of_the_package() -> None:
    import tomllib

    extras = tomllib.loads((DOCS.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert len(BY_NAME) == len(TABLE)
    for library in TABLE:
        if library.extra:
            assert any(entry.startswith(library.package) for entry in extras[library.extra]), library.name

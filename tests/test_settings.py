"""One table of settings: nothing else reads the environment, every row is documented, and a bad value names itself."""

from __future__ import annotations

import ast
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew import settings
from clew.errors import SettingError
from clew.settings import BY_NAME, TABLE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"


def row(setting: settings.Setting) -> str:
    """The line of docs/settings.md for a setting."""
    default = setting.default
    if isinstance(default, bool):
        default = int(default)
    shown = "" if default is None or default == {} else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
    return f"| `{setting.name}` | {', '.join(f'`{variable}`' for variable in setting.variables)} | {shown} | {setting.help} |"


def environment_reads(code: str) -> list[int]:
    """Lines that reach for the environment, in whatever way."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if (
            (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "getenvb"))
            or (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and {alias.name for alias in node.names} & {"environ", "environb", "getenv", "getenvb"}
            )
            or (isinstance(node, ast.keyword) and node.arg in ("envvar", "auto_envvar_prefix"))
        ):
            lines.append(node.lineno)
    return lines


def test_only_the_table_reads_the_environment() -> None:
    readers = {
        f"{file.relative_to(ROOT)}:{line}"
        for file in (ROOT / "src").rglob("*.py")
        if file.name != "settings.py"
        for line in environment_reads(file.read_text(encoding="utf-8"))
    }
    assert readers == set()


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.environ['HOME']",
        "import os as o; o.getenv('HOME')",
        "from os import environ",
        "def f():\n    import os\n    return os.environb",
        "click.option('--x', envvar='X')",
    ],
)
def test_a_read_of_the_environment_is_found(code: str) -> None:
    assert environment_reads(code) != []


def test_every_setting_is_documented() -> None:
    documented = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert documented == [row(setting) for setting in TABLE]


def test_names_and_variables_are_unique() -> None:
    variables = [variable for setting in TABLE for variable in setting.variables]
    assert len(set(variables)) == len(variables)
    assert list(BY_NAME) == [setting.name for setting in TABLE]


def test_the_argument_beats_the_environment_and_the_environment_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.get("sample") == 1.0
    monkeypatch.setenv("CLEW_SAMPLE", "0.5")
    assert settings.get("sample") == 0.5
    assert settings.get("sample", 0.25) == 0.25


def test_the_first_variable_of_a_row_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    assert settings.get("service") == "other"
    monkeypatch.setenv("CLEW_SERVICE", "mine")
    assert settings.get("service") == "mine"


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/ada")
    monkeypatch.delenv("CLEW_DATA_DIR")
    assert settings.get("data_dir") == Path("/people/ada/.clew")
    assert settings.get("data_dir", "~/records") == Path("/people/ada/records")


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("CLEW_SAMPLE", "2", "expected a number from 0 to 1"),
        ("CLEW_SAMPLE", "nan", "expected a number from 0 to 1"),
        ("CLEW_SAMPLE", "half", "could not convert string to float: 'half'"),
        ("CLEW_CAPTURE", "some", "expected one of full, hash, off"),
        ("CLEW_DISABLED", "maybe", "expected one of 1, 0, true, false, yes, no, on, off"),
        ("CLEW_QUEUE", "-1", "expected a whole number of at least 0"),
        ("CLEW_FLUSH_S", "inf", "expected a number of seconds of at least 0"),
        ("CLEW_FLUSH_S", "nan", "expected a number of seconds of at least 0"),
        ("CLEW_PRICES", "~nobody-of-this-name/x", "Could not determine home directory."),
        ("CLEW_HEADERS", "a=1,b", "expected key=value, separated by commas"),
    ],
)
def test_a_bad_value_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, reason: str) -> None:
    monkeypatch.setenv(variable, text)
    name = next(setting.name for setting in TABLE if variable in setting.variables)
    with pytest.raises(SettingError) as error:
        settings.get(name)
    assert str(error.value) == f"{variable}={text!r} is not usable: {reason}"


@given(st.text() | st.just("~nobody-of-this-name/x"))
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    for setting in TABLE:
        with contextlib.suppress(ValueError):
            setting.read(text)


@given(st.dictionaries(st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.from_regex(r"[^,\s=]{0,12}", fullmatch=True)))
def test_headers_are_read_as_written(headers: dict[str, str]) -> None:
    assert BY_NAME["headers"].read(",".join(f"{key} = {value}" for key, value in headers.items())) == headers

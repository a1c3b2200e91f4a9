"""The tree drawn in the docstring of clew.errors is the real one, and messages name the next step."""

from __future__ import annotations

import inspect
import re

import pytest

from clew import errors
from clew.errors import ClewError, FilterError, MissingExtra


def drawn() -> dict[str, str]:
    """Class -> parent, read from the drawing."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for indent, name in re.findall(r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        path[depth:] = [name]
        if depth:
            parents[name] = path[depth - 1]
    return parents


def real() -> dict[str, str]:
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__]
    return {cls.__name__: cls.__bases__[0].__name__ for cls in classes if cls is not ClewError}


def test_the_drawing_is_the_real_tree() -> None:
    assert drawn() == real()
    assert len(real()) > 5


def test_every_error_says_what_it_means() -> None:
    assert [name for name in real() if not inspect.getdoc(getattr(errors, name))] == []


def test_a_missing_extra_names_the_function_the_package_and_the_install_line() -> None:
    error = MissingExtra("clew runs", "chdb", "server")
    assert str(error) == "clew runs needs the package 'chdb', which is not installed; run: pip install 'clew[server]'"
    with pytest.raises(ImportError):
        raise error


def test_a_filter_error_points_at_the_character() -> None:
    error = FilterError("unknown field 'stats'", text="stats:error", position=3)
    assert str(error) == "unknown field 'stats'\n  stats:error\n     ^"

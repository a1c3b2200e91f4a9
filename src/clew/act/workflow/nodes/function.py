"""Finds a function by its name, ``package.module:name``, in the document's directory or among what is installed."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clew.errors import WorkflowError

PATTERN: Final = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


class FunctionNotFound(WorkflowError):
    """A name that leads to no function."""


_places: Final[dict[str, Path]] = {}
"""Top name of a module -> the document's directory it was imported from. Two documents may each have their own ``steps.py``."""
_importing: Final = threading.Lock()


def find(name: str, base: Path) -> Callable[..., Any]:
    """The function ``name``; modules in ``base`` come before installed ones.

    :raises FunctionNotFound: there is no such module or function, it is not callable, or its module raises when it is imported
    """
    module_name, _, path = name.partition(":")
    module = _module(name, module_name, base)
    found: Any = module
    for step in path.split("."):
        try:
            found = getattr(found, step)
        except AttributeError:
            names = ", ".join(sorted(key for key in vars(module) if not key.startswith("_") and callable(getattr(module, key)))[:20])
            raise FunctionNotFound(f"{module_name} ({module.__file__}) has no {path}; it has {names or 'no functions'}") from None
    if not callable(found):
        raise FunctionNotFound(f"{name} is no function but {type(found).__name__}; name a function")
    return found  # type: ignore[no-any-return]


def _module(name: str, module_name: str, base: Path) -> Any:
    place = base.resolve()
    top = module_name.partition(".")[0]
    local = (place / f"{top}.py").is_file() or (place / top).is_dir()
    with _importing:
        if local and _places.get(top, place) != place:  # the same name of another document
            for loaded in [key for key in sys.modules if key == top or key.startswith(f"{top}.")]:
                del sys.modules[loaded]
            del _places[top]
        sys.path.insert(0, str(place))
        new = top not in sys.modules
        try:
            importlib.invalidate_caches()
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                raise FunctionNotFound(f"{name}: there is no module {error.name} in {place} or installed") from error
            raise FunctionNotFound(f"{name}: {module_name} needs the module {error.name}, which is not installed") from error
        except Exception as error:
            raise FunctionNotFound(f"{name}: importing {module_name} raised {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(str(place))
        if local and new:
            _places[top] = place
    return module

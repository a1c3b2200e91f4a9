"""A store and OTLP requests, as the tests of the observing wing have them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("observe_fixtures", Path(__file__).parents[1] / "observe" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

made = _fixtures.made
store = _fixtures.store
otlp = _fixtures.otlp

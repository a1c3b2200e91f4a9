"""Workflows are an extra as a whole: without its packages none of their tests is collected, unless everything must run."""

from __future__ import annotations

import os
from importlib.util import find_spec

_IS_THERE = all(map(find_spec, ("pocketflow", "pydantic", "pydantic_ai", "yaml")))
collect_ignore_glob = [] if _IS_THERE or os.environ.get("CLEW_REQUIRE_ALL", "") not in ("", "0") else ["*"]

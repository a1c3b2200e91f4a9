"""Budgets: what is declared, the ledger that holds what was spent, and the verdicts on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FILE: Final = "budgets.toml"
"""Name of the file of budgets in the data directory."""
PROJECT_FILE: Final = "clew-budgets.toml"
"""Name of the file of budgets in the directory that a program is started in."""


def places(data_dir: Path, named: Path | None) -> tuple[Path, ...]:
    """Where budgets are declared.

    :param named: the setting ``budgets``, which then stands alone; None: the project's file, then that of the data directory
    """
    return (named,) if named is not None else (Path(PROJECT_FILE), data_dir / FILE)

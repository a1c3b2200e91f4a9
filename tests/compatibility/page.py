"""What a generated page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; None is nothing, whole numbers have their thousands apart."""
    lines = [heads, ["---"] * len(heads), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|").replace("\n", " ")


def usd(cost: float | None) -> str:
    """A cost to a hundredth of a millionth; '' when it is unknown."""
    return "" if cost is None else f"{cost:.8f}".rstrip("0").rstrip(".")

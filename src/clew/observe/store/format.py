"""The file ``store.format`` of a data directory: which version of the tables it holds, and which tables and views have been made, by the
digest of their text. It is written last, so what it says has been done; what it does not say may be done again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from clew.errors import StoreNewer, StoreUnavailable
from clew.wire.whole import write_whole

SCHEMA: Final = 4
"""Version of the tables. A directory with a higher one is refused; a lower one is upgraded (upgrade.py)."""

NAME: Final = "store.format"


@dataclass(frozen=True, slots=True)
class Format:
    """What a data directory holds."""

    schema: int = SCHEMA
    made: dict[str, str] = field(default_factory=dict)
    """File of the schema -> digest of the text that is in force."""

    @classmethod
    def read(cls, data_dir: Path) -> Format:
        """That of the directory; a new directory has nothing yet, of the present version.

        :raises StoreNewer: it is of a newer version
        :raises StoreUnavailable: the file is damaged
        """
        path = data_dir / NAME
        if not path.exists():
            return cls()
        try:
            found = json.loads(path.read_text())
            schema, made = int(found["schema"]), {str(name): str(digest) for name, digest in found.get("made", {}).items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreUnavailable(
                f"{path} is damaged; restore it, or move the directory {data_dir / 'store'} away and import again"
            ) from None
        return cls.of(schema, found.get("written_by", ""), made, where=str(data_dir))

    @classmethod
    def of(cls, schema: int, written_by: str, made: dict[str, str], *, where: str) -> Format:
        """
        :raises StoreNewer: it is of a newer version
        """
        if schema > SCHEMA:
            raise StoreNewer(
                f"{where} was written by Clew {written_by or 'of a later version'} (schema {schema}); "
                f"this is Clew {version('clew')} (schema {SCHEMA}): upgrade it, or choose another directory with --data-dir"
            )
        return cls(schema, made)

    def row(self) -> tuple[int, str, dict[str, str]]:
        """Its schema, who writes it, and what is made."""
        return self.schema, version("clew"), self.made

    def write(self, data_dir: Path) -> None:
        """Whole or not at all."""
        schema, written_by, made = self.row()
        keep(data_dir / NAME, json.dumps({"schema": schema, "written_by": written_by, "made": made}) + "\n")


def keep(path: Path, text: str) -> None:
    """Makes the file hold the text; whole or not at all, and without a write when it does already."""
    if path.exists() and path.read_text() == text:
        return
    write_whole(path, text.encode())

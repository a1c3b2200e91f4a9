"""Backup of a data directory while it is served, and restore into a new one.

All that was acknowledged before the backup began is in it. Parts of the engine's tables never change once they are there, so a backup is a
moment in which nothing is inserted, while each active part is linked (not copied); what was linked is copied afterwards, beside the work.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from clew.errors import StoreError, StoreNewer, StoreUnavailable
from clew.observe.ingest.collector import Collector
from clew.observe.ingest.spool import sweep
from clew.observe.store.format import NAME as FORMAT
from clew.observe.store.format import SCHEMA, Format
from clew.observe.store.store import Store
from clew.wire import archive
from clew.wire.archive import Entry, Manifest, Progress

SNAPSHOT: Final = ".snapshot"
LEFT_OUT: Final = {
    "store": "linked apart",
    "wal": "all of it is in the store; its account is kept",
    "spool": "taken in first",
    "keys.json": "API keys are secrets: make new ones",
    "store.lock": "of the process",
    "owner.sock": "of the process",
    "owner.log": "of the process",
    "otlp.proto": "written anew",
    SNAPSHOT: "is the backup being made",
}
"""What of a data directory is not copied as it is, and why. Everything else is."""

_SQLITE: Final = b"SQLite format 3\x00"
_SQLITE_BESIDE: Final = ("-wal", "-shm", "-journal")
TRIES: Final = 10
"""A merge that ends between two steps takes parts away, and the links are made again."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was made, or restored."""

    path: str
    files: int
    bytes: int
    schema: int


def backup(store: Store, target: Path, collector: Collector | None, progress: Progress = lambda done, size, files: None) -> BackedUp:
    """Writes a backup to ``target``, which must not exist: a tar file when its name ends in ``.tar``, else a folder.

    :param collector: of a server, whose log is stored first
    :raises StoreError: ``target`` is in the data directory, or the tables are in a server
    :raises FileExistsError: there is something at ``target``
    :raises OSError: it cannot be written
    :raises StoreUnavailable: what was acknowledged cannot be stored
    """
    if not store.engine.is_own:
        raise StoreError(f"the tables are in {store.engine.name}; have that server back them up: {store.engine.backup_statement}")
    if target.is_relative_to(store.data_dir):
        raise StoreError(f"{target} is in the data directory itself; back up to another place")
    snapshot = store.data_dir / SNAPSHOT
    sweep(store, compact=False)
    if collector is not None:
        collector.wait_until_stored()
    with store.ingesting:
        archive.clear(snapshot)
        if collector is not None:
            collector.checkpoint()
        for left in reversed(range(TRIES)):
            try:
                _link(store, snapshot)
                break
            except FileNotFoundError:
                archive.clear(snapshot)
                if not left:
                    raise StoreUnavailable("the store merges its parts faster than they can be linked; run this again later") from None
        account = store.data_dir / "wal" / "account.json"
        if account.exists():
            (snapshot / "wal").mkdir(mode=0o700)
            shutil.copyfile(account, snapshot / "wal" / "account.json")
    try:
        _copy_rest(store.data_dir, snapshot)
        schema = Format.read(store.data_dir).schema

        def manifest(entries: list[Entry]) -> Manifest:
            return Manifest(schema, version("clew"), time.time_ns(), entries)

        made = archive.write(snapshot, target, manifest, progress)
    finally:
        archive.clear(snapshot)
    return BackedUp(str(target), len(made.files), made.bytes, made.schema)


def restore(source: Path, data_dir: Path, progress: Progress = lambda done, size, files: None) -> BackedUp:
    """Makes ``data_dir``, which must not exist or be empty, what it was when the backup was made. It is there whole or not at all.

    :raises StoreError: the directory holds something
    :raises StoreNewer: the backup is of a newer version
    :raises MalformedRecord: it is no backup, or is damaged
    :raises OSError: it cannot be read, or the directory not be written
    """
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise StoreError(f"{data_dir} is not empty; restore into a new directory, with --data-dir, or move it away first")

    def check(manifest: Manifest) -> None:
        if manifest.schema > SCHEMA:
            raise StoreNewer(
                f"{source} was made by Clew {manifest.written_by} (schema {manifest.schema}); this is Clew {version('clew')} "
                f"(schema {SCHEMA}): upgrade it"
            )

    part = archive.part_of(data_dir)
    archive.clear(part)
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = archive.read(source, part, check, progress)
        for folder in ("tmp", "store"):  # empty folders are not in a backup
            (part / "store" / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        part.rename(data_dir)
    except BaseException:
        archive.clear(part)
        raise
    return BackedUp(str(source), len(made.files), made.bytes, made.schema)


def tidy(data_dir: Path) -> None:
    """Removes what a backup that was killed has left. Call it only as the owner of the directory."""
    archive.clear(data_dir / SNAPSHOT)


def _link(store: Store, snapshot: Path) -> None:
    """Links the engine's files: of each table its active parts, and everything that is not a table's."""
    root = store.data_dir / "store"
    tables: list[Path] = []
    for (paths,) in store.query(
        "SELECT data_paths FROM system.tables WHERE database = currentDatabase() AND notEmpty(data_paths)"
    ).result_rows:
        tables += [Path(path) for path in paths]
    parts = [
        Path(path) for (path,) in store.query("SELECT path FROM system.parts WHERE active AND database = currentDatabase()").result_rows
    ]
    chosen = set(parts)
    whole = set(tables)
    for folder, names, files in os.walk(root):
        here = Path(folder)
        if here == root:
            names[:] = [name for name in names if name not in ("shadow", "tmp", "preprocessed_configs", "flags")]
        if here in whole:
            names[:] = [name for name in names if here / name in chosen]
        place = snapshot / here.relative_to(store.data_dir)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in [*files, *(name for name in names if (here / name).is_symlink())]:
            if (here / name).is_symlink():
                os.symlink(os.readlink(here / name), place / name)
            else:
                _link_one(here / name, place / name)
    if missing := [part for part in parts if not (snapshot / part.relative_to(store.data_dir) / "checksums.txt").exists()]:
        raise FileNotFoundError(str(missing[0]))


def _link_one(path: Path, place: Path) -> None:
    try:
        os.link(path, place, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(path, place)


def _copy_rest(data_dir: Path, snapshot: Path) -> None:
    for path in data_dir.rglob("*"):
        top = path.relative_to(data_dir).parts[0]
        if top in LEFT_OUT or top.startswith("owner.log") or path.name.endswith((".new", *_SQLITE_BESIDE)) or not path.is_file():
            continue
        place = snapshot / path.relative_to(data_dir)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
        if is_database:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as there, closing(sqlite3.connect(place)) as copy:
                there.backup(copy)
        else:
            shutil.copyfile(path, place)
    if not (snapshot / FORMAT).exists():
        raise StoreError(f"{data_dir / FORMAT} is missing; open the store once, then make the backup again")

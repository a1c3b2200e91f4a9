"""Where the owner of a data directory answers, and what tells one owner from another."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path

from clew import settings
from clew.errors import StoreUnavailable

LONGEST_PATH = 100
"""Bytes of a socket's path; the kernel takes 104 (macOS) to 108 (Linux)."""


def socket_path(data_dir: Path) -> Path:
    """The socket of the owner of ``data_dir``; where that path is too long for a socket, the link there names a short one."""
    path = data_dir / "owner.sock"
    try:
        return Path(os.readlink(path))
    except OSError:
        return path


def place_socket(data_dir: Path) -> Path:
    """Makes room for the owner's socket, whatever a dead owner left, and gives the path to bind. Call it only with the store's lock held.

    :raises StoreUnavailable: the directory for short paths belongs to somebody else
    """
    link = data_dir / "owner.sock"
    short = socket_path(data_dir)
    link.unlink(missing_ok=True)
    if len(os.fsencode(link)) <= LONGEST_PATH:
        return link
    if short == link:
        directory = Path(tempfile.gettempdir()) / f"clew-{os.getuid()}"
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise StoreUnavailable(
                f"{directory} must be a directory of yours alone (mode 0700); the path of {data_dir} is too long for a socket"
            )
        short = directory / f"{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}.sock"
    short.unlink(missing_ok=True)
    link.symlink_to(short)
    return short


def remove_socket(data_dir: Path) -> None:
    """Takes the socket away, before the store is closed."""
    socket_path(data_dir).unlink(missing_ok=True)
    (data_dir / "owner.sock").unlink(missing_ok=True)


def own_version() -> str:
    return version("clew")


def price_mark(data_dir: Path, prices: Path | None) -> str:
    """Names the price override file as it is now: an owner that read another one, or an earlier state of it, must go."""
    path = prices or data_dir / "prices.toml"
    try:
        found = path.stat()
    except OSError:
        return str(path) if prices else ""
    return f"{path}:{found.st_mtime_ns}:{found.st_size}"


def store_mark() -> str:
    """Names the store of the settings, without its password; empty: the one in the data directory."""
    url = settings.get("store")
    return hashlib.sha256(url.encode()).hexdigest()[:16] if url else ""

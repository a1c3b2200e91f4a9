"""A backup as it lies on disk: the files of a data directory and a manifest, written last, in a folder or in one tar file."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

import msgspec

from clew.errors import MalformedRecord

MANIFEST: Final = "backup.json"
_BLOCK: Final = 1 << 20

Progress = Callable[[int, int, int], None]
"""Called with (bytes done, bytes in all, files done)."""


class Entry(msgspec.Struct, frozen=True):
    """A file, or a link within the folder."""

    path: str
    bytes: int = 0
    sha256: str = ""
    link: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds. What is not in it is no part of the backup."""

    schema: int
    written_by: str
    made_ns: int
    files: list[Entry]

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files)


def part_of(target: Path) -> Path:
    """Where it is written before it is whole."""
    return target.with_name(target.name + ".part")


def is_tar(path: Path) -> bool:
    return path.name.endswith(".tar")


def write(folder: Path, target: Path, manifest: Callable[[list[Entry]], Manifest], progress: Progress) -> Manifest:
    """Writes all of ``folder`` to ``target``: a tar file when its name ends so, else a folder. It is there whole or not at all: until then it
    lies beside, as ``….part``, and is on disk before it gets its name.

    :raises FileExistsError: there is something already
    :raises OSError: it cannot be written
    """
    if target.exists():
        raise FileExistsError(17, "there is something already; name a new file or folder", str(target))
    part = part_of(target)
    clear(part)
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    total = sum(path.lstat().st_size for path in paths)
    target.parent.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    done = 0
    try:
        with _Tar(part) if is_tar(target) else _Folder(part) as out:
            for path in paths:
                name = path.relative_to(folder).as_posix()
                if path.is_symlink():
                    entry = Entry(name, link=os.readlink(path))
                    out.link(entry)
                else:
                    size = path.stat().st_size
                    with path.open("rb") as source:
                        digest = out.file(name, size, source)
                    entry = Entry(name, size, digest)
                    done += size
                entries.append(entry)
                progress(done, total, len(entries))
            whole = manifest(entries)
            out.text(MANIFEST, msgspec.json.encode(whole))
        part.rename(target)
        _sync(target.parent)
    except BaseException:
        clear(part)
        raise
    return whole


def read(source: Path, folder: Path, check: Callable[[Manifest], None], progress: Progress) -> Manifest:
    """Unpacks a backup into a new ``folder``, each file checked against the manifest.

    :param check: raises to refuse a backup before anything is unpacked
    :raises MalformedRecord: it is no backup, or is damaged
    :raises OSError: it cannot be read, or the folder not be written
    """
    manifest = manifest_of(source)
    check(manifest)
    folder.mkdir(mode=0o700)
    done = 0
    with _opened(source) as open_file:
        for number, entry in enumerate(manifest.files, 1):
            path = folder / _safe(entry.path)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if entry.link:
                _safe((PurePosixPath(entry.path).parent / entry.link).as_posix())
                path.symlink_to(entry.link)
                continue
            with open_file(entry.path) as stream, _new(path) as out:
                digest = _copy(stream, out)
            if digest != entry.sha256:
                raise MalformedRecord(f"{source} is damaged: {entry.path} is not what was backed up; take another backup")
            done += entry.bytes
            progress(done, manifest.bytes, number)
    return manifest


def manifest_of(source: Path) -> Manifest:
    """
    :raises MalformedRecord: it is no backup
    :raises OSError: it cannot be read
    """
    with _opened(source) as open_file:
        try:
            with open_file(MANIFEST) as stream:
                return msgspec.json.decode(stream.read(), type=Manifest)
        except (msgspec.DecodeError, KeyError, FileNotFoundError, NotADirectoryError, tarfile.TarError):
            raise MalformedRecord(f"{source} is no backup of Clew, or was cut off: it has no {MANIFEST}") from None


def clear(path: Path) -> None:
    """Removes a file or a folder. Idempotent."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _safe(path: str) -> str:
    """The path, which must stay within its folder."""
    depth = 0
    for part in PurePosixPath(path).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or part.startswith("/"):
            raise MalformedRecord(f"a backup names {path!r}, which is outside of it; it is not unpacked")
    return path


def _copy(source: BinaryIO, out: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
        out.write(block)
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest()


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Folder:
        self._path.mkdir(mode=0o700, parents=True)
        return self

    def __exit__(self, *_: object) -> None: ...

    def file(self, name: str, size: int, source: BinaryIO) -> str:
        with self._make(name) as out:
            return _copy(source, out)

    def link(self, entry: Entry) -> None:
        path = self._path / entry.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.symlink_to(entry.link)

    def text(self, name: str, data: bytes) -> None:
        with self._make(name) as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())

    def _make(self, name: str) -> BinaryIO:
        path = self._path / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _new(path)


class _Digested:
    """A source that is digested as tarfile reads it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self._source.read(size)
        self.digest.update(block)
        return block


class _Tar:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Tar:
        self._out = _new(self._path)
        self._tar = tarfile.open(fileobj=self._out, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()

    def file(self, name: str, size: int, source: BinaryIO) -> str:
        digested = _Digested(source)
        self._tar.addfile(self._about(name, size), digested)  # type: ignore[arg-type]  # read() is all it needs
        return digested.digest.hexdigest()

    def link(self, entry: Entry) -> None:
        about = self._about(entry.path, 0)
        about.type, about.linkname = tarfile.SYMTYPE, entry.link
        self._tar.addfile(about)

    def text(self, name: str, data: bytes) -> None:
        self._tar.addfile(self._about(name, len(data)), io.BytesIO(data))

    def _about(self, name: str, size: int) -> tarfile.TarInfo:
        about = tarfile.TarInfo(name)
        about.size, about.mode = size, 0o600
        return about


class _opened:
    """Opens the files of a backup by their names, whichever form it has."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> Callable[[str], BinaryIO]:
        if self._source.is_dir():
            return lambda name: (self._source / _safe(name)).open("rb")
        try:
            self._tar = tar = tarfile.open(self._source, "r:")
        except tarfile.TarError:
            raise MalformedRecord(f"{self._source} is no backup of Clew: it is neither a folder nor a tar file") from None

        def open_file(name: str) -> BinaryIO:
            found = tar.extractfile(name)
            if found is None:
                raise KeyError(name)
            return found  # type: ignore[return-value]  # a buffered reader

        return open_file

    def __exit__(self, *_: object) -> None:
        if self._tar is not None:
            self._tar.close()

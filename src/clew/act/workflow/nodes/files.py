"""The node types ``read_file`` and ``write_file``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from clew.act.workflow import running
from clew.act.workflow.nodes import node
from clew.errors import WorkflowError

MOST_BYTES: Final = 10 << 20


class FileFailed(WorkflowError):
    """A file that cannot be read or written."""


class ReadFileNode(node.NodeType):
    """Reads a file as text, and its content as data where it is JSON or YAML."""

    type = "read_file"
    outputs: ClassVar[Mapping[str, str]] = {
        "content": "The text",
        "data": "What it holds, with ``parse``; otherwise null",
        "path": "The file's absolute path",
        "bytes": "Its size",
    }

    class Params(node.Params):
        path: str
        """File; relative to the document's directory."""
        encoding: str = "utf-8"
        """How text and bytes belong together: ``utf-8``, ``latin-1``, ..."""
        parse: Literal["json", "yaml", "lines"] | None = None
        """What ``data`` is made of: a JSON or YAML value, or the list of lines."""
        max_bytes: Annotated[int, Field(ge=0)] = MOST_BYTES
        """A larger file fails the node."""

    def execute(self, params: Params) -> dict[str, Any]:
        path = (running.base() / params.path).absolute()
        try:
            with path.open("rb") as file:
                content = file.read(params.max_bytes + 1)
                size = os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise FileFailed(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if len(content) > params.max_bytes:
            raise FileFailed(
                f"{path} has {size} bytes, more than max_bytes ({params.max_bytes}); raise max_bytes, or read a part of it in another way"
            )
        try:
            text = content.decode(params.encoding)
        except UnicodeDecodeError as error:
            raise FileFailed(
                f"{path} is no text in {params.encoding}: byte {error.start} is {content[error.start]:#04x}; name its encoding"
            ) from error
        except LookupError as error:
            raise FileFailed(f"there is no encoding {params.encoding!r}; use one such as utf-8 or latin-1") from error
        return {"content": text, "data": _parsed(path, text, params.parse), "path": str(path), "bytes": len(content)}


def _parsed(path: Path, text: str, parse: str | None) -> Any:
    if parse == "json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise FileFailed(f"{path} is no JSON: {error}") from error
    if parse == "yaml":
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise FileFailed(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return text.splitlines() if parse == "lines" else None


class WriteFileNode(node.NodeType):
    """Writes a file: whole or not at all, also when the process is killed meanwhile. With ``append`` it adds to it instead."""

    type = "write_file"
    outputs: ClassVar[Mapping[str, str]] = {"path": "The file's absolute path", "bytes": "How many bytes were written"}

    class Params(node.Params):
        path: str
        """File; relative to the document's directory. Directories that are missing are made."""
        content: Any
        """A text as it is; any other value as JSON, indented."""
        encoding: str = "utf-8"
        """How text and bytes belong together: ``utf-8``, ``latin-1``, ..."""
        mode: str | None = Field(default=None, pattern="^[0-7]{3,4}$")
        """Permissions as octal digits, such as ``"0600"``; without it those that the file has, or a new one gets."""
        append: bool = False
        """Add to the end of the file."""

    def execute(self, params: Params) -> dict[str, Any]:
        path = (running.base() / params.path).absolute()
        text = params.content if isinstance(params.content, str) else json.dumps(params.content, indent=2, ensure_ascii=False) + "\n"
        try:
            content = text.encode(params.encoding)
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = None if params.mode is None else int(params.mode, 8)
            if params.append:
                _append(path, content, mode)
            else:
                _replace(path.resolve(), content, mode)  # of a symbolic link what it points at
        except (OSError, ValueError, LookupError) as error:
            raise FileFailed(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
        return {"path": str(path), "bytes": len(content)}


def _append(path: Path, content: bytes, mode: int | None) -> None:
    with path.open("ab") as file:
        file.write(content)
        if mode is not None:
            os.fchmod(file.fileno(), mode)


def _replace(path: Path, content: bytes, mode: int | None) -> None:
    if path.is_dir():
        raise IsADirectoryError(0, "it is a directory")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _permissions(path) if mode is None else mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _permissions(path: Path) -> int:
    """Those of the file that is replaced, else those that a new file gets."""
    try:
        return path.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

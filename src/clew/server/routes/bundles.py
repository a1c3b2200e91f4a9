"""Runs as portable files: export and import."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from clew.observe.ingest import files
from clew.observe.query import bundle
from clew.observe.store.store import Store
from clew.server.parameters import RunId
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1")

BODY_BYTES = 512 << 20
"""Largest file that is taken; a run of 50,000 spans is some ten MiB."""
IN_MEMORY = 8 << 20
"""A larger one waits in a temporary file."""
CHUNK = 1 << 18

_KIND = "application/zstd"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {_KIND: _BINARY}, "description": "The file"}}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/octet-stream": _BINARY}}}


@router.get("/runs/{run_id}/bundle", response_class=StreamingResponse, responses=_FILE)
async def export_run(asking: Asking, run_id: RunId) -> StreamingResponse:
    """The run as one file, zstd-compressed OTLP/JSON lines after a line that says what is in it: spans, content, log records, prices."""
    written, file = await asking.ask_at_leisure(_export, run_id)
    headers = {"content-disposition": f'attachment; filename="{written.run_id}.clew"', "content-length": str(written.bytes)}
    return StreamingResponse(_pieces(file), media_type=_KIND, headers=headers)


def _export(store: Store, run_id: str) -> tuple[bundle.Exported, IO[bytes]]:
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - it is closed when it has been sent
    try:
        written = bundle.export(store, run_id, cast(BinaryIO, file))
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return written, file


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece


@router.post("/bundles", openapi_extra=_BODY)
async def import_run(asking: Asking, request: Request) -> files.Taken:
    """Takes in a file that was exported. What is here of it already stays as it is, so importing it again changes nothing."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        async for piece in request.stream():
            file.write(piece)
            if file.tell() > BODY_BYTES:
                raise HTTPException(413, f"a bundle has at most {BODY_BYTES >> 20} MiB; import it with: clew import FILE")
        file.seek(0)
        return await asking.ask_at_leisure(files.import_file, cast(BinaryIO, file), name="bundle", only_bundles=True)

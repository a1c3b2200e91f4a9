"""A stream that is recorded while it is read: the call's span ends with it, and its body sees the span as current.

The consumer never does: the span is attached for the length of one step only. A stream that breaks off, or is left early, keeps what has come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from clew.record.calls.assembly import Assembly
from clew.record.decorator import Steps
from clew.record.guard import fault
from clew.record.span import Span

Finish = Callable[[Span, BaseException | None], None]


class _Recorded:
    """A client's stream: whatever else it can do, it still can.

    :param finish: called once, with the error that the stream ended by, to end the span
    :param hidden: pieces that the consumer did not ask for
    """

    def __init__(self, stream: Any, span: Span, finish: Finish, hidden: Callable[[Any], bool] | None = None) -> None:
        self._stream = stream
        self._span: Span | None = span
        self._finish = finish
        self._hidden = hidden
        self._assembly = Assembly()
        self._step = Steps(span)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _took(self, piece: Any) -> bool:
        """Note a piece; False when it is not the consumer's."""
        try:
            if self._span is not None:
                self._span.first_chunk()  # type: ignore[attr-defined]
                self._assembly.add(piece)
            return self._hidden is None or not self._hidden(piece)
        except Exception:
            fault("reading a piece of a stream")
            return True

    def _end(self, error: BaseException | None = None, *, left: bool = False) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        try:
            self._assembly.record(span)
            if left:
                span.event("stream left before its end")
            self._finish(span, error)
        except Exception:
            fault("ending a stream")

    def __del__(self) -> None:
        if getattr(self, "_span", None) is not None:
            self._end(left=True)


class RecordedStream(_Recorded):
    """A stream that is read by ``for``."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                with self._step:
                    piece = next(self._stream)
            except StopIteration:
                self._end()
                raise
            except BaseException as error:
                self._end(error)
                raise
            if self._took(piece):
                return piece

    def __enter__(self) -> Self:
        if hasattr(self._stream, "__enter__"):
            self._stream.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            if hasattr(self._stream, "__exit__"):
                self._stream.__exit__(*exception)
        finally:
            self._end(exception[1], left=exception[1] is None)

    def close(self) -> None:
        """Close the stream; its span ends here."""
        try:
            if hasattr(self._stream, "close"):
                self._stream.close()
        finally:
            self._end(left=True)


class RecordedAsyncStream(_Recorded):
    """A stream that is read by ``async for``."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                with self._step:
                    piece = await anext(self._stream)
            except StopAsyncIteration:
                self._end()
                raise
            except BaseException as error:
                self._end(error)
                raise
            if self._took(piece):
                return piece

    async def __aenter__(self) -> Self:
        if hasattr(self._stream, "__aenter__"):
            await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        try:
            if hasattr(self._stream, "__aexit__"):
                await self._stream.__aexit__(*exception)
        finally:
            self._end(exception[1], left=exception[1] is None)

    async def aclose(self) -> None:
        """Close the stream; its span ends here."""
        try:
            for way in ("aclose", "close"):
                if hasattr(self._stream, way):
                    await getattr(self._stream, way)()
                    break
        finally:
            self._end(left=True)

    close = aclose


def recorded(stream: Any, span: Span, finish: Finish, hidden: Callable[[Any], bool] | None = None) -> Any:
    """``stream`` wrapped; None when it is no stream: nothing that is read piece by piece."""
    if hasattr(stream, "__anext__"):
        return RecordedAsyncStream(stream, span, finish, hidden)
    if hasattr(stream, "__next__"):
        return RecordedStream(stream, span, finish, hidden)
    return None

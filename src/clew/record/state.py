"""The recorder of this process, and the few values that every span reads on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from clew import settings

if TYPE_CHECKING:
    from clew.record.processor import Processor
    from clew.record.recorder import Recorder
    from clew.record.writer import Sink

recorder: Any = None
"""The recorder at work: None before the first use and while recording is off."""
ended: Any = None
"""The recorder that was shut down: its account is still asked for."""
off = False
value_bytes = 1 << 20
span_bytes = 4 << 20
"""Most bytes that one span holds; further values are counted as dropped attributes of that span."""

switches: Final[list[Callable[[bool], None]]] = []
"""Told whether recording is off, whenever that changes. The instruments keep it where they find it fastest."""

making: Final = threading.RLock()

attached: Final[list[Processor]] = []
"""Processors of this process, beside those that a recorder is given."""
sinks: Final[list[Sink]] = []
"""Where lines go, beside the sinks that a recorder is given."""


def attach(processor: Processor) -> None:
    """Have a processor see the spans of this recorder and every later one of the process, after a fork too. Idempotent."""
    with making:
        if processor not in attached:
            attached.append(processor)
        if recorder is not None:
            recorder.use(attached)


def detach(processor: Processor) -> None:
    """It sees no further span. Idempotent."""
    with making:
        if processor in attached:
            attached.remove(processor)
        if recorder is not None:
            recorder.drop(processor)


def send_to(sink: Sink) -> None:
    """Have the lines of this recorder and every later one of the process go there too, after a fork too. Idempotent."""
    with making:
        if sink not in sinks:
            sinks.append(sink)
            if recorder is not None and recorder.writer is not None:
                recorder.writer.sinks.append(sink)


def send_no_more(sink: Sink) -> None:
    """No further line goes there. Idempotent."""
    with making:
        if sink in sinks:
            sinks.remove(sink)
            if recorder is not None and recorder.writer is not None and sink in recorder.writer.sinks:
                recorder.writer.sinks.remove(sink)


def running() -> Recorder | None:
    """The recorder, made from the settings on first use and at work; None while recording is off."""
    with making:
        if off:
            return None
        if recorder is None:
            from clew.record.recorder import from_settings

            use(from_settings({}))
        if recorder is not None and recorder.idle:
            recorder.run()
        return recorder  # type: ignore[no-any-return]


def use(new: Recorder | None) -> None:
    """Make ``new`` the recorder of this process; None turns recording off."""
    global recorder, ended, off, value_bytes, span_bytes
    recorder, ended, off = new, (recorder or ended) if new is None else None, new is None
    if new is not None:
        value_bytes = new.settings.value_bytes
        span_bytes = 4 * value_bytes
    for switch in switches:
        switch(off)


def forget() -> None:
    """As before the first use."""
    global recorder, ended, off
    use(None)
    recorder, ended, off = None, None, False
    for switch in switches:
        switch(False)


def is_off() -> bool:
    """Whether nothing is recorded. Decides by the setting before the first use, without starting anything."""
    return off or (recorder is None and bool(settings.get("disabled")))

"""What a process and its machine use, as points of OTLP metrics under OpenTelemetry's names. psutil reads it, the same on every system.

Source of names and attributes: semantic conventions, system/process-metrics and system/system-metrics. What only Clew has begins with ``clew.``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from clew.errors import MissingExtra
from clew.wire import otlp_json

CUMULATIVE: Final = 2


class Reading(NamedTuple):
    """One figure at one moment."""

    name: str
    unit: str
    kind: Literal["gauge", "sum", "counter"]
    """``sum``: may fall, and adds up over series; ``counter``: only grows, since ``start_ns`` of the line."""
    value: float
    attributes: Mapping[str, str] = {}


def request(readings: Iterable[Reading], resource: str, *, start_ns: int, now_ns: int) -> bytes:
    """The readings as one OTLP/JSON line.

    :param resource: as otlp_json.resource() gives it
    :param start_ns: since when the counters count
    """
    metrics: dict[tuple[str, str, str], list[str]] = {}
    for reading in readings:
        value = f'"asInt":"{reading.value}"' if isinstance(reading.value, int) else f'"asDouble":{reading.value!r}'
        start = f'"startTimeUnixNano":"{start_ns}",' if reading.kind != "gauge" else ""
        attributes = ",".join(
            [f'{{"key":{otlp_json.text(key)},"value":{otlp_json.any_value(text)}}}' for key, text in reading.attributes.items()]
        )
        point = f'{{{start}"timeUnixNano":"{now_ns}",{value},"attributes":[{attributes}]}}'
        metrics.setdefault((reading.name, reading.unit, reading.kind), []).append(point)
    shown = [
        f'{{"name":{otlp_json.text(name)},"unit":{otlp_json.text(unit)},{_data(kind, points)}}}'
        for (name, unit, kind), points in metrics.items()
    ]
    scope = f'{{{otlp_json.scope("clew")},"metrics":[{",".join(shown)}]}}'
    return otlp_json.line(f'{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{scope}]}}]}}\n')


def _data(kind: str, points: list[str]) -> str:
    data = f'"dataPoints":[{",".join(points)}]'
    if kind == "gauge":
        return f'"gauge":{{{data}}}'
    monotonic = "true" if kind == "counter" else "false"
    return f'"sum":{{"aggregationTemporality":{CUMULATIVE},"isMonotonic":{monotonic},{data}}}'


class ProcessResources:
    """This process. Each read() takes about a millisecond.

    :raises MissingExtra: psutil is not installed
    """

    def __init__(self) -> None:
        self._process = _psutil().Process()
        self._last = (time.monotonic(), self._process.cpu_times())
        self.start_ns = round(self._process.create_time() * 1e9)

    def read(self) -> Iterator[Reading]:
        process = self._process
        with process.oneshot():
            now, used = time.monotonic(), process.cpu_times()
            (before, last), self._last = self._last, (now, used)
            for mode in ("user", "system"):
                seconds = getattr(used, mode)
                yield Reading("process.cpu.time", "s", "counter", float(seconds), {"cpu.mode": mode})
                if now > before:
                    share = max(seconds - getattr(last, mode), 0.0) / (now - before) / (os.cpu_count() or 1)
                    yield Reading("process.cpu.utilization", "1", "gauge", share, {"cpu.mode": mode})
            memory = process.memory_info()
            yield Reading("process.memory.usage", "By", "sum", memory.rss)
            yield Reading("process.memory.virtual", "By", "sum", memory.vms)
            yield Reading("process.thread.count", "{thread}", "sum", process.num_threads())
            yield Reading("process.uptime", "s", "gauge", time.time() - process.create_time())
            # Not on every system, and not for every user.
            with suppress(AttributeError, OSError, _psutil().Error):
                yield Reading("process.unix.file_descriptor.count", "{file_descriptor}", "sum", process.num_fds())
            with suppress(AttributeError, OSError, _psutil().Error):
                disk = process.io_counters()
                for direction, count in (("read", disk.read_bytes), ("write", disk.write_bytes)):
                    yield Reading("process.disk.io", "By", "counter", count, {"disk.io.direction": direction})

    def components(self, names: Mapping[str, str], rest: str) -> Iterator[Reading]:
        """CPU time by component: the threads of this process by the beginnings of their names; what is no thread of Python's is ``rest``.

        Threads that have ended are in none of them.
        """
        known = {thread.native_id: thread.name for thread in threading.enumerate()}
        used: dict[str, float] = {}
        with suppress(OSError, _psutil().Error):
            for thread in self._process.threads():
                name = known.get(thread.id)
                component = rest if name is None else next((of for start, of in names.items() if name.startswith(start)), "other")
                used[component] = used.get(component, 0.0) + thread.user_time + thread.system_time
        for component, seconds in used.items():
            yield Reading("clew.component.cpu.time", "s", "counter", seconds, {"clew.component": component})


def machine(data_dir: Path | None = None) -> Iterator[Reading]:
    """The machine: CPU, memory, disk and network I/O since it started, and the file system of ``data_dir``."""
    psutil = _psutil()
    for mode, seconds in psutil.cpu_times()._asdict().items():
        if mode in ("user", "system", "idle", "iowait", "nice", "irq", "steal"):
            yield Reading("system.cpu.time", "s", "counter", float(seconds), {"cpu.mode": {"irq": "interrupt"}.get(mode, mode)})
    memory = psutil.virtual_memory()
    for state, count in (("used", memory.total - memory.available), ("free", memory.available)):
        yield Reading("system.memory.usage", "By", "sum", count, {"system.memory.state": state})
    with suppress(OSError, RuntimeError):  # a container may hide them
        for device, disk in (psutil.disk_io_counters(perdisk=True) or {}).items():
            if disk.read_bytes or disk.write_bytes:
                for direction, count in (("read", disk.read_bytes), ("write", disk.write_bytes)):
                    yield Reading("system.disk.io", "By", "counter", count, {"system.device": device, "disk.io.direction": direction})
    with suppress(OSError):
        for device, net in psutil.net_io_counters(pernic=True).items():
            if net.bytes_recv or net.bytes_sent:
                for direction, count in (("receive", net.bytes_recv), ("transmit", net.bytes_sent)):
                    at = {"network.interface.name": device, "network.io.direction": direction}
                    yield Reading("system.network.io", "By", "counter", count, at)
    if data_dir is not None:
        with suppress(OSError):
            disk = psutil.disk_usage(str(data_dir))
            for state, count in (("used", disk.used), ("free", disk.free)):
                yield Reading("system.filesystem.usage", "By", "sum", count, {"system.filesystem.state": state})


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        raise MissingExtra("Measuring resources", "psutil", "server") from None
    return psutil

"""What every test may rely on: an environment without the user's settings, a data directory of its own, and skips that cannot hide.

``CLEW_REQUIRE_ALL=1`` turns every skip into a failure, so that a run that claims to have tested everything has; two kinds of skip stay,
and say so in their reason: test data that is not on this machine, and a test that cannot apply here (``not applicable: ...``).
"""

from __future__ import annotations

import importlib.util
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parents[1]
TEST_DATA = Path(os.environ.get("CLEW_TEST_DATA") or REPOSITORY / ".." / "shared" / "data")
REQUIRE_ALL = os.environ.get("CLEW_REQUIRE_ALL", "") not in ("", "0")
ALLOWED_SKIPS = ("test data", "not applicable:")

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("all", parent=settings.get_profile("local"), derandomize=True)
settings.load_profile("all" if REQUIRE_ALL else "local")

Report = TypeVar("Report", pytest.CollectReport, pytest.TestReport)
_FOREIGN = ("CLEW_", "LANGFUSE_", "OTEL_", "TRACEPARENT", "TRACESTATE", "BAGGAGE")


def pytest_configure(config: pytest.Config) -> None:
    """No test sees the user's settings or writes to the user's data directory, in this process or in one that it starts."""
    config.addinivalue_line("markers", "needs(*modules): skip the test without these optional modules; a failure under CLEW_REQUIRE_ALL=1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job; programs that tests interrupt would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    home = tempfile.TemporaryDirectory(prefix="clew-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    os.environ["CLEW_DATA_DIR"] = str(Path(home.name) / "data")
    os.environ["CLEW_OWNER_LINGER_S"] = "0"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of this test alone; CLEW_DATA_DIR names it, also for processes that the test starts. It does not exist yet."""
    path = tmp_path / "clew"
    monkeypatch.setenv("CLEW_DATA_DIR", str(path))
    return path


@pytest.fixture(autouse=True)
def _nothing_of_a_test_stays() -> Iterator[None]:
    """Processors that a test has attached to the process do not see the spans of the next, nor does the recorder that it has started."""
    from clew.record import state

    before, recorder, ended = list(state.attached), state.recorder, state.ended
    yield
    if (state.recorder, state.ended) != (recorder, ended):
        state.forget()
    for processor in [processor for processor in state.attached if processor not in before]:
        state.detach(processor)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of a file of the shared test data, such as ``trail/gaia.traces.otlp.jsonl.xz``; skips the test where it is absent."""

    def path(name: str) -> Path:
        file = TEST_DATA / name
        if not file.exists():
            pytest.skip(f"test data {name} is not on this machine (CLEW_TEST_DATA names its directory)")
        return file

    return path


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [module for module in marker.args if not _is_installed(module)]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _refuse_skip((yield))


def _refuse_skip(report: Report) -> Report:
    """Under CLEW_REQUIRE_ALL a skip is a failure that names its reason."""
    if not REQUIRE_ALL or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped under CLEW_REQUIRE_ALL=1: {reason}"
    return report

"""The stores of the contract: embedded, and on a ClickHouse server of the test's own."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


def _fixtures(part: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{part}_fixtures", Path(__file__).parents[1] / part / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


otlp = _fixtures("observe").otlp
_whole = _fixtures("e2e")
clew, make_request, until = _whole.clew, _whole.make_request, _whole.until

_databases = itertools.count(1)


@dataclass
class ClickHouse:
    """A server that can be killed and started again on its port, with what it holds."""

    directory: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, str(Path(__file__).parent / "clickhouse_server.py"), str(self.directory), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def new_database(self) -> str:
        """The address of one that is not made yet."""
        return f"clickhouse://default:@127.0.0.1:{self.port}/contract_{next(_databases)}"


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["embedded", "server"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Opens the test's store; again, once it is closed. There is one at a time."""
    from clew.observe.store.store import Store

    url = request.getfixturevalue("clickhouse").new_database() if request.param == "server" else ""
    return lambda: Store.open(tmp_path / "data", url=url)


@pytest.fixture
def store(open_store: Callable[[], Any]) -> Iterator[Any]:
    with open_store() as opened:
        yield opened

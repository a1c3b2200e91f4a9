"""Behaviour that depends on what is current is tested twice: with our own context, and with OpenTelemetry's as the truth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clew.record.context import context


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in ("test_spans", "test_decorators", "test_sampling"):
        metafunc.fixturenames.append("whose_context")
        metafunc.parametrize("whose_context", ["own", "opentelemetry"], indirect=True)


@pytest.fixture
def whose_context(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "own":
        context.own()
        context.bridged = True  # whatever other tests have loaded
    else:
        pytest.importorskip("opentelemetry.trace", reason="not applicable: opentelemetry-api is not installed")
        context.bridge()
    yield
    context.own()

"""Secrets that were given to the process are masked by value, wherever they appear and however they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from clew.testing import recording
from clew.wire import redaction
from clew.wire.redaction import MASK, hide, is_suspect, redact_text

SECRET = 'correct "horse"\n\\ battery'


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What a test hides, the others need not."""
    before, pattern = set(redaction._hidden_texts), redaction._hidden
    yield
    redaction._hidden_texts.clear()
    redaction._hidden_texts.update(before)
    redaction._hidden = pattern


@pytest.mark.parametrize(
    "text",
    [
        f"it is {SECRET}!",
        json.dumps({"a": [f"x{SECRET}x"]}),
        json.dumps({"a": f"x{SECRET}x"})[:-1] + " cut",
        json.dumps(json.dumps({"inside": SECRET})),
    ],
    ids=["text", "JSON", "what looks like JSON", "JSON in JSON"],
)
def test_a_hidden_text_is_masked(text: str) -> None:
    assert redact_text(text) is text
    hide([SECRET])
    assert is_suspect(text)
    clean = redact_text(text)
    assert MASK in clean
    assert "horse" not in clean
    assert "battery" not in clean


def test_short_texts_are_left_alone() -> None:
    hide(["abc"])
    assert redact_text("abc abc") == "abc abc"


def test_longer_ones_go_before_their_parts() -> None:
    hide(["pass", "password"])
    assert redact_text("password pass") == f"{MASK} {MASK}"


def test_the_record_does_not_have_it() -> None:
    import clew

    hide([SECRET])
    with recording() as record:
        with clew.tool("login", arguments={"password_is": SECRET}) as span:
            span.fail(f"refused: {SECRET}")
        assert b"horse" not in b"".join(record.lines)
        assert record.span("login").message == f"refused: {MASK}"

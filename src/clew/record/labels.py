"""Whose work goes on here: persona, chatmode, workflow, stage, session and user, known to every model call below without being handed down.

A span that a scope opens does not reach the calls inside it: a label does. Model spans take the labels that they do not name themselves when they start;
spans of foreign instrumentations too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextvars import ContextVar, Token
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from clew import settings
from clew.errors import SettingError
from clew.model import attributes as names
from clew.record.guard import fault

ATTRIBUTES: Final[Mapping[str, str]] = {
    "persona": names.PERSONA,
    "chatmode": names.CHATMODE,
    "workflow": names.WORKFLOW_NAME,
    "stage": names.STAGE,
    "session": names.CONVERSATION_ID,
    "user": names.USER_ID,
}
"""The labels, and the attributes that carry them."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_current: Final[ContextVar[Mapping[str, str]]] = ContextVar("clew_labels")


@cache
def inherited() -> Mapping[str, str]:
    """The labels that the process was started with: the setting ``labels``."""
    try:
        given: Mapping[str, str] = settings.get("labels")
    except SettingError:
        fault("reading the labels of the process")
        return _NONE
    return MappingProxyType({name: value for name, value in given.items() if name in ATTRIBUTES and value})


held: Final = _current.get
"""``held(None)``: the labels that were put here; None: none were, and those of the process hold."""


def current() -> Mapping[str, str]:
    """The labels that hold here, by keyword."""
    found = held(None)
    return inherited() if found is None else found


def put(**labels: str | None) -> Token[Mapping[str, str]]:
    """These labels hold from here on, in this task or thread and what it starts; None takes one away. Undone by :func:`restore`.

    :raises TypeError: there is no such label
    """
    unknown = labels.keys() - ATTRIBUTES.keys()
    if unknown:
        raise TypeError(f"no such label: {', '.join(sorted(unknown))}; there are {', '.join(ATTRIBUTES)}")
    whole = {**current(), **labels}
    return _current.set(MappingProxyType({name: value for name, value in whole.items() if value is not None}))


def restore(token: Token[Mapping[str, str]]) -> None:
    """As before the :func:`put` that gave the token; nothing where that was in another context."""
    with contextlib.suppress(ValueError):
        _current.reset(token)


def take(labels: Mapping[str, str]) -> Token[Mapping[str, str]]:
    """These labels and no others hold from here on: what :func:`current` gave where the work comes from."""
    return _current.set(labels)


class within:
    """``with within(persona="tester", stage="build"):`` these labels hold inside, sync and async."""

    def __init__(self, **labels: str | None) -> None:
        self._labels = labels
        self._tokens: list[Token[Mapping[str, str]]] = []

    def __enter__(self) -> None:
        self._tokens.append(put(**self._labels))

    def __exit__(self, *_: object) -> None:
        restore(self._tokens.pop())

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def attributes(given: Mapping[str, Any]) -> dict[str, str]:
    """The labels as attributes, save those that ``given`` has, by attribute or by keyword."""
    return {ATTRIBUTES[name]: value for name, value in current().items() if ATTRIBUTES[name] not in given and name not in given}

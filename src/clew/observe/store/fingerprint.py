"""What failures have in common: a message without its variable parts, the class of the error, and where it came up; as SQL over span_records.

Two failed spans have one fingerprint when the class of the error, the message without its variable parts, the kind of span and the place
are the same. The place is the tool of a tool call, nothing for a call of a model (its name holds the model's), else the span's name. Agent,
model and program do not count: that several meet the same failure is what a group of them is to show.
"""

from __future__ import annotations

from typing import Final

from clew.observe.store.normalise import literal

ENDS = 1000
"""Characters of a message that are looked at, from its beginning and again from its end: what is between is the text that the program worked
on. The beginning says what failed, the end why, as far as one message wraps another."""
PATTERN = 300
"""Characters that are kept of a message without its variable parts."""

HOLE = "#"
"""What stands where a variable part was."""

VARIABLE: Final = (
    r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>)\]}]+",  # URLs
    r"[\w.+-]+@[\w-]+\.[\w.-]+",  # addresses of people
    r"[A-Za-z]:\\[^\s\"'<>|]+",  # paths of Windows
    r"(?:~|\.{1,2})?(?:/[\w.@%+~-]+){2,}/?",  # paths: /a/b, ~/a/b
    r"\b[\w.@~-]+(?:/[\w.@%+~-]+)+\.\w+",  # relative ones of files: a/b.py
    r"\b0[xX][0-9a-fA-F]+",
    r"\b[0-9a-f]{8,}\b",
    r"[-+]?[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*(?:[.,:][A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*)*%?",  # numbers, times, and ids: words with a digit
)
"""The parts of a message that differ between reports of the same failure, the first that fits holds."""

QUOTED: Final = r"""(^|[\s(=:,\[{])(?:'[^'\n]{0,120}'|"[^"\n]{0,120}"|`[^`\n]{0,120}`)"""
"""A short text in quotes, and what stands before it: a quote within a word is none. Long ones are sentences, which say what went wrong."""

_SPACE: Final = r"\s+"
_REPEATED: Final = rf"{HOLE}(?:[\s,;:/.|-]+{HOLE})+"
_CLASS: Final = r"(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception|Warning|Timeout|Interrupt|Exceeded|Failed|Refused|Denied|NotFound|Detected)"
_EVENT = "arrayLast((a, n) -> n = 'exception', event_attributes, event_names)"


def _replaced(text: str, pattern: str, by: str = HOLE) -> str:
    return f"replaceRegexpAll({text}, {literal(pattern)}, {literal(by)})"


_BARE: Final = "|".join(f"(?:{one})" for one in VARIABLE)

MESSAGE: Final = f"if(status_message != '', status_message, toString({_EVENT}['exception.message']))"
"""What the span says went wrong; '' when it says nothing."""

STATED: Final = f"if(error_type NOT IN ('', '_OTHER'), toString(error_type), toString({_EVENT}['exception.type']))"
"""What the span says of the class of the error."""

PLACE: Final = (
    f"multiIf(kind IN ('llm', 'embedding'), '', kind = 'tool' AND tool != '', toString(tool), {_replaced('toString(name)', _BARE)})"
)
"""Where it came up."""


def type_of(stated: str, message: str) -> str:
    """The class of the error without its module: what the span states, else what its message begins with."""
    return f"extract(if({stated} != '', {stated}, extract({message}, {literal(f'^({_CLASS})(?:$|:|,|[[]|[(])')})), '[^.]+$')"


def whole(message: str) -> str:
    """The message without a class before it and without its variable parts, on one line."""
    ends = f"if(lengthUTF8({message}) > {2 * ENDS}, concat(substringUTF8({message}, 1, {ENDS}), ' ', substringUTF8({message}, -{ENDS})), {message})"
    heart = _replaced(ends, rf"^{_CLASS}:\s+", "")
    bare = _replaced(_replaced(heart, QUOTED, rf"\1{HOLE}"), _BARE)
    return f"trim({_replaced(_replaced(bare, _SPACE, ' '), _REPEATED)})"


def pattern(text: str) -> str:
    """As much of ``whole`` as tells failures apart."""
    return f"substringUTF8({text}, 1, {PATTERN})"


def fingerprint(type_: str, pattern: str, kind: str, place: str) -> str:
    """SQL of the fingerprint: 16 hexadecimal digits."""
    return f"leftPad(lower(hex(sipHash64({type_}, {pattern}, {kind}, {place}))), 16, '0')"


FINGERPRINT: Final = f"if(status = 'error', {fingerprint(type_of(STATED, MESSAGE), pattern(whole(MESSAGE)), 'toString(kind)', PLACE)}, '')"
"""Of a span; '' where it did not fail."""

"""SQL that masks secrets in what arrives: the rules of wire/redaction.py in the engine's patterns (RE2), which have neither look-around nor
back references.

Where the recorder parses JSON inside a text, this masks the value after a telling name, up to four levels of quoting deep: the text around
it stays byte for byte. A list under such a name becomes a list of one mask.
"""

from __future__ import annotations

from clew.observe.store.normalise import literal
from clew.wire.redaction import FORMATS, HARMLESS_TOKEN, MASK, SECRET_END

_GUARD = "\\xFF"
"""Put into what looks like a secret and is none, and taken out at the end: no text that is valid UTF-8 has this byte."""

_LEVELS = 4
"""JSON in a string in JSON …: a quote at level n has 2^n - 1 backslashes before it."""

_JOIN = r"[_.\-]?"
_BEFORE = r"[A-Za-z0-9_.\-]{0,48}"


def _words(pattern: str) -> tuple[str, ...]:
    """The words of a pattern over plain names, for names as they are written."""
    inner = pattern.partition("(?:^|_)(?:")[2].rpartition(")")[0]
    return tuple(_JOIN.join(part.replace("_", r"[_.\-]") for part in word.split("_?")) for word in inner.split("|"))


def _named(words: tuple[str, ...]) -> str:
    """A written name that ends in one of the words: after a separator, or as a part of camelCase."""
    plain = "|".join(words)
    camel = "|".join(f"{word[0].upper()}(?i:{word[1:]})" for word in words)
    after_upper = "|".join(f"{word[0].upper()}{word[1]}(?i:{word[2:]})" for word in words)
    return rf"(?:(?:{_BEFORE}[_.\-])?(?i:{plain})|{_BEFORE}[a-z0-9](?:{camel})|{_BEFORE}[A-Z](?:{after_upper}))"


_SECRETS = _words(SECRET_END.pattern)
_COUNTED = tuple(word for word in _SECRETS if word != "token")
_HARMLESS = _words(HARMLESS_TOKEN.pattern.removesuffix("_token$"))
_NAME, _NAME_OF_NUMBER = _named(_SECRETS), _named(_COUNTED)
_CHARACTERS = "[A-Za-z0-9._~+/-]"
_MARKS = "[0-9._~+/-]"
_NEEDLES = ("pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie", "jwt", "connection", "bearer", "basic", "://")


def _scheme() -> str:
    """Eight or more characters, one of which is no letter: by the place of the first that is none."""
    early = "|".join(f"[A-Za-z]{{{at}}}{_MARKS}{_CHARACTERS}{{{7 - at},}}=*" for at in range(8))
    late = rf"[A-Za-z]{{8,}}(?:{_MARKS}{_CHARACTERS}*=*|=+)"
    return rf"\b((?:[Bb]earer|BEARER|[Bb]asic|BASIC)(?: |%20))(?:{early}|{late})"


def _quoted(level: int) -> tuple[str, str]:
    """A quote of that level, and the characters between two of them."""
    escape = 2**level - 1
    quote = rf"\\{{{escape}}}\"" if escape else '"'
    deeper = 2 ** (level + 1) - 1
    atoms = [r"[^\"\\]", rf"\\{{{deeper}}}\"", rf"\\{{{escape + 1}}}[^\"\\]", rf"\\{{{2 * (escape + 1)}}}"]
    return quote, f"(?:{'|'.join(atoms)})"


def _rules() -> list[tuple[str, str]]:
    """(pattern, replacement), in the order in which they are applied where a needle is found."""
    harmless = "|".join(_HARMLESS)
    camel = "|".join(f"{word[0].upper()}(?i:{word[1:]})" for word in _HARMLESS)
    rules = [
        (rf"((?:(?:^|[^A-Za-z0-9])(?i:{harmless})|[a-z0-9](?:{camel}))[_.\-]?)((?i:token))", rf"\1{_GUARD}\2"),
        (rf"((?:^|[^A-Za-z0-9_.\-])(?:{_NAME})=)((?:None|True|False|null|true|false)(?:[\s\"'&;,<>(){{}}\[\]]|$))", rf"\1{_GUARD}\2"),
        (_scheme(), rf"\1{MASK}"),
        (r"(://[^\s/:@\"'<>]{0,128}:)[^\s/@\"'<>]{1,256}@", rf"\1{MASK}@"),
        (
            r"(?im)((?:^|[\s'\"{,;])(?:(?:proxy-)?authorization|x-api-key|api-key|x-goog-api-key|x-auth-token|(?:set-)?cookie)[ \t]*:[ \t]*)"
            r"[^\r\n\"'\\{\[ \t][^\r\n\"'\\]*",
            rf"\1{MASK}",
        ),
    ]
    for level in range(_LEVELS):
        quote, inner = _quoted(level)
        rules += [
            (rf"({quote}{_NAME}{quote}\s*[:=]\s*{quote}){inner}+", rf"\1{MASK}"),
            (rf"({quote}{_NAME_OF_NUMBER}{quote}\s*[:=]\s*)-?\d[\d.eE+-]*", rf"\1{_backslashes(level)}\"{MASK}{_backslashes(level)}\""),
            (rf"({quote}{_NAME}{quote}\s*[:=]\s*)\[[^\[\]{{}}]+\]", rf"\1[{_backslashes(level)}\"{MASK}{_backslashes(level)}\"]"),
        ]
    rules += [
        (rf"('{_NAME}'\s*[:=]\s*')(?:[^'\\]|\\.)+", rf"\1{MASK}"),
        (rf"((?:^|[^A-Za-z0-9_.\-])(?:{_NAME})=)\"[^\"]+\"", rf'\1"{MASK}"'),
        (rf"((?:^|[^A-Za-z0-9_.\-])(?:{_NAME})=)'[^']+'", rf"\1'{MASK}'"),
        (rf"((?:^|[^A-Za-z0-9_.\-])(?:{_NAME})=)[^\s\"'&;,<>(){{}}\[\]\\]+", rf"\1{MASK}"),
    ]
    return [(pattern, replacement.replace('\\"', '"')) for pattern, replacement in rules]


def _backslashes(level: int) -> str:
    return "\\\\" * int(2**level - 1)  # each is written twice in a replacement


def _replace(text: str, pattern: str, replacement: str) -> str:
    return f"replaceRegexpAll({text}, {literal(pattern)}, {literal(replacement).replace(literal(_GUARD)[1:-1], _GUARD)})"


def clean(text: str) -> str:
    """An expression: the text with every secret in it masked."""
    formats = "(?s)" + "|".join(FORMATS).replace(r"\Z", r"\z")
    masked = _replace(text, formats, MASK)
    closely = masked
    for pattern, replacement in _rules():
        closely = _replace(closely, pattern, replacement)
    needles = ", ".join(map(literal, _NEEDLES))
    return f"if(multiSearchAnyCaseInsensitive({text}, [{needles}]), replaceAll({closely}, '{_GUARD}', ''), {masked})"


def is_secret_name(name: str) -> str:
    """An expression: whether what stands under the name is a secret."""
    words = _replace(_replace(name, "([a-z0-9])([A-Z])", r"\1_\2"), "([A-Z]+)([A-Z][a-z])", r"\1_\2")
    plain = f"trim(BOTH '_' FROM replaceRegexpAll(lower({words}), '[^a-z0-9]+', '_'))"
    return f"(match({plain}, {literal(SECRET_END.pattern)}) AND NOT match({plain}, {literal(HARMLESS_TOKEN.pattern)}))"


_KEPT = "t IN ('', 'null') OR y = 'bool' OR (y IN ('int', 'double') AND endsWith(lower(k), 'token'))"
"""What is no secret whatever it stands under: nothing, a truth value, a count of tokens."""


def spans(source: str) -> str:
    """A subquery: the decoded spans with every secret masked."""
    return _cleaned(
        source, "clean_text(d.name) AS name", "clean_text(d.status_message) AS status_message", *_lists("event"), *_lists("link")
    )


def logs(source: str) -> str:
    """A subquery: the decoded log records with every secret masked."""
    return _cleaned(source, "clean_text(d.body) AS body")


def readers() -> str:
    """Lambdas for a WITH clause: ``clean_text(text)``, ``clean_value(key, text, type)`` and ``clean_type(key, text, type)``."""
    return f"""k -> {is_secret_name("k")} AS is_secret,
        t -> {clean("t")} AS clean_text,
        (k, t, y) -> if(is_secret(toString(k)), if({_KEPT}, t, {literal(MASK)}), clean_text(t)) AS clean_value,
        (k, t, y) -> if(is_secret(toString(k)) AND NOT ({_KEPT}), 'string', toString(y)) AS clean_type"""


def _cleaned(source: str, *columns: str) -> str:
    changed = ",\n        ".join((*_list(""), *_list("resource_"), *_list("scope_"), *columns))
    return f"""(
    WITH
        {readers()}
    SELECT * REPLACE (
        {changed})
    FROM {source} AS d
) AS {source}"""


def _list(prefix: str) -> tuple[str, ...]:
    lists = f"d.{prefix}keys, d.{prefix}texts, d.{prefix}types"
    return tuple(f"arrayMap((k, t, y) -> clean_{one}(k, t, y), {lists}) AS {prefix}{name}" for one, name in _MEMBERS)


def _lists(record: str) -> tuple[str, ...]:
    lists = f"d.{record}_keys, d.{record}_texts, d.{record}_types"
    return tuple(
        f"arrayMap((ks, ts, ys) -> arrayMap((k, t, y) -> clean_{one}(k, t, y), ks, ts, ys), {lists}) AS {record}_{name}"
        for one, name in _MEMBERS
    )


_MEMBERS = (("value", "texts"), ("type", "types"))

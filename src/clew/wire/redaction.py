"""Masks secrets in what is recorded: by the look of a value (known key formats) and by the name it stands under.

Both rules also reach into text: JSON inside a string, ``NAME=value`` pairs of environment dumps and URLs, HTTP header lines. A masked
value becomes :data:`MASK`. Redaction never raises and never grows a text; it is a net, not a proof: a secret without a known format
under a harmless name passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

MASK: Final = "[redacted]"

# Key formats: what the issuer prints, long enough that prose does not match. Each has a run of sixteen or more letters, digits, dashes
# and underscores, which the prefilter relies on.
FORMATS: Final = (
    r"\bsk-(?:ant-|proj-|svcacct-|admin-|or-|lf-)?[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter, Langfuse
    r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{22,}",  # GitHub
    r"\bgl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent)-[A-Za-z0-9_-]{16,}",  # GitLab
    r"\bxox[abeprs]-[A-Za-z0-9-]{11,}|\bxapp-[A-Za-z0-9-]{11,}|hooks\.slack\.com/services/\w+/\w+/\w{16,}",  # Slack
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",  # AWS access key id
    r"\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}",  # Google
    r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{10,}|\bwhsec_[0-9A-Za-z]{16,}[0-9A-Za-z+/=]*",  # Stripe
    r"\bhf_[A-Za-z0-9]{20,}",  # Hugging Face
    r"\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bgsk_[A-Za-z0-9]{20,}|\bxai-[A-Za-z0-9]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}",
    r"\beyJ[A-Za-z0-9_-]{13,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*",  # JSON web token
    r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----|\Z)",
)
_FORMAT: Final = re.compile("|".join(FORMATS), re.DOTALL)
# The part before the secret is kept, so that a reader sees what was there.
_SCHEME: Final = re.compile(r"\b((?:[Bb]earer|BEARER|[Bb]asic|BASIC)(?: |%20))(?=[A-Za-z0-9._~+/-]*[0-9=._~+/-])[A-Za-z0-9._~+/-]{8,}=*")
_URL_PASSWORD: Final = re.compile(r"(://[^\s/:@\"'<>]{0,128}:)[^\s/@\"'<>]{1,256}(?=@)")

# Names, in the form that `_plain` gives: lower case, words joined by one underscore. A name counts when it ends so.
SECRET_END: Final = re.compile(
    r"(?:^|_)(?:password|passwd|passwort|pwd|pass_?phrase|secret|secrets|api_?keys?|access_?keys?|private_?keys?|secret_?keys?|signing_?key"
    r"|encryption_?key|auth_?key|account_?key|shared_?key|master_?key|authorization|auth|credentials?|cookies?|bearer|jwt|connection_?string"
    r"|access_?key_?id|secret_?access_?key|token)$"
)
# Model and protocol words that end in "token" and hold no secret.
HARMLESS_TOKEN: Final = re.compile(
    r"(?:^|_)(?:first|last|next|prev|previous|page|pagination|continuation|sync|max|min|per|pad|eos|bos|unk|sep|cls|mask|stop|special|end|start"
    r"|begin|new|prompt|completion|input|output|output_per|cost_per|price_per|gen_ai)_token$"
)
_WORD: Final = re.compile(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])")
_BREAK: Final = re.compile(r"[^a-z0-9]+")

_NAME: Final = (
    r"[A-Za-z0-9_.\-]{0,48}(?:[Pp]ass|PASS|[Pp]wd|PWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Kk]ey|KEY|[Aa]uth|AUTH|[Cc]redential|CREDENTIAL"
    r"|[Cc]ookie|COOKIE|[Jj]wt|JWT|[Bb]earer|[Cc]onnection)[A-Za-z0-9_.\-]{0,48}"
)
_JSON_PAIR: Final = re.compile(rf"""(\\*["'])({_NAME})(\1\s*[:=]\s*)(?:(\\*["'])(.*?)(?:(?<!\\)\4|\Z)|(-?\d[\d.eE+-]*))""", re.DOTALL)
_ASSIGNED: Final = re.compile(rf"""(?<![\w.-])({_NAME})(=)(?:(["'])(.*?)\3|([^\s"'&;,<>(){{}}\[\]]+))""")
_HEADER: Final = re.compile(
    r"(?im)((?:^|[\s'\"{,;])(?:(?:proxy-)?authorization|x-api-key|api-key|x-goog-api-key|x-auth-token|(?:set-)?cookie)[ \t]*:[ \t]*)"
    r"(?![ \t]*[\"'\\{\[])([^\r\n\"'\\]+)"
)


def _plain(name: str) -> str:
    return _BREAK.sub("_", _WORD.sub(r"\1\3_\2\4", name).lower()).strip("_")


_names: dict[str, bool] = {}


def is_secret_name(name: str) -> bool:
    """Whether what stands under ``name`` is a secret: ``Authorization``, ``apiKey``, ``db.password``, ``GITHUB_TOKEN``; not ``max_tokens``."""
    known = _names.get(name)
    if known is None:
        plain = _plain(name[-128:])
        known = SECRET_END.search(plain) is not None and HARMLESS_TOKEN.search(plain) is None
        if len(_names) >= 10_000:  # names can be data; forget rather than grow
            _names.clear()
        _names[name] = known
    return known


# The prefilter: translations and substring searches, which run at memory speed, instead of patterns, which do not.
_RUN: Final = b"\x01" * 16
_CLASSES: Final = bytes(1 if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "_-") else 0 for code in range(256))
_LOWER: Final = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
_NAME_NEEDLES: Final = (b"pass", b"pwd", b"secret", b"token", b"key", b"auth", b"credential", b"cookie", b"jwt", b"connection", b"bearer")


SHORTEST_HIDDEN: Final = 4
"""Characters; a shorter text is part of too many others."""
_hidden_texts: set[str] = set()
_hidden: re.Pattern[str] | None = None


def hide(texts: Iterable[str]) -> None:
    """Mask these very texts too, wherever they appear, for as long as this process lives: secrets that were given to it. Also in the form
    that they have inside JSON. Texts of fewer than :data:`SHORTEST_HIDDEN` characters are not masked."""
    global _hidden
    new = {text for text in texts if len(text) >= SHORTEST_HIDDEN} - _hidden_texts
    if new:
        _hidden_texts.update(new)
        forms = {form for text in _hidden_texts for form in _written(text)}
        _hidden = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))


def _written(text: str) -> set[str]:
    """The forms that ``text`` has in JSON in a string in JSON ..."""
    forms = latest = {text}
    for _ in range(_JSON_DEPTH):
        latest = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in latest for ascii_only in (True, False)}
        forms = forms | latest
    return forms


def is_suspect(text: str) -> bool:
    """Whether ``text`` may hold a secret. False is certain, True is a reason to look closer. Some four nanoseconds per character."""
    if _hidden is not None and _hidden.search(text):
        return True
    data = text.encode("utf-8", "replace")
    if _RUN in data.translate(_CLASSES):  # every key format has a run of sixteen letters, digits, dashes and underscores
        return True
    folded = data.translate(_LOWER)
    if b"bearer" in folded or b"basic" in folded:
        return True
    if b":" in data:
        if b"@" in data and b"://" in data:
            return True
    elif b"=" not in data:
        return False
    return any(needle in folded for needle in _NAME_NEEDLES)


def redact_text(text: str) -> str:
    """``text`` with every secret in it masked; the same object when there is none."""
    if not is_suspect(text):
        return text
    clean = _closely(text, 0)
    return text if clean == text else clean


def redact(name: str, value: Any) -> Any:
    """An attribute's value (scalar or sequence of scalars) as it may leave the process."""
    if is_secret_name(name):
        return _masked(value, name)
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, (tuple, list)):
        return [redact_text(item) if isinstance(item, str) else item for item in value]
    return value


def _masked(value: Any, name: str) -> Any:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, (int, float)) and _plain(name).endswith("token"):  # a count
        return value
    return MASK


_JSON_DEPTH: Final = 4  # JSON in a string in JSON ...; deeper nesting than this is masked by pattern only


def _closely(text: str, depth: int) -> str:
    if depth < _JSON_DEPTH and text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
            clean = _walk(value, depth)
            if clean is value:
                return text
            return json.dumps(clean, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):  # cut, not JSON after all, or nested too deep
            pass
    if _hidden is not None:
        text = _hidden.sub(MASK, text)
    text = _FORMAT.sub(MASK, text)
    text = _SCHEME.sub(rf"\1{MASK}", text)
    text = _URL_PASSWORD.sub(rf"\1{MASK}", text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    text = _JSON_PAIR.sub(_mask_pair, text)
    return _ASSIGNED.sub(_mask_assigned, text)


def _walk(value: Any, depth: int) -> Any:
    """The value masked; the same object when nothing was."""
    if isinstance(value, dict):
        changed: dict[str, Any] = {}
        for key, item in value.items():
            if is_secret_name(key) and not isinstance(item, (dict, list)):
                clean = _masked(item, key)
            elif is_secret_name(key) and isinstance(item, list):
                clean = [_masked(entry, key) if not isinstance(entry, (dict, list)) else _walk(entry, depth) for entry in item]
                clean = item if clean == item else clean
            else:
                clean = _walk(item, depth)
            if clean is not item:
                changed[key] = clean
            clean_key = _inner(key, depth)
            if clean_key is not key:
                return _walk_keys(value, depth)
        return {**value, **changed} if changed else value
    if isinstance(value, list):
        items = [_walk(item, depth) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return _inner(value, depth) if isinstance(value, str) else value


def _walk_keys(value: dict[str, Any], depth: int) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for key, item in value.items():
        kept = _masked(item, key) if is_secret_name(key) and not isinstance(item, (dict, list)) else _walk(item, depth)
        clean[_inner(key, depth)] = kept
    return clean


def _inner(text: str, depth: int) -> str:
    if not is_suspect(text):
        return text
    clean = _closely(text, depth + 1)
    return text if clean == text else clean


def _mask_pair(match: re.Match[str]) -> str:
    quote, name, between, value_quote, text, number = match.groups()
    if not is_secret_name(name):
        return match.group()
    if number is not None:
        return match.group() if _plain(name).endswith("token") else f"{quote}{name}{between}{quote}{MASK}{quote}"
    if not text or text == MASK:
        return match.group()
    closed = match.group().endswith(value_quote) and match.end() - match.start(5) > len(text)
    return f"{quote}{name}{between}{value_quote}{MASK}{value_quote if closed else ''}"


def _mask_assigned(match: re.Match[str]) -> str:
    name, equals, quote, quoted, bare = match.groups()
    value = quoted if quote else bare
    if not value or value.startswith(MASK) or not is_secret_name(name) or value in ("None", "True", "False", "null", "true", "false"):
        return match.group()
    return f"{name}{equals}{quote or ''}{MASK}{quote or ''}"

"""Secrets are masked wherever they stand, and what only looks like one is left alone. Every secret here is made up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.wire.redaction import MASK, is_secret_name, is_suspect, redact, redact_text

A = "Ab3dE6gH9jK2mN5pQ8sT1vW4"  # 24 characters

SECRETS = {
    "OpenAI": f"sk-{A}",
    "OpenAI project": f"sk-proj-{A}_{A}",
    "Anthropic": f"sk-ant-api03-{A}-{A}",
    "OpenRouter": f"sk-or-v1-{A}",
    "Langfuse": "sk-lf-0b9d1f6e-7a55-4c4f-9d8e-1f2a3b4c5d6e",
    "GitHub": f"ghp_{A}{A}",
    "GitHub app": f"ghs_{A}{A}",
    "GitHub fine-grained": f"github_pat_11ABCDEFG0_{A}",
    "GitLab": "glpat-xY7zA1bC2dE3fG4hI5jK",
    "Slack": "xoxb-123456789012-abcdefghijkl",
    "Slack app": "xapp-1-A012BCD3E-45678",
    "AWS key id": "AKIAIOSFODNN7EXAMPLE",
    "Google": "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "Stripe": f"sk_live_{A}",
    "Stripe webhook": f"whsec_{A}",
    "Hugging Face": f"hf_{A}{A}",
    "npm": f"npm_{A}{A}",
    "PyPI": f"pypi-AgEIcHlwaS5vcmc{A}",
    "Groq": f"gsk_{A}",
    "SendGrid": f"SG.{A}.{A}",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w",
    "PEM": f"-----BEGIN RSA PRIVATE KEY-----\nMIIE{A}{A}\n{A}\n-----END RSA PRIVATE KEY-----",
    "PEM cut": f"-----BEGIN PRIVATE KEY-----\nMIIE{A}{A}",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_known_key_format_is_masked_wherever_it_stands(secret: str) -> None:
    body = next(part for part in secret.split("\n") if not part.startswith("-----"))[6:]
    for text in (secret, f"use {secret} please", f"key={secret}", json.dumps({"note": secret}), json.dumps({"a": json.dumps([secret])})):
        clean = redact_text(text)
        assert MASK in clean
        assert body not in clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer abc123def456", f"Authorization: {MASK}"),
        ("curl -H 'Authorization: Basic dXNlcjpwdw==' x", f"curl -H 'Authorization: {MASK}' x"),
        ("sent Bearer ya29A0ARrdaM_x9 to it", f"sent Bearer {MASK} to it"),
        ("x-api-key: abcdef", f"x-api-key: {MASK}"),
        ("postgres://user:hunter2@db:5432/x", f"postgres://user:{MASK}@db:5432/x"),
        ("redis://:hunter2@host", f"redis://:{MASK}@host"),
        ("PASSWORD=hunter2 USER=me", f"PASSWORD={MASK} USER=me"),
        ("export AWS_SECRET_ACCESS_KEY='a b/c'", f"export AWS_SECRET_ACCESS_KEY='{MASK}'"),
        ("https://x.org/a?api_key=k1&page=2", f"https://x.org/a?api_key={MASK}&page=2"),
        ('{"password": "hunter2", "n": 1}', f'{{"password":"{MASK}","n":1}}'),
        ('{"a":[{"apiKey":"k"}],"PIN":1}', f'{{"a":[{{"apiKey":"{MASK}"}}],"PIN":1}}'),
        ('{"password": 12345}', f'{{"password":"{MASK}"}}'),
        ('{"credentials":["a","b"]}', f'{{"credentials":["{MASK}","{MASK}"]}}'),
        ('{"auth":{"user":"me","token":"t1"}}', f'{{"auth":{{"user":"me","token":"{MASK}"}}}}'),
        ('call({"api_key": "k"', f'call({{"api_key": "{MASK}"'),
        ("{'secret': 'k', 'x': 'y'}", f"{{'secret': '{MASK}', 'x': 'y'}}"),
        ('{"password": "hunt', f'{{"password": "{MASK}'),
        (r'"{\"token\": \"t1\", \"x\": 1}"', rf'"{{\"token\": \"{MASK}\", \"x\": 1}}"'),
    ],
)
def test_a_secret_under_a_telling_name_is_masked_in_text(text: str, clean: str) -> None:
    assert redact_text(text) == clean


def test_json_inside_json_stays_json() -> None:
    inner = json.dumps({"api_key": 'a"b\\', "q": "x"})
    clean = json.loads(redact_text(json.dumps({"arguments": inner})))
    assert json.loads(clean["arguments"]) == {"api_key": MASK, "q": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=1024 input_tokens=5 token_count: 7",
        '{"max_tokens": 5, "prompt_tokens": 1, "token_count": 2, "first_token": "a", "eos_token": "</s>", "token": 5}',
        '{"password": "", "token": null, "secret": false}',
        '{"next_page_token": "abc", "tokenizer": "o200k", "keyboard": "qwerty", "author": "me", "monkey": 1}',
        "the password: should be long, said the secretary; a key point is basic understanding",
        "Basic understanding of bearer of bad news",
        "skip-this-very-long-and-harmless-slug-of-words",
        "task-1234567890123456789012",
        "https://user@example.org/path and a@b.c:d",
        "def token(self): return password is None",
        "5f0c2d9a4e8b7c6d5e4f3a2b1c0d9e8f sha 0123456789abcdef0123456789abcdef01234567",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text: str) -> None:
    assert redact_text(text) is text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *[
            (name, True)
            for name in ("password", "Authorization", "apiKey", "x-api-key", "OPENAI_API_KEY", "db.password", "http.header.cookie")
        ],
        *[
            (name, True)
            for name in ("access_token", "refreshToken", "token", "client_secret", "AWS_SECRET_ACCESS_KEY", "private_key", "auth")
        ],
        *[(name, False) for name in ("max_tokens", "input_tokens", "token_count", "gen_ai.usage.input_tokens", "tokens", "first_token")],
        *[(name, False) for name in ("author", "keyboard", "primary_key", "next_page_token", "passport", "compass", "session.id", "key")],
    ],
)
def test_names_that_hold_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_an_attribute_under_a_secret_name_is_masked_whatever_its_type() -> None:
    assert redact("password", "x") == MASK
    assert redact("password", 5) == MASK
    assert redact("token", 5) == 5  # a count
    assert redact("authorization", ("a", "b")) == MASK
    assert redact("notes", ("a", f"sk-{A}")) == ["a", MASK]
    assert redact("password", None) is None


def test_deep_and_long_texts_come_through() -> None:
    deep = "[" * 5000 + f'"sk-{A}"' + "]" * 5000
    assert A not in redact_text(deep)
    assert len(redact_text("x" * 1_000_000 + f" sk-{A}")) == 1_000_001 + len(MASK)


@given(st.text())
def test_text_without_suspicion_is_unchanged(text: str) -> None:
    if not is_suspect(text):
        assert redact_text(text) is text


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(sorted(SECRETS.values())))
def test_the_prefilter_lets_no_secret_through(before: str, after: str, secret: str) -> None:
    assert is_suspect(f"{before} {secret} {after}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["password", "token"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_json_stays_json(value: object) -> None:
    text = json.dumps(value)
    assert type(json.loads(redact_text(text))) is type(value)


@given(json_values)
def test_redacting_twice_changes_nothing(value: object) -> None:
    once = redact_text(json.dumps(value))
    assert redact_text(once) == once

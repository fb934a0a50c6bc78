"""Which names and texts of the regions file look like a secret, as the table of docs/configuration.md says."""

import re
from pathlib import Path
from typing import Any

import pytest

from runner_core.looks_secret import (
    HARMLESS_NAMES,
    SECRET_ENDINGS,
    SECRET_WORDS,
    looks_secret,
    secrets_within,
    shown_name,
)


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "KEY",
        "api-key",
        "apiKey",
        "x-api-key",
        "apikey",
        "Ocp-Apim-Subscription-Key",
        "access_token",
        "authToken",
        "token",
        "client_secret",
        "secret",
        "password",
        "dbpassword",
        "pwd",
        "credential",
        "Authorization",
        "X-Auth",
        "Cookie",
        "signature",
        "sig",
        "jwt",
        "clientsecret",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        "api-version",
        "max_tokens",
        "max_completion_tokens",
        "tokenizer",
        "top_k",
        "monkey",
        "keywords",
        "author",
        "http-referer",
        "X-Title",
        "only",
        "prompt_cache_key",
        "stop_token",
        "token_type",
        "anthropic-beta",
        "OpenAI-Organization",
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not looks_secret(name, "x")


@pytest.mark.parametrize(
    "text",
    [
        "sk-live-0123456789abcdef",
        "sk_test_0123456789",
        "gsk_0123456789abcdef",
        "hf_abcdefghijklmnop",
        "ghp_abcdefghijklmnop",
        "xai-0123456789abcdef",
        "xoxb-0123456789",
        "AKIA0123456789ABCDEF",
        "AIzaSyA0123456789abcdefghij",
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln",
        "Bearer whatever",
        "Basic dXNlcjpwYXNzd29yZA==",
        "-----BEGIN PRIVATE KEY-----",
        "https://user:word@host/",
        "0123456789abcdef0123456789abcdef",
        "rD8h3K/9sLq2VbX1+eYw7Zc5TnGm4PjA0uRkQoEiHfs=",
        "k3JxQ9-vT2mWz7RfLp0_sYdB8cNhGa4UeXo6iVtKq1E",
    ],
)
def test_texts_that_are_secrets(text: str) -> None:
    assert looks_secret("x", text)
    assert shown_name(text) == "..." or text.startswith("-----")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2024-10-21-preview",
        "azure/eu",
        "https://example.org/a/very/long/path/to/some/page-of-ours-v2/index.html",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "Meta-Llama-3-1-405B-Instruct-Turbo-FP8-Long-Context",
        "org-9f8a7b6c5d4e3f2a1b0c9d8e",
        "123e4567-e89b-12d3-a456-426614174000",
        "interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14",
        "risk-averse",
        "You are a basic assistant. Keep secrets, and hold the bearer of bad news dear.",
        7,
        True,
        None,
        {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]},
    ],
)
def test_values_that_are_none(value: Any) -> None:
    assert not looks_secret("x", value)


def test_a_number_is_no_secret() -> None:
    assert not looks_secret("key", 7)


def test_tables_and_lists_are_searched() -> None:
    body = {"a": {"b": [1, {"api_key": "x"}]}, "c": "d", "tokens": ["sk-abcdefgh"], "sk-abcdefgh": "e"}
    assert list(secrets_within("body", body, "body")) == ["body.a.b.api_key", "body.tokens", "body...."]
    assert looks_secret("body", body)


def test_the_documents_table_has_each_word() -> None:
    text = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    table = text.partition("| looks like a key |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", table))
    assert named >= SECRET_WORDS | set(SECRET_ENDINGS) | HARMLESS_NAMES

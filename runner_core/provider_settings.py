"""Reads a provider's table in the regions file: who it is, its address, and what goes with each of its requests.

A mistake is told without a value that may be a secret.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from runner_core.looks_secret import looks_secret, shown_name
from runner_core.provider_kinds import SETTINGS, kinds
from runner_core.proxies import FORM, proxy_of
from runner_core.toml_table import ID, Table
from runner_core.upstream_settings import read_models
from runner_core.upstreams import Provider, Region

VARIABLE = re.compile(r"\$\{(\w+)\}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,255}", re.ASCII)  # RFC 9110, 5.6.2
# Headers that a request has already, or that belong to one connection (RFC 9110, 7.6.1).
RESERVED_HEADERS = frozenset({
    "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "traceparent", "trailer",
    "transfer-encoding", "upgrade", "x-request-id",
})  # fmt: skip


def read_provider(
    table: Table, regions: Mapping[str, Region], *, allow_sandbox: bool, env: Mapping[str, str]
) -> Provider:
    """Return the provider of a table. Mistakes are added to the table's."""
    given = _given(table)
    kind, name = table.get("kind", str, ""), table.get("region", str, "")
    region = regions.get(name)
    base_url, query = _base_url(table, env)
    models, options = read_models(table, kind, region.system_prompt if region else "")
    provider = Provider(
        id=table.get("id", str, ""),
        region=name,
        kind=kind,
        base_url=base_url,
        api_key_env=table.get("api_key_env", str, "", required=False),
        max_concurrency=table.positive("max_concurrency", 8),
        models=models,
        query=_query(table, query),
        headers=table.any_texts("headers"),
        headers_env=table.any_texts("headers_env"),
        proxy=table.get("proxy", str, "env", required=False),
        ca_file=table.get("ca_file", str, "", required=False),
        geography=table.get("geography", str, "", required=False),
        options=options,
    )
    table.no_more()
    if provider.id and not ID.fullmatch(provider.id):
        table.wrong("id may have letters, digits and . _ : - only, at most 255")
    if provider.region and not region:
        table.wrong(f"the region {provider.region!r} is not in this file")
    if provider.api_key_env and not _is_variable(provider.api_key_env):
        # The message omits the value: it may be the key itself.
        table.wrong("api_key_env must be the name of an environment variable, in capitals, not the key itself")
    if not provider.geography.isprintable():
        table.wrong("geography has an unprintable character")
    _check_headers(provider, table)
    _check_proxy(provider.proxy, table)
    _check_kind(provider, region, given, allow_sandbox, table)
    # A name that is none may be the secret itself. It is dropped, because later messages repeat variables' names.
    named = {header: name for header, name in provider.headers_env.items() if _is_variable(name)}
    key = provider.api_key_env if _is_variable(provider.api_key_env) else ""
    return replace(provider, api_key_env=key, headers_env=named)


def secret_variables(provider: Provider) -> set[str]:
    """Return the names of the environment variables with secrets that a provider's settings name."""
    user, at, _ = provider.proxy.rpartition("@")
    in_proxy = VARIABLE.findall(user) if at else []
    return {*filter(None, (provider.api_key_env,)), *provider.headers_env.values(), *in_proxy}


def written_secrets(provider: Provider) -> tuple[str, ...]:
    """Return the password of the provider's proxy in each of its forms, where it stands in the file itself."""
    try:
        return () if VARIABLE.search(provider.proxy) else proxy_of(provider.proxy).secrets
    except ValueError:  # env, none, or a mistake that was told
        return ()


def _base_url(table: Table, env: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the URL without a slash at its end and without its query, with ${NAME} replaced; and the query.

    Mistakes are reported without the value.
    """
    written = table.get("base_url", str, "", required=False)
    for name in VARIABLE.findall(written):
        if not env.get(name):
            table.wrong(f"base_url needs the environment variable {name}, which is not set")
            return written, {}
    url, _, query = VARIABLE.sub(lambda match: env[match[1]], written).partition("?")
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if url and not well_formed:
        table.wrong("base_url must be an http or https URL")
    elif not urlsplit(url).netloc.isascii():
        table.wrong("base_url must have a host in ASCII")
    elif url and (parts.username is not None or parts.fragment or "#" in query):
        table.wrong("base_url may have no user, password or fragment: a key belongs in api_key_env")
    members = parse_qsl(query, keep_blank_values=True)
    _check_query("base_url's query", dict(members), table)
    if len(members) > len(dict(members)):
        table.wrong("base_url's query has a name twice")
    return url, dict(members)


def _query(table: Table, in_url: Mapping[str, str]) -> dict[str, str]:
    found = table.any_texts("query")
    _check_query("query", found, table)
    for name in found.keys() & in_url.keys():
        table.wrong(f"query: {shown_name(name)!r} stands in base_url too: remove one of them")
    return {**in_url, **found}


def _check_query(place: str, members: Mapping[str, str], table: Table) -> None:
    for name, value in members.items():
        if not name or not (name + value).isprintable():
            table.wrong(f"{place} has an empty name, or a character that can't be printed")
        elif looks_secret(name, value):
            table.wrong(f"{place}: {shown_name(name)!r} looks like a key, which belongs in headers_env")


def _check_headers(provider: Provider, table: Table) -> None:
    names = [(key, name) for key in ("headers", "headers_env") for name in getattr(provider, key)]
    kind = kinds().get(provider.kind)
    with_key = {"authorization", kind.key_header.lower() if kind else ""} if provider.api_key_env else set()
    seen: set[str] = set()
    for key, name in names:
        folded = name.lower()
        if not _TOKEN.fullmatch(name):
            table.wrong(f"{key}: {shown_name(name)!r} can't be the name of a header")
        elif folded in RESERVED_HEADERS:
            table.wrong(f"{key}: {name} can't be set, because each request has its own, or its connection")
        elif folded in with_key:
            table.wrong(f"{key}: {name} carries the key that api_key_env names: remove one of them")
        elif folded in seen:
            table.wrong(f"{key}: {name} is there twice")
        seen.add(folded)
    for name, value in provider.headers.items():
        if looks_secret(name, value):
            table.wrong(f"headers: {shown_name(name)!r} looks like a key, which belongs in headers_env")
        elif not (value.isascii() and value.isprintable()):
            table.wrong(f"headers: the value of {shown_name(name)} has characters that no header can carry")
    for name, variable in provider.headers_env.items():
        if not _is_variable(variable):
            table.wrong(
                f"headers_env.{shown_name(name)} must be the name of an environment variable, in capitals, not the"
                " value itself"
            )


def _is_variable(name: str) -> bool:
    """Return whether a text can be a variable's name. Messages repeat the name, so it must not look like a key."""
    return bool(_ENV_NAME.fullmatch(name)) and not looks_secret("", name)


def _check_proxy(proxy: str, table: Table) -> None:
    """Check a proxy that stands in the file as it is. One with ${NAME} is checked by the process that uses it."""
    if proxy in ("env", "none") or VARIABLE.search(proxy):
        return
    try:
        proxy_of(proxy)
    except ValueError:
        table.wrong(f"proxy {FORM}")


def _given(table: Table) -> list[str]:
    """Return the settings that stand in a provider's table or in one of its models', each once."""
    models = table.values.get("models")
    tables = [table.values, *(models.values() if isinstance(models, dict) else ())]
    names = [name for values in tables if isinstance(values, dict) for name in values]
    return [name for name in dict.fromkeys(names) if name in SETTINGS]


def _check_kind(provider: Provider, region: Region | None, given: list[str], allow_sandbox: bool, table: Table) -> None:
    if not provider.kind:
        return
    kind = kinds().get(provider.kind)
    if not kind:
        table.wrong(f"kind must be one of {', '.join(kinds())}")
        return
    if kind.simulated and not allow_sandbox:
        table.wrong(f"a {kind.name} provider simulates its answers: set ALLOW_SANDBOX=1 to allow that")
    if unused := [name for name in given if name not in kind.settings]:
        table.wrong(f"a provider of kind {kind.name} takes no {', '.join(unused)}")
    if kind.asks_by_http and not provider.base_url:
        table.wrong(f"a provider of kind {kind.name} needs a base_url")
    if region:
        for mistake in kind.mistakes(provider, region):
            table.wrong(mistake)

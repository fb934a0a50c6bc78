"""Reads how a provider is asked for its models: `models`, `omit`, `rename`, `body`, `system_role`, `path` and others.

A provider's own settings hold for all of its models. A model's table comes before them: its `rename` and `body` are
merged member by member, each of its other settings replaces the provider's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from runner_core.looks_secret import secrets_within, shown_name
from runner_core.provider_kinds import Kind, kinds
from runner_core.signing import canonical
from runner_core.toml_table import ID, Table
from runner_core.upstreams import PARAMETERS, UpstreamModel

SYSTEM_ROLES = ("system", "developer", "user", "none")
MOST_TOKENS = 1_000_000  # as in a job
LARGEST_BODY = 16 * 1024  # bytes of JSON
RESERVED_MEMBERS = ("model", "messages", "stream")  # no parameter may have these names, in whatever protocol
_PATH = re.compile(r"/[\x21-\x7e]*")
_IN_PATH = "/:@!$&'()*+,;=~"  # what a model's name keeps of its characters in a path


@dataclass(frozen=True)
class _Settings:
    """The settings of a provider, or of one model after they were merged with the provider's."""

    omit: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 500
    system_role: str = "system"
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def read_models(table: Table, kind: str, system_prompt: str) -> tuple[dict[str, UpstreamModel], dict[str, Any]]:
    """Remove the settings from a provider's table. Return its models by our ids, and its own `options`.

    `system_prompt` is the region's. Mistakes are added to the table's.
    """
    own = _read(table, _Settings())
    protocol = kinds().get(kind) or kinds()["openai"]
    named = table.get("models", dict, {}, required=True)
    # A mistake in the provider's own settings is told once, not for each of its models.
    told = list(_mistakes(own, protocol, system_prompt)) if not named or _has_text(named) else []
    for mistake in told:
        table.wrong(mistake)
    models: dict[str, UpstreamModel] = {}
    for model_id, value in named.items():
        if not ID.fullmatch(model_id):
            table.wrong(f"models: the id {model_id!r} may have letters, digits and . _ : - only, at most 255")
        if isinstance(value, dict):
            inner = Table(value, f"{table.name}: models.{model_id}", table.mistakes)
            name, settings = _name(inner.get("upstream", str, ""), inner), _read(inner, own)
            inner.no_more()
            for mistake in _mistakes(settings, protocol, system_prompt):
                if mistake not in told:
                    inner.wrong(mistake)
            models[model_id] = _model(name, settings, protocol)
        elif isinstance(value, str) and value.strip():
            models[model_id] = _model(_name(value, table), own, protocol)
        else:
            table.wrong(f"models.{model_id} must be a text that is not empty, or a table")
    return models, own.options


def _has_text(named: Mapping[str, Any]) -> bool:
    return any(isinstance(value, str) for value in named.values())


def _name(name: str, table: Table) -> str:
    if not name.isprintable():
        table.wrong(f"models: the name {name!r} has an unprintable character")
    return name


def _model(name: str, settings: _Settings, protocol: Kind) -> UpstreamModel:
    without = settings.omit | ({"system_prompt"} if settings.system_role == "none" else frozenset())
    return UpstreamModel(
        name=name,
        takes=protocol.takes - without,
        rename=settings.rename,
        body=settings.body,
        max_tokens=settings.max_tokens,
        system_role=settings.system_role,
        path=settings.path.replace("{model}", quote(name, safe=_IN_PATH)),
        options=settings.options,
    )


def _read(table: Table, above: _Settings) -> _Settings:
    """Remove the settings from a table and return them, merged with those above."""
    found = above
    if "omit" in table.values:
        found = replace(found, omit=frozenset(_parameters(table, "omit", table.list_of_text("omit"))))
    if "rename" in table.values:
        found = replace(found, rename={**above.rename, **_rename(table)})
    if "body" in table.values:
        found = replace(found, body={**above.body, **table.get("body", dict, {}, required=False)})
    if "max_tokens" in table.values:
        found = replace(found, max_tokens=table.positive("max_tokens", above.max_tokens, MOST_TOKENS))
    if "system_role" in table.values:
        found = replace(found, system_role=table.choice("system_role", SYSTEM_ROLES, above.system_role))
    if "path" in table.values:
        found = replace(found, path=_path(table))
    if "options" in table.values:
        found = replace(found, options=table.get("options", dict, {}, required=False))
    return found


def _parameters(table: Table, key: str, names: list[str]) -> list[str]:
    for name in names:
        if name not in PARAMETERS:
            table.wrong(f"{key}: {shown_name(name)!r} is no parameter: the parameters are {', '.join(PARAMETERS)}")
    return [name for name in names if name in PARAMETERS]


def _rename(table: Table) -> dict[str, str]:
    named = table.get("rename", dict, {}, required=False)
    found: dict[str, str] = {}
    for name in _parameters(table, "rename", list(named)):
        target = named[name]
        if name == "system_prompt":
            table.wrong("rename: the system prompt is no member of the body: system_role says where it goes")
        elif not isinstance(target, str) or not target.strip() or not target.isprintable():
            table.wrong(f"rename.{name} must be a text that is not empty, without unprintable characters")
        elif target in RESERVED_MEMBERS:
            table.wrong(f"rename.{name}: a request has a member {target!r} already: choose another name")
        elif target in PARAMETERS and target != name:
            table.wrong(f"rename.{name}: {target!r} is another parameter's name: choose another name")
        else:
            found[name] = target
    return found


def _path(table: Table) -> str:
    path = table.get("path", str, "/", required=False)
    if not _PATH.fullmatch(path):
        table.wrong("path must begin with / and may have no spaces: it is added to base_url")
    elif "?" in path or "#" in path:
        table.wrong("path may have no query and no fragment: write the query's members into query")
    elif re.search(r"[{}]", path.replace("{model}", "")):
        table.wrong("path may have no braces but {model}, for which the provider's name of the model is put")
    else:
        return path
    return ""


def _mistakes(settings: _Settings, protocol: Kind, system_prompt: str) -> Iterator[str]:
    """Yield the mistakes that show after the settings were merged."""
    if system_prompt and settings.system_role == "none":
        yield "system_role is none, yet the region has a system_prompt: remove one of them"
    elif system_prompt and "system_prompt" in settings.omit:
        yield "omit has system_prompt, yet the region has a system_prompt: remove one of them"
    elif system_prompt and "system_prompt" not in protocol.takes:
        yield f"the kind {protocol.name} takes no system prompt, yet the region has a system_prompt: remove it"
    sent = {settings.rename.get(name, name): name for name in sorted(protocol.takes - settings.omit)}
    targets = list(settings.rename.values())
    for target in sorted({target for target in targets if targets.count(target) > 1}):
        yield f"rename: two parameters have the name {target!r}: choose another name for one of them"
    for name, target in settings.rename.items():
        if target in protocol.writes - frozenset(RESERVED_MEMBERS):
            yield f"rename.{name}: a request has a member {target!r} already: choose another name"
    for member in settings.body:
        if member in protocol.writes | frozenset(RESERVED_MEMBERS):
            yield f"body.{member} overwrites a member that every request has: remove it"
        elif member in sent and member != "system_prompt":
            yield f"body.{member} overwrites the parameter {sent[member]}: put {sent[member]} into omit as well"
    yield from _body_mistakes(settings.body)


def _body_mistakes(body: Mapping[str, Any]) -> Iterator[str]:
    for path in secrets_within("body", dict(body), "body"):
        yield f"{path} looks like a key: a body is stored with the answers, so it belongs in headers_env"
    if any("\0" in text for text in _texts(dict(body))):
        yield "body has the character U+0000, which can't be stored"
    try:
        size = len(canonical(dict(body)))
    except (TypeError, ValueError):
        yield "body has a value that JSON can't carry: a date, a time, nan, inf, or a whole number beyond 2^53"
        return
    if size > LARGEST_BODY:
        yield f"body has {size} bytes as JSON, more than {LARGEST_BODY}"


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, the names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from _texts(part)

"""Reads the regions file: the regions, the provider of each model in each region, and the catalogue of questions.

The file is TOML and is read once at start. All mistakes are reported together. The file holds no secrets: a provider
names the environment variable of its API key, and a base_url may contain ${NAME}, an environment variable.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner_core.errors import ConfigError
from runner_core.toml_table import ID, Table
from runner_core.upstreams import UpstreamModel

KINDS = ("openai", "hybrid", "sandbox")
PROMPT_ID = "prompt"  # the question id of a job without questions
_REGION = re.compile(r"[A-Z][A-Z0-9-]{0,31}", re.ASCII)
_ENV = re.compile(r"\$\{(\w+)\}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Region:
    """A region. `hybrid_preference` is its name in the hybrid router's protocol."""

    name: str
    display: str
    aliases: tuple[str, ...] = ()
    system_prompt: str = ""
    hybrid_preference: str = ""


@dataclass(frozen=True)
class Provider:
    """One endpoint in one region. `models` maps our model ids to the endpoint's own models.

    `query`: added to every address; `headers`: constant headers; `headers_env`: names of environment variables with the
    values of secret headers; `proxy`: env, none or a proxy's URL; `ca_file`: a PEM file of certificates that are
    trusted besides the system's; `geography`: sent where the protocol has a parameter for it, and compared with the
    answer's;
    `options`: for the kinds of provider that take any.
    """

    id: str
    region: str
    kind: str
    base_url: str
    api_key_env: str
    max_concurrency: int
    models: dict[str, UpstreamModel]
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    headers_env: dict[str, str] = field(default_factory=dict)
    proxy: str = "env"
    ca_file: str = ""
    geography: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """The regions file as read; `sha256` is the hex digest of its bytes."""

    sha256: str
    default_model: str
    questions: dict[str, str]
    regions: dict[str, Region]
    providers: list[Provider]
    refusal_patterns: tuple[re.Pattern[str], ...]
    _names: dict[str, str] = field(init=False, repr=False, compare=False)
    _by_model: dict[tuple[str, str], Provider] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {_folded(name): r.name for r in self.regions.values() for name in (r.name, *r.aliases)}
        by_model = {(p.region, model): p for p in self.providers for model in p.models}
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_by_model", by_model)

    def canonical_region(self, name: str) -> str | None:
        """Return the region with this name or alias. Case does not matter, and _ equals -."""
        return self._names.get(_folded(name))

    def provider_for(self, region: str, model_id: str) -> tuple[Provider, UpstreamModel] | None:
        """Return the provider of a model in a region (canonical name), and how the provider is asked for it."""
        provider = self._by_model.get((region, model_id))
        return (provider, provider.models[model_id]) if provider else None

    @property
    def secret_names(self) -> frozenset[str]:
        """Return the names of the environment variables that hold the providers' keys."""
        return frozenset(provider.api_key_env for provider in self.providers if provider.api_key_env)

    @property
    def models(self) -> dict[str, list[str]]:
        """Return every model with its regions, both in the file's order."""
        found: dict[str, list[str]] = {}
        for region, model in self._by_model:
            found.setdefault(model, []).append(region)
        return found


def load_catalogue(path: str | Path, *, allow_sandbox: bool, env: Mapping[str, str] = os.environ) -> Catalogue:
    """Read a regions file. Raises ConfigError with every mistake in it, one sentence each."""
    if not path:
        raise ConfigError(["REGIONS_FILE is not set: the file with the regions, their providers and the questions."])
    try:
        raw = Path(path).read_bytes()
        file = Table(tomllib.loads(raw.decode("utf-8-sig")), "")
    except OSError as error:
        raise ConfigError([f"The regions file {path} can't be read: {error.strerror}."]) from None
    except ValueError as error:
        raise ConfigError([f"The regions file {path} is not valid TOML: {error}."]) from None
    questions = file.texts("questions")
    regions = {name: _region(name, table) for name, table in file.tables("regions").items()}
    providers = [_provider(table, regions, allow_sandbox, env) for table in file.array("providers")]
    catalogue = Catalogue(
        sha256=hashlib.sha256(raw).hexdigest(),
        default_model=file.get("default_model", str, ""),
        questions=questions,
        regions=regions,
        providers=providers,
        refusal_patterns=tuple(p for text in file.list_of_text("refusal_patterns") if (p := _pattern(text, file))),
    )
    file.no_more()
    _check_whole(catalogue, file)
    if file.mistakes:
        raise ConfigError([f"{path}: {mistake}." for mistake in file.mistakes])
    return catalogue


def _folded(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _region(name: str, table: Table) -> Region:
    if not _REGION.fullmatch(name):
        table.wrong("a region's name is a capital letter, then capitals, digits and -, at most 32 in all")
    region = Region(
        name=name,
        display=table.get("display", str, name, required=False),
        aliases=tuple(table.list_of_text("aliases")),
        system_prompt=table.get("system_prompt", str, "", required=False),
        hybrid_preference=table.get("hybrid_preference", str, "", required=False),
    )
    table.no_more()
    return region


def _provider(table: Table, regions: Mapping[str, Region], allow_sandbox: bool, env: Mapping[str, str]) -> Provider:
    max_tokens = table.positive("max_tokens", 500)
    options = table.get("options", dict, {}, required=False)
    provider = Provider(
        id=table.get("id", str, ""),
        region=table.get("region", str, ""),
        kind=table.get("kind", str, ""),
        base_url=_base_url(table, env),
        api_key_env=table.get("api_key_env", str, "", required=False),
        max_concurrency=table.positive("max_concurrency", 8),
        models={
            model: UpstreamModel(name, max_tokens=max_tokens, options=options)
            for model, name in table.texts("models", required=True).items()
        },
        options=options,
    )
    table.no_more()
    if provider.id and not ID.fullmatch(provider.id):
        table.wrong("id may have letters, digits and . _ : - only, at most 255")
    if provider.region and provider.region not in regions:
        table.wrong(f"the region {provider.region!r} is not in this file")
    if provider.api_key_env and not _ENV_NAME.fullmatch(provider.api_key_env):
        # The message omits the value: it may be the key itself.
        table.wrong("api_key_env must be the name of an environment variable, in capitals, not the key itself")
    _check_kind(provider, regions.get(provider.region), allow_sandbox, table)
    return provider


def _check_kind(provider: Provider, region: Region | None, allow_sandbox: bool, table: Table) -> None:
    if not provider.kind:
        return
    if provider.kind not in KINDS:
        table.wrong(f"kind must be one of {', '.join(KINDS)}")
    elif provider.kind == "sandbox":
        if not allow_sandbox:
            table.wrong("a sandbox provider simulates its answers: set ALLOW_SANDBOX=1 to allow that")
        if provider.base_url or provider.api_key_env:
            table.wrong("a sandbox provider must have neither base_url nor api_key_env")
    else:
        if not provider.base_url:
            table.wrong(f"a provider of kind {provider.kind} needs a base_url")
        if provider.options:
            table.wrong("options are for sandbox providers only")
        if provider.kind == "hybrid" and region and not region.hybrid_preference:
            table.wrong(f"a hybrid provider needs hybrid_preference in regions.{region.name}")


def _base_url(table: Table, env: Mapping[str, str]) -> str:
    """Return the URL without a slash at its end, with ${NAME} replaced. Mistakes are reported without the value."""
    written = table.get("base_url", str, "", required=False)
    for name in _ENV.findall(written):
        if not env.get(name):
            table.wrong(f"base_url needs the environment variable {name}, which is not set")
            return written
    url = _ENV.sub(lambda match: env[match[1]], written).rstrip("/")
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if url and not well_formed:
        table.wrong("base_url must be an http or https URL")
    elif url and (parts.username is not None or parts.query or parts.fragment):
        table.wrong("base_url may have no user, password, query or fragment: a key belongs in api_key_env")
    return url


def _pattern(text: str, table: Table) -> re.Pattern[str] | None:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        table.wrong(f"refusal_patterns: {text!r} is not a regular expression: {error}")
        return None


def _check_whole(catalogue: Catalogue, table: Table) -> None:
    """Check the rules that concern several parts of the file."""
    if PROMPT_ID in catalogue.questions:
        table.wrong(
            f"questions: the id {PROMPT_ID!r} is reserved for the prompt of a job without questions: choose another id"
        )
    owners: dict[str, str] = {}
    for region in catalogue.regions.values():
        for name in dict.fromkeys(_folded(name) for name in (region.name, *region.aliases)):
            if owners.setdefault(name, region.name) != region.name:
                table.wrong(f"{name!r} stands for two regions, {owners[name]} and {region.name}")
        if not any(provider.region == region.name for provider in catalogue.providers):
            table.wrong(f"regions.{region.name}: no provider is in this region")
    ids = [provider.id for provider in catalogue.providers if provider.id]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        table.wrong(f"two providers have the id {name}")
    pairs = [(p.region, model, p.id) for p in catalogue.providers for model in p.models]
    first: dict[tuple[str, str], str] = {}
    for place, model, provider_id in pairs:
        if (place, model) in first:
            table.wrong(f"the model {model} has two providers in {place}, {first[place, model]} and {provider_id}")
        first.setdefault((place, model), provider_id)
    if catalogue.default_model and not any(catalogue.default_model in p.models for p in catalogue.providers):
        table.wrong(f"no provider has the default_model {catalogue.default_model!r}")

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

from runner_core.errors import ConfigError
from runner_core.judge_settings import Judge, read_judge
from runner_core.provider_settings import read_provider, secret_variables, written_secrets
from runner_core.toml_table import Table
from runner_core.upstreams import Provider as Provider
from runner_core.upstreams import Region as Region
from runner_core.upstreams import UpstreamModel

PROMPT_ID = "prompt"  # the question id of a job without questions
_REGION = re.compile(r"[A-Z][A-Z0-9-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class Catalogue:
    """The regions file as read; `sha256` is the hex digest of its bytes."""

    sha256: str
    default_model: str
    questions: dict[str, str]
    regions: dict[str, Region]
    providers: list[Provider]
    refusal_patterns: tuple[re.Pattern[str], ...]
    controls: tuple[str, ...] = ()  # the questions that should be answered alike everywhere
    judge: Judge | None = None
    _names: dict[str, str] = field(init=False, repr=False, compare=False)
    _by_model: dict[tuple[str, str], Provider] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {_folded(name): r.name for r in self.regions.values() for name in (r.name, *r.aliases)}
        by_model = {(p.region, model): p for p in self.providers for model in p.models}
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_by_model", by_model)

    @property
    def plain(self) -> dict[str, str]:
        """Return the plain region of each region that has one."""
        return {region.name: region.plain for region in self.regions.values() if region.plain}

    def canonical_region(self, name: str) -> str | None:
        """Return the region with this name or alias. Case does not matter, and _ equals -."""
        return self._names.get(_folded(name))

    def provider_for(self, region: str, model_id: str) -> tuple[Provider, UpstreamModel] | None:
        """Return the provider of a model in a region (canonical name), and how the provider is asked for it."""
        provider = self._by_model.get((region, model_id))
        return (provider, provider.models[model_id]) if provider else None

    def key_of(self, provider_id: str) -> str:
        """Return the name of the environment variable with a provider's key, empty if it has none."""
        return next((provider.api_key_env for provider in self.providers if provider.id == provider_id), "")

    @property
    def secret_names(self) -> frozenset[str]:
        """Return the names of the environment variables that hold providers' keys, headers and proxies' passwords."""
        return frozenset(name for provider in self.providers for name in secret_variables(provider))

    @property
    def secret_values(self) -> frozenset[str]:
        """Return the proxies' passwords that stand in the file itself."""
        return frozenset(secret for provider in self.providers for secret in written_secrets(provider))

    @property
    def models(self) -> dict[str, list[str]]:
        """Return every model with its regions, both in the file's order."""
        found: dict[str, list[str]] = {}
        for region, model in self._by_model:
            found.setdefault(model, []).append(region)
        return found


def load_catalogue(path: str | Path, *, allow_sandbox: bool, env: Mapping[str, str] = os.environ) -> Catalogue:
    """Read a regions file. Raises ConfigError with every mistake in it, one sentence each."""
    catalogue, mistakes = read_catalogue(path, allow_sandbox=allow_sandbox, env=env)
    if mistakes:
        raise ConfigError(mistakes)
    return catalogue


def read_catalogue(
    path: str | Path, *, allow_sandbox: bool, env: Mapping[str, str] = os.environ
) -> tuple[Catalogue, list[str]]:
    """Read a regions file. Return what is in it and every mistake, one sentence each, so that a process can look for
    mistakes elsewhere too. Raises ConfigError if the file can't be read at all."""
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
    providers = [
        read_provider(table, regions, allow_sandbox=allow_sandbox, env=env) for table in file.array("providers")
    ]
    analysis = Table(file.get("analysis", dict, {}, required=False), "analysis", file.mistakes)
    catalogue = Catalogue(
        sha256=hashlib.sha256(raw).hexdigest(),
        default_model=file.get("default_model", str, ""),
        questions=questions,
        regions=regions,
        providers=providers,
        refusal_patterns=tuple(p for text in file.list_of_text("refusal_patterns") if (p := _pattern(text, file))),
        controls=tuple(file.list_of_text("controls")),
        judge=read_judge(analysis, providers),
    )
    analysis.no_more()
    file.no_more()
    _check_whole(catalogue, file)
    return catalogue, [f"{path}: {mistake}." for mistake in file.mistakes]


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
        plain=table.get("plain", str, "", required=False),
    )
    table.no_more()
    return region


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
    for control in catalogue.controls:
        if control not in catalogue.questions:
            table.wrong(f"controls: there is no question {control!r}")
    _check_plain(catalogue, table)
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


def _check_plain(catalogue: Catalogue, table: Table) -> None:
    """Check that each plain region stands beside one region, and that all of them have one prompt."""
    plain, seen = catalogue.plain, list(catalogue.plain.values())
    for name, other in plain.items():
        if other == name or other not in catalogue.regions:
            table.wrong(f"regions.{name}: plain must name another region of this file, not {other!r}")
        elif other in plain:
            table.wrong(f"regions.{name}: {other} is a plain region and can't have a plain region itself")
        elif seen.count(other) > 1:
            table.wrong(f"regions.{name}: {other} is the plain region of two regions: each endpoint needs its own")
    if len({catalogue.regions[name].system_prompt for name in seen if name in catalogue.regions}) > 1:
        told = ", ".join(sorted(set(seen)))
        table.wrong(f"the plain regions {told} need one common system_prompt, so that only the place tells them apart")

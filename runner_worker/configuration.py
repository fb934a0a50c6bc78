"""Reads and checks everything that a worker needs before its start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from runner_core.environment import EnvironmentReader
from runner_core.errors import ConfigError, Mistakes
from runner_core.keys import PrivateKey
from runner_core.provider_kinds import kinds
from runner_core.regions import Catalogue, read_catalogue
from runner_core.settings import Settings
from runner_queue.addresses import read_settings
from runner_worker.providers import Providers


@dataclass(frozen=True)
class Configuration:
    """The worker's configuration. `region` is the canonical name of its region; empty for a worker of every region.

    `catalogue` and `providers` have only the providers of that region; `secret_names` and `secret_values`
    have those of all regions.
    """

    settings: Settings
    region: str
    catalogue: Catalogue
    providers: Providers
    receipt_key: PrivateKey | None
    secret_names: frozenset[str]
    secret_values: frozenset[str]

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, *, region: str | None = None) -> "Configuration":
        """Read settings, regions file and keys. Raises ConfigError with the mistakes of all of them."""
        mistakes = Mistakes()
        # A setting with a mistake has its default, so that files and keys can still be checked.
        settings = read_settings(EnvironmentReader(env, mistakes), process="worker")
        jobs, key_file = settings.jobs, settings.worker.receipt_key_file
        read = mistakes.of(lambda: read_catalogue(jobs.regions_file, allow_sandbox=jobs.allow_sandbox, env=env))
        whole, wrong = read or (None, [])
        mistakes.extend(wrong)
        receipt_key = mistakes.of(lambda: PrivateKey.load(key_file)) if key_file else None
        catalogue, name, providers = whole, "", None
        if whole and region is not None:
            catalogue, name = _only(region, whole, mistakes)
        if catalogue and wrong:
            mistakes.extend(_mistakes_beside(catalogue, env))
        elif catalogue:
            providers = mistakes.of(lambda: Providers(catalogue, settings, env))
        if mistakes or not whole or not catalogue or not providers:
            raise ConfigError(mistakes)
        return cls(settings, name, catalogue, providers, receipt_key, whole.secret_names, whole.secret_values)


def _mistakes_beside(catalogue: Catalogue, env: Mapping[str, str]) -> list[str]:
    """Return the mistakes in what providers need beside a regions file that has mistakes itself."""
    from runner_core.provider_access import access_mistakes  # not needed by a worker that starts

    asked = [provider for provider in catalogue.providers if provider.kind in kinds()]
    return [f"provider {provider.id}: {mistake}" for provider in asked for mistake in access_mistakes(provider, env)]


def _only(region: str, catalogue: Catalogue, mistakes: Mistakes) -> tuple[Catalogue | None, str]:
    """Return the catalogue without other regions' providers, whose keys are not needed; and the canonical name."""
    name = catalogue.canonical_region(region)
    if name is None:
        mistakes.append(
            f"--region {region!r} is not a region of REGIONS_FILE; the regions are {', '.join(catalogue.regions)}"
        )
        return None, ""
    return replace(catalogue, providers=[p for p in catalogue.providers if p.region == name]), name

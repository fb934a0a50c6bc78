"""Doctor's look at the configuration: settings, keys, regions and, when asked, the providers themselves."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from runner_cli.findings import Finding, error, ok, warning
from runner_core.errors import ConfigError, Rejected
from runner_core.keys import PrivateKey
from runner_core.regions import Catalogue, Provider, load_catalogue
from runner_core.secret_files import read_secret
from runner_core.settings import Settings
from runner_core.trust import TrustList

PROBE_SECONDS = 10.0


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Who may submit, who may administer, and whether receipts are signed."""
    yield _trust(settings)
    if not settings.api.freshness_enforce:
        yield warning("freshness", "FRESHNESS_ENFORCE=0: old signed jobs are accepted; set it to 1")
    if settings.api.allow_unsigned:
        yield warning("unsigned", "ALLOW_UNSIGNED=1: anybody may submit; it is for development only")
    if settings.api.admin_tokens:
        yield ok("admin", f"{(many := len(settings.api.admin_tokens))} administrator{'' if many == 1 else 's'}")
    else:
        yield warning("admin", "ADMIN_TOKENS is not set: /admin is closed, and only a job's own key can cancel it")
    if not settings.worker.receipt_key_file:
        yield warning(
            "receipts", "RECEIPT_KEY_FILE is not set: workers make no receipts; `beacon keygen receipt.pem` makes a key"
        )
        return
    try:
        yield ok("receipts", f"signed by key {PrivateKey.load(settings.worker.receipt_key_file).kid}")
    except ConfigError as mistake:
        yield error("receipts", mistake.detail)


def _trust(settings: Settings) -> Finding:
    if not settings.api.trust_enforce:
        return warning("trusted keys", "TRUST_ENFORCE=0: every key may submit; set it to 1 and TRUSTED_KEYS_FILE")
    if not settings.api.trusted_keys_file:
        return error(
            "trusted keys",
            "TRUSTED_KEYS_FILE is not set, so the API does not start: make a list with `beacon keygen --trust`",
        )
    try:
        trusted = TrustList.load(settings.api.trusted_keys_file)
    except ConfigError as mistake:
        return error("trusted keys", mistake.detail)
    keys, valid = json.loads(Path(settings.api.trusted_keys_file).read_bytes()), 0
    for key in keys:
        try:
            trusted.check(key["public_key"], datetime.now(UTC))
            valid += 1
        except Rejected:
            continue
    if not valid:
        return error(
            "trusted keys",
            f"none of {len(keys)} keys is valid now, so nobody can submit: add a key with `beacon keygen --trust`",
        )
    return ok("trusted keys", f"{valid} of {len(keys)} are valid now")


def check_regions(settings: Settings, env: Mapping[str, str], *, probe: bool) -> Iterator[Finding]:
    """The regions file, the providers' keys, and with `probe` a request to each provider that costs nothing."""
    if not settings.jobs.regions_file:
        yield error("regions", "REGIONS_FILE is not set: copy regions/example.toml and name your providers")
        return
    try:
        catalogue = load_catalogue(settings.jobs.regions_file, allow_sandbox=settings.jobs.allow_sandbox, env=env)
    except ConfigError as mistakes:
        yield from (error("regions", mistake) for mistake in mistakes.mistakes)
        return
    yield ok("regions", f"{', '.join(catalogue.regions)} with {len(catalogue.providers)} providers")
    most = ", ".join(f"{p.id} {min(p.max_concurrency, settings.worker.concurrency)}" for p in catalogue.providers)
    yield ok("calls at once", f"at most, from each worker process: {most}")
    yield from _providers(catalogue, env, probe)


def _providers(catalogue: Catalogue, env: Mapping[str, str], probe: bool) -> Iterator[Finding]:
    for provider in catalogue.providers:
        subject = f"provider {provider.id}"
        if provider.kind == "sandbox":
            yield warning(subject, "it simulates its answers: do not use it in production")
            continue
        try:
            key = read_secret(env, provider.api_key_env) if provider.api_key_env else ""
        except ConfigError as mistake:
            yield error(subject, mistake.detail)
            continue
        if provider.api_key_env and not key:
            yield error(
                subject,
                "its key is not set in this environment, so it was not asked: "
                f"set {provider.api_key_env} as for the workers",
            )
        elif probe:
            yield probed(provider, key)


def probed(provider: Provider, key: str) -> Finding:
    """Ask for the list of models (openai), or for anything at all (hybrid), which nobody charges for."""
    subject = f"provider {provider.id}"
    url = f"{provider.base_url}/models" if provider.kind == "openai" else provider.base_url
    if not (key.isascii() and key.isprintable()):  # as for the workers; httpx2 would repeat it
        return error(subject, f"its key has characters that no header can carry: set {provider.api_key_env} again")
    try:
        answer = httpx2.get(url, headers={"Authorization": f"Bearer {key}"} if key else None, timeout=PROBE_SECONDS)
    except httpx2.HTTPError as failure:
        return error(subject, f"it can't be reached ({type(failure).__name__}): check base_url, or that it runs")
    if answer.status_code in (401, 403):
        return error(
            subject, f"it refuses the key ({answer.status_code}): check {provider.api_key_env or 'api_key_env'}"
        )
    if answer.status_code >= 500:
        return warning(subject, f"it answers {answer.status_code}: it may be starting; ask again later")
    missing = _missing_models(provider, answer)
    if missing:
        return warning(subject, f"it answers, but does not list {', '.join(missing)}: check the names in `models`")
    return ok(subject, f"it answers ({answer.status_code}) in {answer.elapsed.total_seconds() * 1000:.0f} ms")


def _missing_models(provider: Provider, answer: httpx2.Response) -> list[str]:
    """The upstream names that a list of models does not have; none where there is no such list."""
    try:
        listed = {str(model["id"]) for model in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return []
    return sorted({model.name for model in provider.models.values()} - listed) if provider.kind == "openai" else []

"""Doctor's look at the configuration: settings, keys, regions and, when asked, the providers themselves."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from runner_cli.findings import Finding, error, ok, warning
from runner_core.certificates import trusting_context
from runner_core.errors import ConfigError, Rejected
from runner_core.keys import PrivateKey
from runner_core.provider_access import Access, constant_headers, read_access, read_secrets
from runner_core.provider_kinds import Kind, kinds
from runner_core.provider_settings import secret_variables
from runner_core.regions import Catalogue, Provider, load_catalogue
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
        kind = kinds()[provider.kind]
        if kind.simulated:
            yield warning(subject, "it simulates its answers: do not use it in production")
        try:
            access = read_access(provider, env) if kind.asks_by_http else None
            if not access:
                read_secrets(provider, env)
        except ConfigError as mistakes:
            told = "; ".join(mistakes.mistakes)
            unset = ", ".join(name for name in sorted(secret_variables(provider)) if name in told)
            remedy = f": set {unset} as for the workers" if unset else ""
            yield error(subject, f"it was not asked, because {told}{remedy}")
            continue
        if probe and access:
            yield probed(provider, kind, access)


def probed(provider: Provider, kind: Kind, access: Access) -> Finding:
    """Ask for the list of models, or for anything at all where there is no list, which nobody charges for."""
    subject = f"provider {provider.id}"
    try:
        answer = _asked(provider, kind, access)
    except httpx2.HTTPError as failure:
        way = "base_url, proxy and ca_file" if access.proxy or provider.ca_file else "base_url"
        return error(subject, f"it can't be reached ({type(failure).__name__}): check {way}, or that it runs")
    if answer.status_code == 407:
        return error(subject, "the proxy refuses its user and password (407): check `proxy`")
    if answer.status_code in (401, 403):
        secrets = [name for name in (provider.api_key_env, *provider.headers_env.values()) if name]
        return error(subject, f"it refuses the key ({answer.status_code}): check {', '.join(secrets) or 'api_key_env'}")
    if answer.status_code >= 500:
        return warning(subject, f"it answers {answer.status_code}: it may be starting; ask again later")
    missing = _missing_models(provider, answer) if kind.model_list else []
    if missing:
        return warning(subject, f"it answers, but does not list {', '.join(missing)}: check the names in `models`")
    through = f" through the proxy {access.proxy.host}:{access.proxy.port}" if access.proxy else ""
    return ok(subject, f"it answers ({answer.status_code}) in {answer.elapsed.total_seconds() * 1000:.0f} ms{through}")


def _asked(provider: Provider, kind: Kind, access: Access) -> httpx2.Response:
    """Send the request as a worker would: with its headers and query, through its proxy, with its certificates."""
    proxy = None
    if access.proxy:
        given = {"Proxy-Authorization": access.proxy.authorization} if access.proxy.authorization else None
        place = f"[{access.proxy.host}]" if ":" in access.proxy.host else access.proxy.host
        proxy = httpx2.Proxy(f"http://{place}:{access.proxy.port}", headers=given)
    # Without TLS there is nothing to verify, and no certificates need be read.
    verify = trusting_context(provider.ca_file) if access.origin.scheme == "https" else False
    with httpx2.Client(proxy=proxy, verify=verify, trust_env=False, timeout=PROBE_SECONDS) as client:
        return client.get(
            provider.base_url + kind.model_list,
            params=provider.query or None,
            headers=constant_headers(provider, kind, access),
        )


def _missing_models(provider: Provider, answer: httpx2.Response) -> list[str]:
    """The upstream names that a list of models does not have; none where the answer is no such list.

    A model with a path of its own may be a deployment, which has another name than its model.
    """
    try:
        listed = {str(model["id"]) for model in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return []
    named = {model.name for model in provider.models.values() if not model.path}
    return sorted(named - listed)

"""Reads what a process needs beside the regions file to ask a provider: its key, secret headers, proxy, certificates.

Only the processes that ask providers read them: workers, and `beacon doctor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from runner_core.certificates import check_ca_file
from runner_core.errors import ConfigError, Mistakes
from runner_core.origins import DEFAULT_PORTS, Origin, origin
from runner_core.provider_kinds import Kind
from runner_core.provider_settings import VARIABLE
from runner_core.proxies import Proxy, environment_proxy, proxy_of
from runner_core.secret_files import bare, read_secret
from runner_core.upstreams import Provider

NOWHERE = Origin("http", "", DEFAULT_PORTS["http"])  # the place of a provider without a base_url


@dataclass(frozen=True)
class Access:
    """The way by which a process reaches one provider. `headers`: the secret ones by name."""

    origin: Origin
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    proxy: Proxy | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return every text that must not be shown, the longest first, so that none is left in parts."""
        found = {self.key, *self.headers.values(), *(self.proxy.secrets if self.proxy else ())}
        found |= {bare(value) for value in self.headers.values()}
        return tuple(sorted(filter(None, found), key=len, reverse=True))


def constant_headers(provider: Provider, kind: Kind, access: Access) -> dict[str, str]:
    """Return the headers that each request to a provider has: the kind's, the one with the key, and the provider's.

    A later header replaces an earlier one of the same name, in whatever case.
    """
    headers = dict(kind.headers)
    if access.key:
        is_bearer = kind.key_header.lower() == "authorization"
        headers[kind.key_header] = f"Bearer {access.key}" if is_bearer else access.key
    return with_headers(headers, {**provider.headers, **access.headers})


def with_headers(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return headers with `more` ones, which replace those of the same name in whatever case."""
    replaced = {name.lower() for name in more}
    return {name: value for name, value in headers.items() if name.lower() not in replaced} | dict(more)


def read_access(provider: Provider, env: Mapping[str, str]) -> Access:
    """Return how to reach a provider that has a base_url. Raises ConfigError with all mistakes, without any value."""
    try:
        place = origin(provider.base_url)
    except ValueError as error:
        raise ConfigError([str(error), *access_mistakes(provider, env)]) from None
    mistakes = Mistakes()
    access = _read(provider, place, env, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    return access


def read_secrets(provider: Provider, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets that the settings of a provider without a base_url name: its adapter reads them by itself.

    Raises ConfigError with all mistakes.
    """
    mistakes = Mistakes()
    access = _read(provider, NOWHERE, env, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    return access.secrets


def access_mistakes(provider: Provider, env: Mapping[str, str]) -> list[str]:
    """Return the mistakes in what a provider needs, without those that the regions file shows by itself."""
    mistakes = Mistakes()
    written = provider.proxy not in ("env", "none") and not VARIABLE.search(provider.proxy)
    try:
        place = origin(provider.base_url)
    except ValueError:
        place = NOWHERE
    _read(replace(provider, proxy="none") if written else provider, place, env, mistakes)
    return mistakes


def _read(provider: Provider, place: Origin, env: Mapping[str, str], mistakes: Mistakes) -> Access:
    key = _header_value(env, provider.api_key_env, "its key", mistakes) if provider.api_key_env else ""
    headers = {
        name: _header_value(env, variable, f"the header {name}", mistakes)
        for name, variable in provider.headers_env.items()
    }
    proxy = None
    try:
        proxy = _proxy(provider, place, env)
    except (ValueError, ConfigError) as error:
        mistakes.extend(error.args)
    try:
        if provider.ca_file:
            check_ca_file(provider.ca_file)
    except ValueError as error:
        mistakes.extend(error.args)
    return Access(place, key, headers, proxy)


def _header_value(env: Mapping[str, str], variable: str, what: str, mistakes: Mistakes) -> str:
    value = mistakes.of(lambda: read_secret(env, variable))
    if value is None:
        return ""
    if not value:
        mistakes.append(f"{variable}, which holds {what}, is not set")
    elif not (value.isascii() and value.isprintable()):
        mistakes.append(f"{variable}, which holds {what}, has characters that no header can carry")
    return value


def _proxy(provider: Provider, place: Origin, env: Mapping[str, str]) -> Proxy | None:
    if provider.proxy == "none":
        return None
    if provider.proxy == "env":
        return None if place == NOWHERE else environment_proxy(env, place)
    for name in VARIABLE.findall(provider.proxy):
        if not read_secret(env, name):
            raise ValueError(f"proxy needs the environment variable {name}, which is not set")
    try:
        return proxy_of(VARIABLE.sub(lambda match: read_secret(env, match[1]), provider.proxy))
    except ValueError as error:
        raise ValueError(f"proxy {error}") from None

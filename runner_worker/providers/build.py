"""Makes the adapter of each configured provider and collects the mistakes in the providers' configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from runner_core.errors import ConfigError
from runner_core.provider_kinds import Kind, kinds
from runner_core.regions import Catalogue, Provider
from runner_worker.providers.ask import Adapter
from runner_worker.providers.foreign import foreign_adapter

if TYPE_CHECKING:
    from runner_core.origins import Origin
    from runner_core.proxies import Proxy
    from runner_worker.providers.connections import Connections
    from runner_worker.providers.http import HttpClient


class Builder:
    """Makes adapters. Providers that reach one origin in the same way share its connections.

    The HTTP client is imported only if needed.
    """

    def __init__(self, catalogue: Catalogue, env: Mapping[str, str], read_seconds: float) -> None:
        self.mistakes: list[str] = []
        self._catalogue = catalogue
        self._env = env
        self._read_seconds = read_seconds
        self._connections: dict[tuple[Origin, Proxy | None, str], Connections] = {}

    def adapter(self, provider: Provider) -> Adapter | None:
        """Return the provider's adapter; on mistakes add them to `mistakes` and return None."""
        kind = kinds().get(provider.kind)
        if not kind:
            self.mistakes.append(f"provider {provider.id}: {provider.kind} is not a kind of provider")
            return None
        try:
            http = self._http(provider, kind) if kind.asks_by_http else None
            if kind.is_own:
                return cast(Adapter, kind.factory(provider, http, self._catalogue))
            return foreign_adapter(kind, provider, http, self._catalogue, self._secrets(provider))
        except ValueError as wrong:
            self.mistakes.extend(f"provider {provider.id}: {mistake}" for mistake in wrong.args)
            return None

    def origins(self) -> "list[Connections]":
        """Return the connections of each origin."""
        return list(self._connections.values())

    def close(self) -> None:
        for connections in self._connections.values():
            connections.close()

    def _secrets(self, provider: Provider) -> tuple[str, ...]:
        """Return what the adapter of another distribution may know and nobody may see."""
        from runner_core.provider_access import read_access, read_secrets

        try:
            return read_access(provider, self._env).secrets if provider.base_url else read_secrets(provider, self._env)
        except ConfigError as error:
            raise ValueError(*error.mistakes) from None

    def _http(self, provider: Provider, kind: Kind) -> "HttpClient":
        from runner_core.certificates import trusting_context
        from runner_core.provider_access import constant_headers, read_access
        from runner_worker.providers.connections import Connections
        from runner_worker.providers.http import HttpClient

        try:
            access = read_access(provider, self._env)
        except ConfigError as error:
            raise ValueError(*error.mistakes) from None
        way = (access.origin, access.proxy, provider.ca_file)
        connections = self._connections.get(way)
        if connections is None:
            tls = trusting_context(provider.ca_file) if access.origin.scheme == "https" else None
            connections = self._connections[way] = Connections(access.origin, access.proxy, tls)
        headers = constant_headers(provider, kind, access)
        return HttpClient(provider, access, connections, self._read_seconds, headers)

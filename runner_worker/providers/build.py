"""Makes the adapter of each configured provider and collects the mistakes in the providers' configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner_core.errors import ConfigError
from runner_core.regions import Catalogue, Provider
from runner_core.secret_files import read_secret
from runner_worker.providers.ask import Adapter
from runner_worker.providers.sandbox import Sandbox

if TYPE_CHECKING:
    from runner_worker.providers.connections import Connections
    from runner_worker.providers.http import HttpClient


class Builder:
    """Makes adapters. Providers of one origin share its connections. The HTTP client is imported only if needed."""

    def __init__(self, catalogue: Catalogue, env: Mapping[str, str], read_seconds: float) -> None:
        self.mistakes: list[str] = []
        self._catalogue = catalogue
        self._env = env
        self._read_seconds = read_seconds
        self._connections: dict[tuple[str, str, int], Connections] = {}

    def adapter(self, provider: Provider) -> Adapter | None:
        """Return the provider's adapter; on mistakes add them to `mistakes` and return None."""
        try:
            match provider.kind:
                case "sandbox":
                    return Sandbox(provider.options)
                case "openai":
                    from runner_worker.providers.openai import OpenAI

                    return OpenAI(provider, self._http(provider), self._catalogue)
                case "hybrid":
                    from runner_worker.providers.hybrid import Hybrid

                    return Hybrid(provider, self._http(provider), self._catalogue)
                case _:
                    raise ValueError(f"{provider.kind} is not a kind of provider")
        except ValueError as wrong:
            self.mistakes.extend(f"provider {provider.id}: {mistake}" for mistake in wrong.args)
            return None

    def origins(self) -> "list[Connections]":
        """Return the connections of each origin."""
        return list(self._connections.values())

    def close(self) -> None:
        for connections in self._connections.values():
            connections.close()

    def _http(self, provider: Provider) -> "HttpClient":
        from runner_worker.providers.connections import Connections
        from runner_worker.providers.http import HttpClient, origin

        try:
            key = read_secret(self._env, provider.api_key_env) if provider.api_key_env else ""
        except ConfigError as error:
            raise ValueError(*error.mistakes) from None
        if provider.api_key_env and not key:
            raise ValueError(f"{provider.api_key_env}, which holds its key, is not set")
        if not (key.isascii() and key.isprintable()):
            raise ValueError(f"{provider.api_key_env} holds a key with characters that no header can carry")
        where = origin(provider.base_url)
        connections = self._connections.get(where) or self._connections.setdefault(where, Connections(*where))
        return HttpClient(provider.base_url, key, connections, self._read_seconds)

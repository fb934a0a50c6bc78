"""Where the processes of a local stack listen, and where a client on this machine reaches them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from runner_core.addresses import API_HOST, API_PORT, api_bind, is_port
from runner_core.errors import ConfigError

LAST_PORT = 65535
# Who listens at every address of the machine is reached at these.
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104 - it only reads them


@dataclass(frozen=True)
class Address:
    """A host and a port; `setting` is the variable that names it."""

    host: str
    port: int
    setting: str

    @property
    def bind(self) -> str:
        """As BIND takes it."""
        return _joined(self.host, self.port)

    @property
    def reached_at(self) -> str:
        """host:port for a client on this machine."""
        return _joined(EVERYWHERE.get(self.host, self.host), self.port)

    def next(self, index: int) -> "Address":
        """The address `index` ports further. Raises ConfigError when there is no such port."""
        if self.port + index > LAST_PORT:
            raise ConfigError(
                [f"{self.setting} is too high: each process needs a port of its own, and {LAST_PORT} is the last port"]
            )
        return replace(self, port=self.port + index)


def api_address(env: Mapping[str, str]) -> Address:
    """Where the first API listens, which must be one host and port. Raises ConfigError."""
    bind = api_bind(env)
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:,/\s]*)):(\d+)", bind, re.ASCII)
    if not found:
        raise ConfigError(
            [f"BIND is not host:port, which `beacon up` needs: for example {API_HOST}:{API_PORT} or [::1]:{API_PORT}"]
        )
    setting = "BIND" if env.get("BIND", "").strip() else "PORT"
    return Address(found[1] or found[2] or "0.0.0.0", int(found[3]), setting)  # noqa: S104 - as gunicorn reads it


def metrics_address(env: Mapping[str, str]) -> Address | None:
    """Where the first process serves its metrics; None when each is to have a free port. Raises ConfigError."""
    port = env.get("METRICS_PORT", "").strip() or "0"
    host = env.get("METRICS_HOST", "").strip() or "127.0.0.1"
    if port == "0":
        return None
    if not is_port(port):
        raise ConfigError([f"METRICS_PORT must be a port, a number from 1 to {LAST_PORT}"])
    return Address(host, int(port), "METRICS_PORT")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

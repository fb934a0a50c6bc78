"""Chooses the HTTP proxy through which a provider is reached: the provider's own, the environment's, or none."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from runner_core.origins import Origin

DEFAULT_PORT = 80
FORM = (
    "must be env, none or an http URL, for example http://proxy.example:3128; a user and a password in it are"
    " percent-encoded"
)


@dataclass(frozen=True)
class Proxy:
    """A proxy that speaks plain HTTP. `authorization`: the value of Proxy-Authorization, empty without a user."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)


def proxy_of(url: str) -> Proxy:
    """Return the proxy of an http URL. User and password are percent-decoded. Raises ValueError without the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(FORM) from None
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme != "http" or not parts.hostname or not parts.netloc.isascii() or port == 0 or rest:
        raise ValueError(FORM)
    if parts.username is None:
        return Proxy(parts.hostname, port or DEFAULT_PORT, url=url)
    user, password = unquote(parts.username), unquote(parts.password or "")
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    # A proxy's user may be a token, with an empty password.
    secrets = (password, parts.password or "") if password else (user, parts.username)
    return Proxy(parts.hostname, port or DEFAULT_PORT, f"Basic {encoded}", (*dict.fromkeys(secrets), encoded), url)


def environment_proxy(env: Mapping[str, str], to: Origin) -> Proxy | None:
    """Return the proxy that HTTP_PROXY or HTTPS_PROXY names for an origin, or None where NO_PROXY has its host.

    The names may be in lower case, which comes first, as in curl. A proxy without a scheme is an http proxy. Raises
    ValueError, which names the variable and not its value.
    """
    name = f"{to.scheme}_proxy"
    url, variable = _either(env, name)
    if not url or _is_bypassed(_either(env, "no_proxy")[0], to):
        return None
    try:
        return proxy_of(url if "://" in url else f"http://{url}")
    except ValueError:
        raise ValueError(f'{variable} is no http URL: correct it, or set proxy = "none"') from None


def _is_bypassed(no_proxy: str, to: Origin) -> bool:
    """Return whether NO_PROXY has an origin: *, the host or a suffix of it, with or without the port, or a network."""
    for entry in filter(None, (entry.strip().lower() for entry in no_proxy.split(","))):
        suffix = entry.removeprefix("*").removeprefix(".")
        names = (to.host, to.place)
        if entry == "*" or suffix.strip("[]") == to.host:
            return True
        if suffix and any(name == suffix or name.endswith(f".{suffix}") for name in names):
            return True
        if "/" in entry and _is_in_network(to.host, entry):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _either(env: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the value of a variable in lower or upper case, and the name under which it was found."""
    for variable in (name, name.upper()):
        if value := env.get(variable, "").strip():
            return value, variable
    return "", name

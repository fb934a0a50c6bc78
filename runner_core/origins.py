"""The origin of a URL: the scheme, the host and the port to which a request goes."""

from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port. An IPv6 host has no brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        usual = f":{DEFAULT_PORTS[self.scheme]}"
        return f"{self.scheme}://{self.place.removesuffix(usual)}"

    @property
    def place(self) -> str:
        """Return host and port, as CONNECT names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def origin(url: str) -> Origin:
    """Return the origin of a URL. Raises ValueError if the URL is not http or https, or its host is not ASCII."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or not parts.netloc.isascii():
        raise ValueError("its base_url must be an http or https URL with a host in ASCII")
    return Origin(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])

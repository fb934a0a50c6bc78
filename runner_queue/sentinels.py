"""A Redis address that names Sentinels: redis+sentinel://user:password@one:26379,two:26379/mymaster/0.

Sentinels are servers that watch a primary and its replicas, and promote a replica if the primary fails. Each new
connection asks them for the primary's address. User and password are the primary's; the Sentinels have their own, in
`sentinel_username` and `sentinel_password`. With rediss+sentinel:// all of these servers speak TLS.
"""

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis import Redis
from redis.connection import parse_url
from redis.sentinel import Sentinel

# redis ships types for a part of its functions.
# mypy: disable-error-code="no-untyped-call"

SCHEMES = ("redis+sentinel", "rediss+sentinel")
OPTIONS = ("sentinel_username", "sentinel_password")
PORT = 26379
# The longest wait for one Sentinel: they are asked one after the other, and the waits for silent ones add up.
SENTINEL_SECONDS = 1.0


def names_sentinels(url: str) -> bool:
    """Return whether a Redis address names Sentinels."""
    return url.partition("://")[0] in SCHEMES


def parts_of(url: str) -> SplitResult:
    """Return the parts of a Redis address. Raises ValueError if it can't be read.

    Newer releases of Python refuse an IPv6 address that is not the first of several hosts, so that the hosts of
    Sentinels are taken out before.
    """
    if not names_sentinels(url):
        return urlsplit(url)
    scheme, _, rest = url.partition("://")
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    return urlsplit(f"{scheme}://{rest[len(netloc) :]}")._replace(netloc=netloc)


def primarys_client(url: str, **limits: Any) -> Redis:
    """Return a client of the primary that the Sentinels of `url` name. `limits` are redis-py's; those of `url` win.

    A Sentinel has SENTINEL_SECONDS at most to connect, and as long again to answer.
    """
    parts = parts_of(url)
    login, at, hosts = parts.netloc.rpartition("@")
    service, _, number = parts.path.strip("/").partition("/")
    options = dict(parse_qsl(parts.query))
    own = {name.removeprefix("sentinel_"): options.pop(name) for name in OPTIONS if name in options}
    plain = f"{parts.scheme.removesuffix('+sentinel')}://{login}{at}primary/{number or 0}?{urlencode(options)}"
    given: dict[str, Any] = limits | parse_url(plain)
    del given["host"]
    tls = given.pop("connection_class", None) is not None
    shared = {name: value for name, value in given.items() if name.startswith(("socket_", "ssl_")) or name in limits}
    for name in ("socket_timeout", "socket_connect_timeout"):
        shared[name] = min(shared.get(name, SENTINEL_SECONDS), SENTINEL_SECONDS)
    sentinels = Sentinel(places(hosts), sentinel_kwargs={**shared, **own, "ssl": tls})
    client: Redis = sentinels.master_for(service, ssl=tls, **given)
    return client


def places(hosts: str) -> list[tuple[str, int]]:
    """Return host and port of each Sentinel in `one:26379,two`."""
    found = []
    for place in hosts.split(","):
        host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
        found.append((host.strip("[]"), int(port)) if colon else (place.strip("[]"), PORT))
    return found

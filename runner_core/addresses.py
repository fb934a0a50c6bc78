"""Checks the addresses of PostgreSQL and of the API before anything connects.

An address holds a password. After a typing mistake a library may take the password for the host, the port or an option,
and repeat it in its error message. So every check here has its own message, which contains no part of the address.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner_core.cells import cell_mistake
from runner_core.errors import ConfigError

LOCAL_HOSTS = frozenset({"", "localhost", "127.0.0.1", "::1"})
API_HOST, API_PORT = "127.0.0.1", 8090
DATABASE_FORM = "postgresql://user:password@host:5432/name"
ESCAPES = "in a user or a password write / as %2F, @ as %40, ? as %3F, # as %23, : as %3A and % as %25"
HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")

_DATABASE_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "sslnegotiation": ("postgres", "direct"),
}
_DATABASE_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_DATABASE_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def database_mistake(url: str) -> str:
    """Return the mistake in a PostgreSQL address, to be put after the setting's name; empty if there is none."""
    if mistake := character_mistake(url):
        return mistake
    scheme, separator, rest = url.partition("://")
    is_url = bool(separator) and "=" not in scheme
    if not is_url and "=" not in url:
        return f"is not an address: write {DATABASE_FORM}"
    if is_url:
        if "+" in scheme:
            return f"names a driver in its scheme: write {DATABASE_FORM}"
        if scheme not in ("postgresql", "postgres"):
            return f"has an unknown scheme: write {DATABASE_FORM}"
        if re.search(r"%(?![0-9A-Fa-f]{2})", rest):
            return "has a % that is not followed by two hexadecimal digits: write it as %25"
        if " " in rest:
            return "has a space in it: write it as %20"
        if "@" in rest.partition("/")[2].partition("?")[0]:
            return f"has an @ after its host: {ESCAPES}"
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:  # psycopg's message would repeat a part of the address
        return "can't be read: an option is not known, or " + (ESCAPES if is_url else "a value needs quotes")
    given = {name: str(value) for name, value in parts.items() if value is not None}
    return _database_parts_mistake(given, is_url=is_url)


def require_tls(url: str) -> str:
    """Return `url`, with `sslmode=require` added if its host is not local and the URL has no sslmode."""
    try:
        where = conninfo_to_dict(url)
    except ProgrammingError:  # database_mistake reports it
        return url
    hosts = str(where.get("host") or where.get("hostaddr") or "").split(",")
    if not url or "sslmode" in where or all(host in LOCAL_HOSTS or host.startswith("/") for host in hosts):
        return url
    if "://" not in url:  # libpq's other form: host=... dbname=...
        return f"{url} sslmode=require"
    behind_password = re.sub(r"^\w+://([^@/]*@)?", "", url)
    return f"{url}{'&' if '?' in behind_password else '?'}sslmode=require"


def _database_parts_mistake(parts: Mapping[str, str], *, is_url: bool) -> str:
    """Return the mistake in hosts, ports or options; empty if there is none."""
    sockets = "/" if is_url else ("/", "@")  # in a URL an @ ends the password
    for host in (parts.get("host", "") + "," + parts.get("hostaddr", "")).split(","):
        if host and not host.startswith(sockets) and not HOST.fullmatch(host):
            return f"has a character in its host that a host's name can't have: {ESCAPES}"
    for port in filter(None, parts.get("port", "").split(",")):
        if not is_port(port):
            return f"has a port that is not a number from 1 to 65535: write {DATABASE_FORM}"
    for name, choices in _DATABASE_CHOICES.items():
        if name in parts and parts[name] not in choices:
            return f"has an option {name} that is not one of {', '.join(choices)}"
    for name in _DATABASE_NUMBERS:
        if name in parts and not re.fullmatch(r"-?[0-9]{1,9}", parts[name]):
            return f"has an option {name} that is not a number"
    for name in _DATABASE_FILES:
        if name in parts and parts[name] not in ("", "system") and not os.access(parts[name], os.R_OK):
            return f"names a file in {name} that can't be read"
    return cell_mistake(parts.get("options", ""))


def character_mistake(url: str) -> str:
    """Return the mistake of an address, of any kind, that has a forbidden character; empty if there is none."""
    if url[:1] in "\"'" or url[-1:] in "\"'":
        return "has quotes around it: remove them"
    if not url.isprintable():
        return "has a line break or another unprintable character in it: remove it"
    return ""


def is_port(text: str) -> bool:
    """Return whether `text` is the number of a TCP port."""
    return bool(re.fullmatch(r"[0-9]{1,5}", text, re.ASCII)) and 1 <= int(text) <= 65535


def bind_mistake(bind: str) -> str:
    """Return the mistake in BIND, gunicorn's list of addresses to listen on; empty if there is none."""
    for place in bind.split(","):
        if not place.startswith(("unix:", "fd://")) and not is_port(place.rpartition(":")[2]):
            return f"must be host:port with a port from 1 to 65535, for example {API_HOST}:{API_PORT}"
    return ""


def api_bind(env: Mapping[str, str]) -> str:
    """Return the address on which the API listens: BIND, else PORT on 127.0.0.1. Raises ConfigError."""
    if bind := env.get("BIND", "").strip():
        if mistake := bind_mistake(bind):
            raise ConfigError([f"BIND {mistake}"])
        return bind
    port = env.get("PORT", "").strip() or str(API_PORT)
    if not is_port(port):
        raise ConfigError(["PORT is not a number from 1 to 65535"])
    return f"{API_HOST}:{port}"


def passwords_of(url: str) -> list[str]:
    """Return each password in an address of any kind, as written and percent-decoded. Works for wrong addresses too."""
    found = re.findall(r"://[^:@/]*:(.*)@", url) + re.findall(r"(?:\b|_)password=('[^']*'|[^ &]*)", url)
    written = {text.strip("'") for text in found}
    return [text for text in written | set(map(unquote, written)) if text]

"""Checks the addresses of PostgreSQL, Redis and the API before anything connects; says what is wrong without the value.

An address holds a password, and a mistake moves the password to where a library repeats it: into the host, the port or
an option. So every rule here has a sentence of its own, and no sentence has a part of the address.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner_core.errors import ConfigError

API_HOST, API_PORT = "127.0.0.1", 8090
DATABASE_FORM = "postgresql://user:password@host:5432/name"
REDIS_FORM = "redis://user:password@host:6379/0"
_ESCAPES = "in a user or a password write / as %2F, @ as %40, ? as %3F, # as %23, : as %3A and % as %25"
_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")
_WHOLE = re.compile(r"[0-9]{1,9}")

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

_TRUTH = re.compile(r"true|t|yes|y|on|1|false|f|no|n|off|0", re.IGNORECASE)
_TEXT = re.compile(r".+", re.DOTALL)
_REDIS_OPTIONS: Mapping[str, re.Pattern[str]] = {
    "db": _WHOLE,
    "username": _TEXT,
    "password": _TEXT,
    "client_name": _TEXT,
    "protocol": re.compile("[23]"),
    "socket_timeout": re.compile(r"[0-9]+(\.[0-9]+)?"),
    "socket_connect_timeout": re.compile(r"[0-9]+(\.[0-9]+)?"),
    "socket_keepalive": _TRUTH,
    "health_check_interval": _WHOLE,
}
_REDIS_TLS_OPTIONS: Mapping[str, re.Pattern[str]] = {
    "ssl_cert_reqs": re.compile("none|optional|required"),
    "ssl_check_hostname": _TRUTH,
    "ssl_ca_certs": _TEXT,
    "ssl_ca_path": _TEXT,
    "ssl_certfile": _TEXT,
    "ssl_keyfile": _TEXT,
    "ssl_password": _TEXT,
}
_REDIS_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


def database_mistake(url: str) -> str:
    """What is wrong with a PostgreSQL address, to be put behind its setting's name; empty when nothing is."""
    if mistake := _any_mistake(url):
        return mistake
    scheme, separator, rest = url.partition("://")
    is_url = bool(separator) and "=" not in scheme
    if not is_url and "=" not in url:
        return f"is no address: {DATABASE_FORM}"
    if is_url:
        if "+" in scheme:
            return f"names a driver in its scheme: {DATABASE_FORM}"
        if scheme not in ("postgresql", "postgres"):
            return f"has an unknown scheme: {DATABASE_FORM}"
        if re.search(r"%(?![0-9A-Fa-f]{2})", rest):
            return "has a % that is not followed by two hexadecimal digits: write it as %25"
        if " " in rest:
            return "has a space in it: write it as %20"
        if "@" in rest.partition("/")[2].partition("?")[0]:
            return f"has an @ behind its host: {_ESCAPES}"
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:  # its text repeats the part that it does not understand
        return "can't be read: an option is not known, or " + (_ESCAPES if is_url else "a value needs quotes")
    given = {name: str(value) for name, value in parts.items() if value is not None}
    return _database_parts_mistake(given, is_url=is_url)


def _database_parts_mistake(parts: Mapping[str, str], *, is_url: bool) -> str:
    """What is wrong with hosts, ports and options."""
    sockets = "/" if is_url else ("/", "@")  # in a URL an @ ends the password
    for host in (parts.get("host", "") + "," + parts.get("hostaddr", "")).split(","):
        if host and not host.startswith(sockets) and not _HOST.fullmatch(host):
            return f"has a character in its host that no host's name has: {_ESCAPES}"
    for port in filter(None, parts.get("port", "").split(",")):
        if not is_port(port):
            return f"has a port that is not a number from 1 to 65535: {DATABASE_FORM}"
    for name, choices in _DATABASE_CHOICES.items():
        if name in parts and parts[name] not in choices:
            return f"has an option {name} that is not one of {', '.join(choices)}"
    for name in _DATABASE_NUMBERS:
        if name in parts and not re.fullmatch(r"-?[0-9]{1,9}", parts[name]):
            return f"has an option {name} that is not a number"
    for name in _DATABASE_FILES:
        if name in parts and parts[name] not in ("", "system") and not os.access(parts[name], os.R_OK):
            return f"names a file in {name} that can't be read"
    return ""


def redis_mistake(url: str) -> str:
    """What is wrong with a Redis address, to be put behind its setting's name; empty when nothing is."""
    if mistake := _any_mistake(url):
        return mistake
    if " " in url:
        return "has a space in it: write it as %20"
    scheme, separator, _ = url.partition("://")
    if mistake := _redis_scheme_mistake(scheme, separator):
        return mistake
    if "#" in url:
        return f"has a # in it: {_ESCAPES}"
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # its text repeats a part of the address
        return f"can't be read: {_ESCAPES}"
    if "@" in parts.path or "@" in parts.query:
        return f"has an @ behind its host: {_ESCAPES}"
    return _redis_place_mistake(parts) or _redis_options_mistake(dict(options), tls=scheme == "rediss")


def _redis_scheme_mistake(scheme: str, separator: str) -> str:
    works = f"{REDIS_FORM}, rediss:// for TLS, unix:///path for a socket"
    if not separator:
        return f"has no scheme: {works}"
    if scheme in ("redis", "rediss", "unix"):
        return ""
    if "sentinel" in scheme.lower():
        return (
            "names Sentinels, which are not supported: give the address of the primary, or of a proxy that follows "
            f"the primary: {REDIS_FORM}"
        )
    if scheme.lower() in ("valkey", "valkeys"):
        return f"has the scheme of Valkey, which is reached by the same protocol: {works}"
    return f"has an unknown scheme: {works}"


def _redis_place_mistake(parts: SplitResult) -> str:
    """What is wrong with host, port and database."""
    where = parts.netloc.rpartition("@")[2]
    if parts.scheme == "unix":
        if where or not parts.path.strip("/"):
            return "names no socket: unix:///path/of/the/socket?db=0"
        return ""
    if "," in where:
        return f"names several hosts, of which only one can be used: {REDIS_FORM}"
    host, _, port = where.rpartition(":") if re.search(r":[^\]]*$", where) else (where, "", "")
    if port and not is_port(port):
        return f"has a port that is not a number from 1 to 65535: {REDIS_FORM}"
    if host and not _HOST.fullmatch(host.removeprefix("[").removesuffix("]")):
        return f"has a character in its host that no host's name has: {_ESCAPES}"
    if not re.fullmatch(r"/?|/[0-9]{1,9}", parts.path):
        return f"has a path that is not the number of a database: {REDIS_FORM}"
    return ""


def _redis_options_mistake(options: Mapping[str, str], *, tls: bool) -> str:
    known = {**_REDIS_OPTIONS, **(_REDIS_TLS_OPTIONS if tls else {})}
    if not tls and set(options) & set(_REDIS_TLS_OPTIONS):
        return "has options of TLS, which need rediss:// as its scheme"
    if set(options) - set(known):
        return f"has an option that is not known here: {', '.join(known)} are"
    for name, value in options.items():
        if not known[name].fullmatch(value):
            return f"has an option {name} that is not valid"
    for name in _REDIS_FILES:
        if name in options and not os.access(options[name], os.R_OK):
            return f"names a file in {name} that can't be read"
    return ""


def _any_mistake(url: str) -> str:
    if url[:1] in "\"'" or url[-1:] in "\"'":
        return "has quotes around it: remove them"
    if not url.isprintable():
        return "has a line's end or another character in it that can't be printed: remove it"
    return ""


def is_port(text: str) -> bool:
    """Whether `text` is the number of a TCP port."""
    return bool(re.fullmatch(r"[0-9]{1,5}", text, re.ASCII)) and 1 <= int(text) <= 65535


def bind_mistake(bind: str) -> str:
    """What is wrong with BIND, gunicorn's list of places to listen at; empty when nothing is."""
    for place in bind.split(","):
        if not place.startswith(("unix:", "fd://")) and not is_port(place.rpartition(":")[2]):
            return f"is not host:port with a port from 1 to 65535: {API_HOST}:{API_PORT}"
    return ""


def api_bind(env: Mapping[str, str]) -> str:
    """Where the API listens: BIND, else PORT of this machine alone. Raises ConfigError."""
    if bind := env.get("BIND", "").strip():
        if mistake := bind_mistake(bind):
            raise ConfigError([f"BIND {mistake}"])
        return bind
    port = env.get("PORT", "").strip() or str(API_PORT)
    if not is_port(port):
        raise ConfigError(["PORT is not a number from 1 to 65535"])
    return f"{API_HOST}:{port}"


def passwords_of(url: str) -> list[str]:
    """The password in an address of any kind, as it is written and as it is meant; also of an address with mistakes."""
    found = re.search(r"://[^:@/]*:(.*)@", url) or re.search(r"\bpassword=('[^']*'|[^ &]*)", url)
    written = found[1].strip("'") if found else ""
    return [text for text in {written, unquote(written)} if text]

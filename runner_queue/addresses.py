"""Checks the address of Redis before anything connects. The messages contain no part of the address.

All forms of REDIS_URL are checked here; runner_core/addresses.py has the rules for every address.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl

from runner_core.addresses import ESCAPES, HOST, character_mistake, is_port
from runner_core.environment import EnvironmentReader
from runner_core.errors import ConfigError, Mistakes
from runner_core.settings import Settings
from runner_queue.sentinels import OPTIONS, SCHEMES, names_sentinels, parts_of

REDIS_FORM = "redis://user:password@host:6379/0"
SENTINELS_FORM = "redis+sentinel://user:password@one:26379,two:26379/mymaster/0"
_WHOLE = re.compile(r"[0-9]{1,9}")
_TRUTH = re.compile(r"true|t|yes|y|on|1|false|f|no|n|off|0", re.IGNORECASE)
_TEXT = re.compile(r".+", re.DOTALL)
_REDIS_OPTIONS: dict[str, re.Pattern[str]] = {
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
_REDIS_TLS_OPTIONS: dict[str, re.Pattern[str]] = {
    "ssl_cert_reqs": re.compile("none|optional|required"),
    "ssl_check_hostname": _TRUTH,
    "ssl_ca_certs": _TEXT,
    "ssl_ca_path": _TEXT,
    "ssl_certfile": _TEXT,
    "ssl_keyfile": _TEXT,
    "ssl_password": _TEXT,
}
_REDIS_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


def redis_mistake(url: str) -> str:
    """Return the mistake in a Redis address, to be put after the setting's name; empty if there is none."""
    if mistake := character_mistake(url):
        return mistake
    if " " in url:
        return "has a space in it: write it as %20"
    scheme, separator, _ = url.partition("://")
    if mistake := _redis_scheme_mistake(scheme, separator):
        return mistake
    if "#" in url:
        return f"has a # in it: {ESCAPES}"
    try:
        parts = parts_of(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # its text repeats a part of the address
        return f"can't be read: {ESCAPES}"
    if "@" in parts.path or "@" in parts.query:
        return f"has an @ after its host: {ESCAPES}"
    place_mistake = _sentinels_place_mistake if names_sentinels(url) else _redis_place_mistake
    return place_mistake(parts) or _redis_options_mistake(dict(options), scheme)


def _redis_scheme_mistake(scheme: str, separator: str) -> str:
    works = f"write {REDIS_FORM}, rediss:// for TLS, unix:///path for a socket, {SENTINELS_FORM} for Sentinels"
    if not separator:
        return f"has no scheme: {works}"
    if scheme in ("redis", "rediss", "unix", *SCHEMES):
        return ""
    if scheme.lower() in ("valkey", "valkeys"):
        return f"has the scheme of Valkey, which speaks Redis's protocol: {works}"
    return f"has an unknown scheme: {works}"


def _redis_place_mistake(parts: SplitResult) -> str:
    """Return the mistake in host, port or database; empty if there is none."""
    where = parts.netloc.rpartition("@")[2]
    if parts.scheme == "unix":
        if where or not parts.path.strip("/"):
            return "names no socket: write unix:///path/of/the/socket?db=0"
        return ""
    if "," in where:
        return f"names several hosts: write {REDIS_FORM}, or {SENTINELS_FORM} where they are Sentinels"
    if mistake := _host_mistake(where, REDIS_FORM):
        return mistake
    if not re.fullmatch(r"/?|/[0-9]{1,9}", parts.path):
        return f"has a path that is not the number of a database: write {REDIS_FORM}"
    return ""


def _sentinels_place_mistake(parts: SplitResult) -> str:
    """Return the mistake in the Sentinels' hosts, the primary's name or the database; empty if there is none."""
    for where in parts.netloc.rpartition("@")[2].split(","):
        if not where:
            return f"names no Sentinel, or one without a host: write {SENTINELS_FORM}"
        if mistake := _host_mistake(where, SENTINELS_FORM):
            return mistake
    if not re.fullmatch(r"/[\w.-]+(/[0-9]{1,9})?", parts.path, re.ASCII):
        return f"does not name the primary by the Sentinels' name for it: write {SENTINELS_FORM}"
    return ""


def _host_mistake(where: str, form: str) -> str:
    """Return the mistake in `host:port` or `host`; empty if there is none."""
    host, _, port = where.rpartition(":") if re.search(r":[^\]]*$", where) else (where, "", "")
    if port and not is_port(port):
        return f"has a port that is not a number from 1 to 65535: write {form}"
    bare = host.removeprefix("[").removesuffix("]")
    if host and not (HOST.fullmatch(bare) and host in (bare, f"[{bare}]")):
        return f"has a character in its host that a host's name can't have: {ESCAPES}"
    return ""


def _redis_options_mistake(options: Mapping[str, str], scheme: str) -> str:
    tls = scheme.startswith("rediss")
    known = _REDIS_OPTIONS | (_REDIS_TLS_OPTIONS if tls else {})
    known |= dict.fromkeys(OPTIONS, _TEXT) if scheme in SCHEMES else {}
    if not tls and set(options) & set(_REDIS_TLS_OPTIONS):
        return f"has options of TLS: write {scheme.replace('redis', 'rediss', 1)}:// as its scheme"
    if set(options) - set(known):
        return f"has an unknown option; the known options are {', '.join(known)}"
    for name, value in options.items():
        if not known[name].fullmatch(value):
            return f"has an option {name} that is not valid"
    for name in _REDIS_FILES:
        if name in options and not os.access(options[name], os.R_OK):
            return f"names a file in {name} that can't be read"
    return ""


def settings_from(env: Mapping[str, str] = os.environ, process: str | None = None) -> Settings:
    """Return the settings of a process that uses Redis; `process` as in Settings.from_env.

    Raises ConfigError with all mistakes, also those of the other settings.
    """
    mistakes = Mistakes()
    settings = read_settings(EnvironmentReader(env, mistakes), process)
    if mistakes:
        raise ConfigError(mistakes)
    return settings


def read_settings(env: EnvironmentReader, process: str | None = None) -> Settings:
    """Return the settings, with the default of each one that has a mistake; `env` collects the mistakes."""
    settings = Settings.read(env, process)
    env.address("REDIS_URL", redis_mistake)
    if env.env.get("RQ_KEY_PREFIX", "").strip() not in ("", "rq"):
        env.mistakes.append(
            "RQ_KEY_PREFIX is set, but the prefix of RQ's keys can't be changed: unset RQ_KEY_PREFIX, and give each "
            "stack a Redis database of its own (the number at the end of REDIS_URL)"
        )
    if process is not None and not env.is_set("REDIS_URL"):
        env.mistakes.append(f"REDIS_URL is not set: set it to {REDIS_FORM}")
    return settings

"""A whole stack on this machine: servers, logins, processes. `up`, `demo` and tests use it.

with running_stack(home, env) as local:
    ...  # local.api_url answers; at the end everything is stopped, the databases last
"""

import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from runner_cli.child import free_port
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_cli.home import make_home, make_keys, secret
from runner_cli.listening import Address, api_address
from runner_cli.migrate import apply
from runner_cli.processes import OnLine, StackError, read_procfile
from runner_cli.shipped import PROCFILE
from runner_cli.stack import MAX_ENDS, Stack
from runner_core.cells import cell_of
from runner_core.environment import EnvironmentReader
from runner_core.errors import ConfigError, Mistakes
from runner_core.regions import load_catalogue
from runner_core.secret_files import PROCESSES
from runner_core.session import connect
from runner_queue.addresses import read_settings

READY_SECONDS = 90.0


@dataclass
class Servers:
    """The two servers' URLs (the database owner's), and those of the servers that we run ourselves."""

    database_url: str
    redis_url: str
    embedded: list[EmbeddedPostgres | EmbeddedValkey] = field(default_factory=list)

    def revive(self) -> None:
        """Start an embedded server again that has ended, on the same port with the same data."""
        for server in self.embedded:
            if server.pid is None:
                server.start()


@contextlib.contextmanager
def servers(home: Path, env: Mapping[str, str]) -> Iterator[Servers]:
    """PostgreSQL and Valkey: those of DATABASE_URL and REDIS_URL where set, else embedded ones with data in `home`."""
    with contextlib.ExitStack() as stop:
        found = Servers(env.get("DATABASE_URL", ""), env.get("REDIS_URL", ""))
        if not found.database_url:
            postgres = EmbeddedPostgres(home)
            stop.callback(postgres.stop)
            found.database_url = postgres.start()
            found.embedded.append(postgres)
        if not found.redis_url:
            valkey = EmbeddedValkey(home)
            stop.callback(valkey.stop)
            found.redis_url = valkey.start()
            found.embedded.append(valkey)
        yield found


def login_urls(home: Path, database_url: str) -> dict[str, str]:
    """DATABASE_URL_API, _PUBLISHER, _WORKER, _ANALYST: each process' own login, with the home's password for it."""
    parts = urlsplit(database_url)
    address, cell = parts.netloc.rpartition("@")[2], cell_of(database_url)
    return {
        f"DATABASE_URL_{process.upper()}": urlunsplit(
            parts._replace(netloc=f"{role}:{quote(secret(home, f'{role}.password'))}@{address}")
        )
        for process in PROCESSES
        if (role := cell.login(process))
    }


def set_passwords(home: Path, database_url: str) -> None:
    """Give the four logins of the migrated database the home's passwords; the server gets SCRAM verifiers only."""
    with connect(database_url, "logins") as conn:
        for role in map(cell_of(database_url).login, PROCESSES):
            conn.pgconn.change_password(role.encode(), secret(home, f"{role}.password").encode())


@dataclass(frozen=True)
class Local:
    """A running stack: where it is, and what a client of it needs."""

    home: Path
    api_url: str
    servers: Servers
    stack: Stack
    env: Mapping[str, str]

    @property
    def signing_key(self) -> Path:
        """A private key that the API trusts (unless TRUSTED_KEYS_FILE was given)."""
        return self.home / "signing.pem"

    @property
    def admin_token(self) -> str:
        return self.env["ADMIN_TOKENS"].split(",")[0].partition(":")[2]

    @property
    def database_url(self) -> str:
        """The URL of the database's owner."""
        return self.servers.database_url


@contextlib.contextmanager
def running_stack(
    home: Path,
    env: Mapping[str, str],
    counts: Mapping[str, int] | None = None,
    *,
    on_line: OnLine | None = None,
    procfile: Path = PROCFILE,
    max_ends: int = MAX_ENDS,
) -> Iterator[Local]:
    """The Procfile's processes with all they need, ready to take jobs; stopped at the end, the databases last.

    `env` is the whole environment. What it does not say is made: servers and logins (embedded), keys, a free PORT and
    free METRICS_PORTs. It must say REGIONS_FILE. Raises StackError when the stack can't be made ready, CommandError
    when the database can't be migrated, and what `check_environment` raises.
    """
    env = {"PORT": str(free_port()), **env}
    check_environment(env, counts, procfile)
    make_home(home)
    with servers(home, env) as found, contextlib.ExitStack() as stop:
        env = {**env, **make_keys(home, env), "DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}
        ours = any(isinstance(server, EmbeddedPostgres) for server in found.embedded)
        logins = login_urls(home, found.database_url) if ours else {}
        stack = Stack({**env, **logins}, home, counts, on_line=on_line, procfile=procfile, max_ends=max_ends)
        for address in (api_address(env), *(process.metrics for process in stack.processes())):
            _check_free(address)
        apply(found.database_url)
        if ours:  # an operator's own database has its logins from the operator
            set_passwords(home, found.database_url)
        stop.callback(stack.stop)
        stack.start()
        local = Local(home, f"http://{api_address(env).reached_at}", found, stack, env)
        wait_until_ready(local.api_url, stack)
        yield local


def check_environment(env: Mapping[str, str], counts: Mapping[str, int] | None, procfile: Path = PROCFILE) -> None:
    """Check `env` before anything is started. Raises ConfigError or StackError with every mistake."""
    mistakes = Mistakes()
    jobs = read_settings(EnvironmentReader(env, mistakes)).jobs
    where = mistakes.of(lambda: api_address(env))
    # The ports for metrics are looked at all the same, beside an API at its usual place.
    placed = env if where else {name: value for name, value in env.items() if name not in ("BIND", "PORT")}
    mistakes.of(lambda: read_procfile(procfile, placed, counts or {}))
    if jobs.regions_file:
        mistakes.of(lambda: load_catalogue(jobs.regions_file, allow_sandbox=jobs.allow_sandbox, env=env))
    if mistakes:
        raise ConfigError(mistakes)


def wait_until_ready(api_url: str, stack: Stack) -> None:
    """Return when /health/ready says 200. Raises StackError when the stack ends first, or after 90 seconds."""
    deadline = time.monotonic() + READY_SECONDS
    while stack.wait(0.05) is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            # The port is ours and on this machine: no proxy of the environment has a say in it.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"{api_url}/health/ready", timeout=10) as answer:
                if answer.status == 200:
                    return
        if time.monotonic() > deadline:
            raise StackError(f"The API at {api_url} was not ready within {READY_SECONDS:.0f} s.")
    raise StackError(stack.failure or "The stack was stopped before it was ready.")


def _check_free(address: Address) -> None:
    """Raise StackError unless a server can listen there."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            probe.bind(where)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not the name of a host"
        raise StackError(f"Port {address.port} can't be used ({reason}): set {address.setting} to another.") from None

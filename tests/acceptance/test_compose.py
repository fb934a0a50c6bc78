"""compose.yaml's services as far as they run without containers: its commands, its environment, its logins, its order.

Only addresses and files' places are replaced. What a container engine itself would do is not tested here.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runner_cli.binaries import postgres_programs, server_user
from runner_cli.child import free_port
from runner_core.keys import PrivateKey

if TYPE_CHECKING:
    from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
STAYING = ("api", "publisher", "worker_us", "worker_eu", "worker_asia", "analyst")


class Deployment:
    """The services as processes of this machine, given what .env and the mounts would give."""

    def __init__(self, folder: Path, postgres: "EmbeddedPostgres", valkey: "EmbeddedValkey") -> None:
        self.postgres, self.signing_key = postgres, folder / "signing.pem"
        self.variables = {
            "POSTGRES_PASSWORD": postgres.password,
            "BEACON_API_PASSWORD": "forTheApi",
            "BEACON_PUBLISHER_PASSWORD": "forThePublisher",
            "BEACON_WORKER_PASSWORD": "forTheWorkers",
            "BEACON_ANALYST_PASSWORD": "forTheAnalyst",
            "ALLOW_SANDBOX": "1",
        }
        self.port = free_port()
        self.places = {
            "@postgres:5432": f"@127.0.0.1:{postgres.port}",
            "redis://redis:6379/0": valkey.url,
            "0.0.0.0:8090": f"127.0.0.1:{self.port}",
            "/etc/beacon/regions.toml": str(ROOT / "regions/sandbox.toml"),
            "/etc/beacon/keys": str(folder),
            "/run/secrets/receipt_key": str(folder / "receipt.pem"),
            "/etc/beacon/logins.sql": str(ROOT / "ops/postgres/logins.sql"),
        }
        self.environments = {name: self._environment(name) for name in (*STAYING, "migrate", "logins")}
        PrivateKey.generate().save(folder / "receipt.pem")
        self.beacon("keygen", str(self.signing_key), "--trust", str(folder / "trusted-keys.json"))

    def value(self, text: str) -> str:
        """`text` with its ${VARIABLES} filled in and its addresses and places put on this machine."""
        text = re.sub(
            r"\$\{(\w+)(?::([-?])([^}]*))?\}",
            lambda found: self.variables.get(found[1]) or (found[3] if found[2] == "-" else ""),
            text,
        )
        for inside, here in self.places.items():
            text = text.replace(inside, here)
        return text

    def _environment(self, name: str) -> dict[str, str]:
        """The service's own environment, and nothing of ours but the way to Python."""
        own = {key: self.value(value) for key, value in SERVICES[name]["environment"].items()}
        if "METRICS_PORT" in own:
            own |= {"METRICS_PORT": str(free_port()), "METRICS_HOST": "127.0.0.1"}
        if "PGHOST" in own:
            own |= {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port)}
        return {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "PYTHONPATH": str(ROOT)} | own

    def command(self, name: str) -> list[str]:
        """The service's command; psql is the embedded server's."""
        words = self.value(SERVICES[name]["command"]).split()
        return [str(postgres_programs(server_user()) / "psql"), *words[1:]] if words[0] == "psql" else words

    def wait_until_healthy(self, name: str) -> None:
        """Repeat the service's own health check until it succeeds."""
        env = self.environments[name]
        ports = {":8090": f":{self.port}", ":9100": f":{env['METRICS_PORT']}"}
        _, *check = [re.sub(":8090|:9100", lambda found: ports[found[0]], word) for word in self._health(name)]
        deadline = time.monotonic() + 60
        while subprocess.run(check, env=env, stderr=subprocess.DEVNULL, check=False).returncode:
            assert time.monotonic() < deadline, f"{name} did not become healthy"

    def _health(self, name: str) -> list[str]:
        test: list[str] = SERVICES[name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        return test

    def beacon(self, *arguments: str) -> None:
        """Run a command of the CLI, which must succeed."""
        subprocess.run([sys.executable, "-m", "runner_cli", *arguments], cwd=ROOT, check=True)


@pytest.fixture
def deployment(home: Path, own_postgres: "EmbeddedPostgres", own_valkey: "EmbeddedValkey") -> Deployment:
    return Deployment(home, own_postgres, own_valkey)


@pytest.fixture
def api_url(deployment: Deployment, tmp_path: Path) -> Iterator[str]:
    """The healthy deployment's API; everything is stopped afterwards, and must have stopped well."""
    for name in ("migrate", "logins", "migrate", "logins"):  # every start of the stack repeats them
        subprocess.run(deployment.command(name), env=deployment.environments[name], cwd=tmp_path, check=True)
    running = [
        subprocess.Popen(deployment.command(name), env=deployment.environments[name], cwd=tmp_path) for name in STAYING
    ]
    try:
        for name in STAYING:
            deployment.wait_until_healthy(name)
        yield f"http://127.0.0.1:{deployment.port}"
    finally:
        for process in running:
            process.terminate()
        assert [process.wait(40) for process in running] == [0] * len(running)


def test_a_job_goes_through_it(deployment: Deployment, api_url: str) -> None:
    key = str(deployment.signing_key)
    deployment.beacon("canary", "--url", api_url, "--key", key, "--database", deployment.postgres.url)


def test_logins_say_what_is_missing(deployment: Deployment, tmp_path: Path) -> None:
    environments = deployment.environments
    subprocess.run(deployment.command("migrate"), env=environments["migrate"], cwd=tmp_path, check=True)
    del environments["logins"]["BEACON_WORKER_PASSWORD"]
    done = subprocess.run(
        deployment.command("logins"),
        env=environments["logins"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "beacon_worker" in done.stderr

"""The files of ops/ha are what HAProxy and Patroni take, and what the drill starts. `make ha-drill` runs them."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from runner_cli.child import free_port
from runner_queue.addresses import redis_mistake
from tests.conftest import SYSTEM_PATH

FILES = Path(__file__).parents[2] / "ops/ha"
PATRONI: dict[str, Any] = yaml.safe_load((FILES / "patroni.yml").read_text())
NAMES = ("db1", "db2", "db3")


@pytest.fixture
def network() -> Iterator[str]:
    """A network of loopback addresses of this test's own, in which three etcds seem to listen."""
    found = f"127.{192 + os.getpid() % 60}.{os.getpid() // 60 % 250}"
    with ExitStack() as stop:
        for number in (1, 2, 3):
            stop.enter_context(socket.create_server((f"{found}.{number}", 2379)))
        yield found


@pytest.fixture
def placed(network: str, tmp_path: Path) -> Path:
    """The files with addresses in place of the machines' names."""
    for source in FILES.glob("*.*"):
        text = source.read_text()
        for number, name in enumerate(NAMES, 1):
            text = text.replace(f"{name}.internal", f"{network}.{number}")
        (tmp_path / source.name).write_text(text)
    return tmp_path


def checked(*command: str, **env: str) -> str:
    """What a program says of a file. It must take the file."""
    own = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"} | env
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.needs("haproxy")
def test_haproxy_takes_its_file(placed: Path) -> None:
    said = checked("haproxy", "-c", "-f", str(placed / "haproxy.cfg"), REDIS_PASSWORD="x")
    assert "valid" in said
    assert "WARNING" not in said


@pytest.mark.needs("patroni", "postgres")
def test_patroni_takes_its_file(placed: Path, network: str, tmp_path: Path) -> None:
    bin_dir = max(Path("/usr/lib/postgresql").glob("*/bin"))
    own = {
        "NAME": "db1",
        "RESTAPI_LISTEN": f"{network}.1:8008",
        "RESTAPI_CONNECT_ADDRESS": f"{network}.1:8008",
        "POSTGRESQL_LISTEN": f"{network}.1:5432",
        "POSTGRESQL_CONNECT_ADDRESS": f"{network}.1:5432",
        "POSTGRESQL_DATA_DIR": str(tmp_path / "postgresql"),
        "POSTGRESQL_BIN_DIR": str(bin_dir),
        **{f"{role}_PASSWORD": "x" for role in ("SUPERUSER", "REPLICATION", "REWIND")},
    }
    variables = {f"PATRONI_{name}": value for name, value in own.items()}
    said = checked("patroni", "--validate-config", str(placed / "patroni.yml"), **variables)
    assert said.strip() == ""


def test_a_leader_may_be_silent_for_a_loop_and_its_retries() -> None:
    """Patroni's own rule; with a shorter ttl a slow etcd would cost a leader its lead."""
    dcs = PATRONI["bootstrap"]["dcs"]
    assert dcs["ttl"] >= dcs["loop_wait"] + 2 * dcs["retry_timeout"]
    assert dcs["synchronous_mode"] is True


def test_no_file_has_a_password_and_all_name_the_same_machines() -> None:
    for source in FILES.glob("*.*"):
        text = source.read_text()
        assert not re.search(r"(?i)(?<!_)password:\s*\S", text), source.name
        assert set(re.findall(r"\b(\w+)\.internal", text)) <= set(NAMES), source.name
    assert set(re.findall(r"(?m)^(?:requirepass|masterauth) (.*)$", (FILES / "redis.conf").read_text())) == {
        "CHANGE_ME"
    }


@pytest.mark.needs("redis-server")
def test_redis_leaves_haproxy_its_address_on_the_same_machine(placed: Path, network: str) -> None:
    """HAProxy listens at 127.0.0.1 with the port of Redis."""
    port = free_port()
    command = ["redis-server", str(placed / "redis.conf"), "--port", str(port)]
    redis = subprocess.Popen(command, cwd=placed, env={"PATH": SYSTEM_PATH}, stdout=subprocess.PIPE, text=True)
    try:
        assert redis.stdout
        assert any("Ready to accept connections" in line for line in redis.stdout)
        socket.create_connection((f"{network}.1", port)).close()
        socket.create_server(("127.0.0.1", port)).close()
    finally:
        redis.kill()
        redis.communicate()


def test_etcd_listens_at_addresses_since_it_takes_no_names() -> None:
    lines = dict(line.split("=", 1) for line in (FILES / "etcd.env").read_text().splitlines() if "=" in line)
    listened = [urlsplit(url).hostname or "" for name, url in lines.items() if name.startswith("ETCD_LISTEN_")]
    assert [str(ip_address(host)) for host in listened] == listened != []


def test_nobody_chooses_a_master_without_the_password() -> None:
    lines = (FILES / "sentinel.conf").read_text().splitlines()
    assert {"requirepass CHANGE_ME", "sentinel sentinel-pass CHANGE_ME"} <= set(lines)


def test_haproxy_asks_both_kinds_of_server_for_the_primary() -> None:
    text = (FILES / "haproxy.cfg").read_text()
    assert "httpchk OPTIONS /primary" in text
    assert "role:master" in text
    for port in (5432, 6379):
        assert [text.count(f"server {name} {name}.internal:{port}") for name in NAMES] == [1, 1, 1]
    assert redis_mistake("redis://:x@127.0.0.1:6379/0") == ""

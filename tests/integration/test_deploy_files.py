"""The files that deploy the project say what the code says: compose, image, alerts, dashboard, Makefile."""

import importlib.util
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from runner_api.server.serve import Configuration
from runner_core import telemetry
from runner_core.settings import Settings
from runner_queue.addresses import settings_from
from tests.reference import labels_of

ROOT = Path(__file__).parents[2]
PROCFILE = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "beacon-runner"}
WORKERS = [name for name in PROCFILE if name.startswith("worker")]


class Recorder(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary's."""
        self.asked.add(name)
        return super().get(name, default)


def known_variables() -> set[str]:
    """Every variable that a process of ours reads."""
    regions = str(ROOT / "regions/sandbox.toml")
    servers = {"DATABASE_URL": "postgresql://127.0.0.1/d", "REDIS_URL": "redis://127.0.0.1/0"}
    env = Recorder(**servers, REGIONS_FILE=regions, ALLOW_SANDBOX="1", TRUST_ENFORCE="0")
    for process in ("publisher", "worker"):
        settings_from(env, process=process)
    Configuration.from_env(env)
    return env.asked


def chart_lines() -> dict[str, str]:
    """The command of each process that the chart makes for three regions, and of its migration."""
    documents = yaml.safe_load_all((ROOT / "ops/helm-check/rendered.yaml").read_text())
    made = [document for document in documents if document["kind"] in ("Deployment", "Job")]
    return {
        document["metadata"]["labels"]["app.kubernetes.io/component"]: " ".join(container["command"])
        for document in made
        for container in document["spec"]["template"]["spec"]["containers"]
    }


def test_procfile_compose_chart_and_fly_run_the_same_lines() -> None:
    compose = {name: service["command"] for name, service in OURS.items()}
    fly = tomllib.loads((ROOT / "ops/fly.toml").read_text())
    lines = {name: re.sub(r"^env (\w+=\w+ )+", "", line) for name, line in fly["processes"].items()}
    expected = PROCFILE | {"migrate": "beacon migrate"}
    assert compose == expected
    assert chart_lines() == expected
    assert lines | {"migrate": fly["deploy"]["release_command"]} == expected


class TestCompose:
    @pytest.mark.parametrize("command", PROCFILE.values())
    def test_every_command_exists(self, command: str) -> None:
        words = command.split()
        if words[0] == "python":
            assert importlib.util.find_spec(f"{words[2]}.__main__")
        else:
            assert words[0] in PYPROJECT["project"]["scripts"]
            assert importlib.util.find_spec(f"runner_cli.{words[1]}")

    @pytest.mark.parametrize("name", OURS)
    def test_sets_no_variable_that_nobody_reads(self, name: str) -> None:
        assert set(OURS[name].get("environment", {})) <= known_variables()

    @pytest.mark.parametrize("name", OURS)
    def test_every_process_has_its_own_login(self, name: str) -> None:
        role = {"migrate": "beacon"}.get(name, f"beacon_{name.partition('_')[0]}")
        assert OURS[name]["environment"]["DATABASE_URL"].startswith(f"postgresql://{role}:")

    @pytest.mark.parametrize("name", WORKERS)
    def test_workers_scale(self, name: str) -> None:
        assert not {"container_name", "hostname", "ports", "deploy"} & set(OURS[name])

    def test_starts_in_order(self) -> None:
        order = {
            name: {other: after["condition"] for other, after in service.get("depends_on", {}).items()}
            for name, service in SERVICES.items()
            if name != "grafana"
        }
        done, healthy = "service_completed_successfully", "service_healthy"
        assert order["migrate"] == {"postgres": healthy}
        assert order["logins"] == {"migrate": done}
        assert order["api"] == order["analyst"] == {"logins": done}
        for name in ("publisher", *WORKERS):
            assert order[name] == {"logins": done, "redis": healthy}

    @pytest.mark.parametrize("name", [*PROCFILE, "postgres", "redis"])
    def test_everything_that_stays_has_a_health_check(self, name: str) -> None:
        assert SERVICES[name]["healthcheck"]["test"]
        assert SERVICES[name]["restart"] == "unless-stopped"

    def test_redis_keeps_and_never_evicts(self) -> None:
        assert {"--appendonly yes", "--maxmemory-policy noeviction"} <= set(
            re.findall(r"--[a-z-]+ [a-z]+", SERVICES["redis"]["command"])
        )

    @pytest.mark.parametrize("name", PROCFILE)
    def test_a_process_may_end_in_its_own_time(self, name: str) -> None:
        own_seconds = Settings.from_env({}).process.stop_grace_seconds
        assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > own_seconds + 2

    def test_only_workers_have_provider_keys_and_the_receipt_key(self) -> None:
        assert {name for name, service in SERVICES.items() if "env_file" in service or "secrets" in service} == set(
            WORKERS
        )

    def test_variables_without_a_default_are_in_the_example(self) -> None:
        text = (ROOT / "compose.yaml").read_text()
        example = (ROOT / "ops/compose.env.example").read_text()
        asked = set(re.findall(r"\$\{([A-Z_]+)(?::\?|\})", text))
        assert asked == {line.partition("=")[0] for line in example.splitlines() if line.endswith("PASSWORD=")}

    def test_mounted_files_exist(self) -> None:
        text = (ROOT / "compose.yaml").read_text()
        mounted = re.findall(r"(?<![\w/])\./((?:ops|regions)/[\w./-]*)", text)
        assert mounted
        for path in mounted:
            assert (ROOT / path).exists(), path


class TestImage:
    def test_copies_what_the_package_needs_and_the_build_may_see_it(self) -> None:
        copied = {
            word
            for line in (ROOT / "Dockerfile").read_text().splitlines()
            if line.startswith("COPY ") and "--from" not in line
            for word in line.split()[1:-1]
        }
        setuptools = PYPROJECT["tool"]["setuptools"]
        packages = {name.partition(".")[0] for name in setuptools["packages"]} | set(setuptools["package-dir"].values())
        linked = {path.name for package in packages for path in (ROOT / package).glob("*") if path.is_symlink()}
        assert copied == packages | linked | {"pyproject.toml", PYPROJECT["project"]["readme"], "LICENSE", "ops/image"}
        seen = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        assert seen == copied

    def test_its_python_is_new_enough(self) -> None:
        versions = re.findall(r"^FROM python:(\d+)\.(\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert versions
        assert all((int(major), int(minor)) >= (3, 11) for major, minor in versions)


def declared() -> dict[str, tuple[str, ...]]:
    """Every sample name that telemetry can export, with its labels."""
    samples: dict[str, tuple[str, ...]] = {}
    for metric in vars(telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            suffixes = {Counter: ["_total"], Gauge: [""], Histogram: ["_bucket", "_sum", "_count"]}[type(metric)]
            (family,) = metric.describe()
            samples |= {family.name + suffix: labels_of(metric) for suffix in suffixes}
    return samples


PROMQL = {"sum", "max", "min", "count", "and", "or", "unless", "offset", "increase", "rate", "histogram_quantile"}
PROMQL |= {"absent", "vector", "max_over_time"}
ADDED = {"le", "job", "instance", "kind", "process"}  # by histograms, Prometheus and the scrape configuration


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every alert and every panel."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in json.loads((ROOT / "ops/grafana/dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


class TestMonitoring:
    @pytest.mark.parametrize(("where", "expression"), list(expressions()))
    def test_every_metric_and_label_exists(self, where: str, expression: str) -> None:
        samples = {"up": ()} | declared()
        text = re.sub(r'"[^"]*"', "", expression)
        labels = {name for group in re.findall(r"\{([^}]*)\}", text) for name in re.findall(r"(\w+)\s*[=!]", group)}
        text = re.sub(r"\{[^}]*\}", "", text)
        for group in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", text):
            labels |= set(re.findall(r"\w+", group))
        text = re.sub(r"\b(?:by|on)\s*\([^)]*\)", "", text)
        names = set(re.findall(r"[a-z_]\w*", re.sub(r"\b\d+[smhd]\b", "", text))) - PROMQL
        assert names
        assert names <= set(samples)
        assert labels <= ADDED.union(*(samples[name] for name in names))

    def test_every_metric_is_told_by_the_processes_that_measure_it(self) -> None:
        told = {metric for metrics in telemetry.MEASURED.values() for metric in metrics}
        assert told == {metric for metric in vars(telemetry).values() if isinstance(metric, MetricWrapperBase)}

    def test_dead_messages_are_looked_for_where_they_are_listed(self) -> None:
        [dead] = [rule for rule in rules() if rule["alert"] == "OutboxDead"]
        assert "GET /admin/dead " in dead["annotations"]["action"]

    @pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
    def test_every_alert_says_what_to_do(self, rule: dict[str, Any]) -> None:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action", "runbook_url"}

    def test_prometheus_finds_every_process(self) -> None:
        (job,) = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())["scrape_configs"]
        assert {name for found in job["dns_sd_configs"] for name in found["names"]} == set(PROCFILE)

    def test_the_dashboard_uses_the_source_that_is_provisioned(self) -> None:
        (source,) = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())[
            "datasources"
        ]
        dashboard = (ROOT / "ops/grafana/dashboard.json").read_text()
        uids = re.findall(r'"type": "prometheus",\s*"uid": "([^"]+)"', dashboard)
        assert set(uids) == {source["uid"]}


@pytest.mark.needs("promtool")
class TestAlerts:
    """promtool runs alerts_test.yml, and must miss each alert that never comes or never goes."""

    @pytest.fixture
    def promtool(self, tmp_path: Path) -> Any:
        for name in ("alerts.yml", "alerts_test.yml", "prometheus.yml"):
            shutil.copy(ROOT / "ops/prometheus" / name, tmp_path)

        def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [str(shutil.which("promtool")), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
            )

        return run

    def test_the_files_are_valid(self, promtool: Any) -> None:
        assert "SUCCESS" in promtool("check", "config", "prometheus.yml").stdout

    def test_every_case_holds(self, promtool: Any) -> None:
        done = promtool("test", "rules", "alerts_test.yml")
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize("expression", ["vector(1) < 0", "vector(1)"], ids=["never", "always"])
    @pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
    def test_the_cases_would_miss_it(self, promtool: Any, tmp_path: Path, alert: str, expression: str) -> None:
        content = yaml.safe_load((tmp_path / "alerts.yml").read_text())
        for group in content["groups"]:
            for rule in group["rules"]:
                if rule["alert"] == alert:
                    rule["expr"] = expression
        (tmp_path / "alerts.yml").write_text(yaml.safe_dump(content))
        cases = yaml.safe_load((tmp_path / "alerts_test.yml").read_text())
        quiet, *others = cases["tests"]
        cases["tests"] = [quiet, *(case for case in others if alert in str(case))]  # these must be enough
        (tmp_path / "alerts_test.yml").write_text(yaml.safe_dump(cases))
        done = promtool("test", "rules", "alerts_test.yml")
        assert done.returncode == 1
        assert alert in done.stdout + done.stderr


class TestTools:
    def test_every_make_target_has_its_line_of_help(self) -> None:
        text = (ROOT / "Makefile").read_text()
        targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
        assert targets == set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
        phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
        assert phony
        assert targets == set(phony[1].split())

    def test_hooks_fetch_nothing(self) -> None:
        hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
        assert [repo["repo"] for repo in hooks["repos"]] == ["local"]

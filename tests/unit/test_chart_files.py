"""What the chart renders for three regions, and fly.toml, say what the code says. `make chart` validates the chart."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner_core.regions import load_catalogue
from runner_core.settings import Settings, defaults

ROOT = Path(__file__).parents[2]
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "ops/helm-check/rendered.yaml").read_text()))
VALUES = yaml.safe_load((ROOT / "ops/helm/values.yaml").read_text())
FLY = tomllib.loads((ROOT / "ops/fly.toml").read_text())
COMPONENT = "app.kubernetes.io/component"
REGIONS = load_catalogue(ROOT / "regions/example.toml", allow_sandbox=False).regions
WORKERS = {f"worker_{region.lower()}" for region in REGIONS}
PROCESSES = {"api", "publisher", "analyst"} | WORKERS
LISTEN = "LISTEN_DATABASE_URL"
OWN_SECONDS = Settings.from_env({}).process.stop_grace_seconds


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The documents of a kind by component."""
    return {d["metadata"]["labels"][COMPONENT]: d for d in DOCUMENTS if d["kind"] == kind}


DEPLOYMENTS = of_kind("Deployment")
PODS = {name: made["spec"]["template"]["spec"] for name, made in (DEPLOYMENTS | of_kind("Job")).items()}


def container(name: str) -> dict[str, Any]:
    (only,) = PODS[name]["containers"]
    found: dict[str, Any] = only
    return found


def secrets_of(name: str) -> dict[str, str]:
    """The variables that come from Secrets, with the Secret of each; a whole Secret's is called *."""
    made = container(name)
    whole = [("*", source["secretRef"]["name"]) for source in made.get("envFrom", [])]
    return dict(whole) | {v["name"]: v["valueFrom"]["secretKeyRef"]["name"] for v in made["env"] if "valueFrom" in v}


def test_each_process_has_a_deployment_a_budget_and_a_policy() -> None:
    assert set(DEPLOYMENTS) == set(of_kind("PodDisruptionBudget")) == PROCESSES
    assert set(of_kind("NetworkPolicy")) == PROCESSES | {"migrate"}
    assert {d["spec"]["maxUnavailable"] for d in of_kind("PodDisruptionBudget").values()} == {1}


def test_a_process_gets_its_own_url_and_no_other_secret() -> None:
    both = ("DATABASE_URL", "REDIS_URL")
    assert secrets_of("migrate") == {"DATABASE_URL": "beacon-owner"}
    assert secrets_of("analyst") == {"DATABASE_URL": "beacon-analyst"}
    assert secrets_of("publisher") == dict.fromkeys((*both, LISTEN), "beacon-publisher")
    own = ("DATABASE_URL", LISTEN, "ADMIN_TOKENS", "READ_TOKENS")
    assert secrets_of("api") == dict.fromkeys(own, "beacon-api")
    for name in WORKERS:
        keys = f"beacon-provider-keys-{name.removeprefix('worker_')}"
        assert secrets_of(name) == dict.fromkeys(both, "beacon-worker") | {"*": keys}
    assert not [d for d in DOCUMENTS if d["kind"] == "Secret"]


@pytest.mark.parametrize("name", sorted(PODS))
def test_no_variable_is_set_twice(name: str) -> None:
    names = [variable["name"] for variable in container(name)["env"]]
    assert len(names) == len(set(names))


def test_who_listens_may_have_an_address_beside_the_poolers() -> None:
    """The others would read it and not use it. Without PgBouncer the Secret has no such member."""
    given = {name: [v for v in container(name)["env"] if v["name"] == LISTEN] for name in PODS}
    assert {name for name, found in given.items() if found} == {"api", "publisher"}
    assert all(v["valueFrom"]["secretKeyRef"]["optional"] for found in given.values() for v in found)


def test_only_workers_have_the_receipt_key() -> None:
    secrets = {name: {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v} for name, pod in PODS.items()}
    assert {name for name, mounted in secrets.items() if "beacon-receipt-key" in mounted} == WORKERS


@pytest.mark.parametrize("name", sorted(PODS))
def test_every_pod_can_read_the_authorities_of_the_installation(name: str) -> None:
    assert {"name": "tls", "mountPath": "/etc/beacon/tls", "readOnly": True} in container(name)["volumeMounts"]
    [volume] = [volume["secret"] for volume in PODS[name]["volumes"] if volume["name"] == "tls"]
    assert volume == {"secretName": "beacon-tls", "defaultMode": 0o440}, "libpq refuses a key that others can read"


@pytest.mark.parametrize("name", sorted([*PROCESSES, "migrate"]))
def test_a_pod_may_write_nowhere_but_into_its_own_folder(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for made in (*pod["containers"], *pod.get("initContainers", [])):
        assert made["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    empty = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    writable = {m["name"] for m in container(name)["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"tmp"} <= empty


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_process_is_probed_where_it_answers_and_may_end_in_its_own_time(name: str) -> None:
    made = container(name)
    (port,) = made["ports"]
    variables = {variable["name"]: variable.get("value", "") for variable in made["env"]}
    assert variables["BIND" if name == "api" else "METRICS_PORT"].endswith(str(port["containerPort"]))
    asked = {kind: made[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in asked.values()} == {port["name"]}
    assert [probe["path"] for probe in asked.values()] == ["/health/live", "/health/live", "/health/ready"]
    startup = made["startupProbe"]
    waiting = float(variables.get("PROBE_SECONDS", Settings.from_env({}).process.probe_seconds))
    assert waiting + 50 < startup["periodSeconds"] * startup["failureThreshold"] < waiting + 70
    assert PODS[name]["terminationGracePeriodSeconds"] > float(variables["STOP_GRACE_SECONDS"]) + 5
    assert set(variables) <= set(defaults())


def test_the_api_stays_in_its_service_for_longer_than_a_failover() -> None:
    """A pod that has left is a refused connection; one that is there answers 503 with Retry-After."""
    ttl = yaml.safe_load((ROOT / "ops/ha/patroni.yml").read_text())["bootstrap"]["dcs"]["ttl"]
    patience = {name: made["periodSeconds"] * made["failureThreshold"] for name, made in readiness().items()}
    assert patience.pop("api") > 3 * ttl
    assert set(patience.values()) == {20}


def readiness() -> dict[str, dict[str, Any]]:
    return {name: container(name)["readinessProbe"] for name in PROCESSES}


def test_keda_owns_the_number_of_workers() -> None:
    scaled = of_kind("ScaledObject")
    assert set(scaled) == WORKERS
    assert {name for name, made in DEPLOYMENTS.items() if "replicas" not in made["spec"]} == WORKERS
    for name, made in scaled.items():
        spec = made["spec"]
        assert spec["scaleTargetRef"] == {"name": DEPLOYMENTS[name]["metadata"]["name"]}
        assert spec["minReplicaCount"] == spec["fallback"]["replicas"] >= 1
        region = container(name)["command"][-1]
        [asked] = [trigger["metadata"] for trigger in spec["triggers"]]
        assert asked["query"] == f'max(region_queue_depth{{region="{region}",namespace="beacon"}})'
        assert asked["ignoreNullValues"] == "false", "without a publisher there is no series, and KEDA falls back"


def test_only_publisher_and_workers_reach_redis_and_only_workers_the_providers() -> None:
    ports = {
        name: {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        for name, policy in of_kind("NetworkPolicy").items()
    }
    redis = {6379, 26379}
    assert {name for name, reached in ports.items() if redis <= reached} == WORKERS | {"publisher"}
    assert all(redis <= reached or not redis & reached for reached in ports.values())
    assert {name for name, reached in ports.items() if 443 in reached} == WORKERS
    assert all(5432 in reached for reached in ports.values())


def test_the_migration_is_a_hook_and_so_is_its_policy_before_it() -> None:
    hook = of_kind("Job")["migrate"]["metadata"]["annotations"]
    policy = of_kind("NetworkPolicy")["migrate"]["metadata"]["annotations"]
    assert hook["helm.sh/hook"] == policy["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(policy["helm.sh/hook-weight"]) < int(hook.get("helm.sh/hook-weight", 0))
    assert policy["helm.sh/hook-delete-policy"] == "before-hook-creation"
    others = [policy for name, policy in of_kind("NetworkPolicy").items() if name != "migrate"]
    assert not any("annotations" in policy["metadata"] for policy in others)


def test_going_back_runs_no_migration() -> None:
    hooks = {d["metadata"].get("annotations", {}).get("helm.sh/hook", "") for d in DOCUMENTS}
    assert not [hook for hook in hooks if "rollback" in hook]
    assert "--skip-release-command" in (ROOT / "docs/kubernetes.md").read_text()


def test_the_chart_stops_as_the_processes_do() -> None:
    assert VALUES["stopGraceSeconds"] == OWN_SECONDS


def test_fly_knows_every_setting_and_process_that_it_names() -> None:
    named = [*FLY["metrics"], *FLY["restart"], FLY["http_service"], FLY["checks"]["loops"]]
    assert {name for part in named for name in part["processes"]} == set(FLY["processes"])
    assert set(FLY["env"]) <= set(defaults())
    assert FLY["kill_signal"] == "SIGTERM"
    assert FLY["kill_timeout"] > OWN_SECONDS + 2
    assert FLY["http_service"]["internal_port"] == int(FLY["env"]["BIND"].rpartition(":")[2])


def test_fly_gives_the_analyst_the_time_that_the_chart_gives_and_names_every_key_of_a_provider() -> None:
    given = dict(word.split("=") for word in FLY["processes"]["analyst"].split() if "=" in word)
    assert given == VALUES["analyst"]["env"]
    header = (ROOT / "ops/fly.toml").read_text().partition("app =")[0]
    providers = tomllib.loads((ROOT / FLY["files"][0]["local_path"]).read_text())["providers"]
    keys = {provider["api_key_env"] for provider in providers}
    assert {key for key in keys if f"{key}=..." in header} == keys


def test_the_tools_are_pinned_by_hash_and_no_registry_is_named() -> None:
    packages = json.loads((ROOT / "ops/helm-check/package-lock.json").read_text())["packages"]
    wanted = packages.pop("")["devDependencies"]
    assert wanted == json.loads((ROOT / "ops/helm-check/package.json").read_text())["devDependencies"]
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not [name for name, package in packages.items() if "resolved" in package]

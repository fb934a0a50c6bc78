"""docs/kubernetes.md's scrape configuration finds each process that the chart makes, as the alerts want it."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/kubernetes.md").read_text()
[SCRAPE] = yaml.safe_load(re.findall(r"```yaml\n(- job_name.*?)```", PAGE, re.DOTALL)[0])
DOCUMENTS = list(yaml.safe_load_all((ROOT / "ops/helm-check/rendered.yaml").read_text()))
PODS = {d["metadata"]["name"]: d["spec"]["template"] for d in DOCUMENTS if d["kind"] in ("Deployment", "Job")}


def discovered() -> list[dict[str, str]]:
    """The labels of each target of the role pod: one a port, and one for a container without a port."""
    found = []
    for template in PODS.values():
        labels = {
            f"__meta_kubernetes_pod_label_{re.sub('[^A-Za-z0-9_]', '_', name)}": value
            for name, value in template["metadata"]["labels"].items()
        }
        spec = template["spec"]
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            for port in container.get("ports", [{}]):
                found.append({**labels, "__meta_kubernetes_pod_container_port_name": port.get("name", "")})
    return found


def relabelled(target: dict[str, str]) -> dict[str, str] | None:
    """The target after the rules keep and replace; None if a rule drops the target."""
    rule: dict[str, Any]
    for rule in SCRAPE["relabel_configs"]:
        value = ";".join(target.get(label, "") for label in rule["source_labels"])
        if not re.fullmatch(rule.get("regex", "(.*)"), value):
            if rule.get("action") == "keep":
                return None
        elif rule.get("action") != "keep":
            target = {**target, rule["target_label"]: value}
    return target


def test_each_process_is_one_target_under_its_own_kind_and_nothing_else_is() -> None:
    kept = [target["kind"] for target in map(relabelled, discovered()) if target]
    assert len(discovered()) > len(kept), "the migration and the init containers have no port"
    deployments = [d["metadata"]["labels"] for d in DOCUMENTS if d["kind"] == "Deployment"]
    assert sorted(kept) == sorted(labels["app.kubernetes.io/component"] for labels in deployments)


def test_the_alerts_ask_for_its_job_and_its_kinds() -> None:
    alerts = (ROOT / "ops/prometheus/alerts.yml").read_text()
    assert set(re.findall(r'job="(\w+)"', alerts)) == {SCRAPE["job_name"]}
    written = {rule.get("target_label") for rule in SCRAPE["relabel_configs"]}
    values = yaml.safe_load((ROOT / "ops/helm-check/three-regions.yaml").read_text())
    assert {"kind", *values["autoscaling"]["labels"]} <= written

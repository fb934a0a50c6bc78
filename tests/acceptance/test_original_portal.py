"""A job as the original portal signs it: no version at the top, one in the benchmark, and fields that only it knows."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from runner_cli.local import Local
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.http_requests import request
from tests.jobs import query, until

FIELD = json.loads((Path(__file__).parent.parent / "data/signature_vectors.json").read_text())
WALLET = {
    "signature": "",
    "expiresAt": "2026-12-31T00:00:00.000Z",
    "address": "0x67f3d16a91991cf169920f1e79f78e66708da328",
    "chainId": 1,
    "message": "Authorize Project Beacon key",
}


def portal_job(key: PrivateKey, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = copy.deepcopy(FIELD["spec"])
    del spec["version"]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    spec |= {"id": name, "created_at": now, "wallet_auth": WALLET}
    spec["metadata"] |= {"timestamp": now, "nonce": name, "estimated_cost": "0.0004"}
    return sign(spec, key)


def test_it_is_accepted_at_both_doors_and_completes(stack: Callable[..., Local], conn: psycopg.Connection[Any]) -> None:
    local = stack(worker_asia=0)
    key = PrivateKey.load(local.signing_key)
    one, other, third = (portal_job(key, f"bias-detection-{number}") for number in range(3))
    sent = {"Content-Type": "application/json"}
    bodies = (("jobs", one), ("jobs/cross-region", {"jobspec": other, "target_regions": ["US", "EU"]}))
    for door, body in bodies:
        status, answer = request("POST", f"{local.api_url}/api/v1/{door}", json.dumps(body).encode(), sent)
        assert (status, answer["status"]) == (202, "queued"), answer

    def completed() -> bool:
        return [row["status"] for row in query(conn, "SELECT status FROM jobs")] == ["completed"] * 2

    until(completed)
    for spec in (one, other):
        _, shown = request("GET", f"{local.api_url}/api/v1/jobs/{spec['id']}")
        assert shown["job"] == spec, "what was signed is what is shown"
        _, rows = request("GET", f"{local.api_url}/api/v1/jobs/{spec['id']}/executions/all")
        assert [row["status"] for row in rows["executions"]] == ["completed"] * 2
    stored = query(conn, "SELECT spec ->> 'version' AS version, signature_form AS form FROM jobs")
    assert stored == [{"version": "v1", "form": "jcs"}] * 2

    for changed in ({"version": "v1"}, {"benchmark": third["benchmark"] | {"version": "v2"}}):
        status, answer = request("POST", f"{local.api_url}/api/v1/jobs", json.dumps(third | changed).encode(), sent)
        assert (status, answer["error_code"]) == (400, "signature_mismatch")

"""What every request gets: an id, the headers of other origins, a token's check; and addresses that do not exist."""

from collections.abc import Callable

from tests.integration.api_client import ADMIN_HEADER, Api


def test_head_is_get_without_a_body(api: Api) -> None:
    job_id = api.submit()
    got, head = api.client.get(f"/api/v1/jobs/{job_id}"), api.client.head(f"/api/v1/jobs/{job_id}")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(got.data))


def test_the_catalogue(api: Api) -> None:
    assert {"id": "q1", "text": "What is one?"} in api.get("/questions")["questions"]
    models = {m["id"]: m for m in api.get("/models")["models"]}
    assert models["m1"] == {"id": "m1", "regions": ["US", "EU", "ASIA"], "default": True}
    regions = {r["name"]: r for r in api.get("/regions")["regions"]}
    assert "us-east" in regions["US"]["aliases"]
    assert regions["ASIA"]["models"] == ["m1"]


def test_readers_need_a_token_where_that_is_configured(make_api: Callable[..., Api]) -> None:
    token = "a-reader's-token-that-is-long-enough-012345"
    api = make_api(READ_TOKENS=f"portal:{token}")
    job_id = api.submit()
    path = f"/api/v1/jobs/{job_id}"
    refused = api.client.get(path)
    assert (refused.status_code, refused.get_json()["error_code"]) == (401, "unauthorized")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert api.client.head(path).status_code == 401
    assert api.client.get(path, headers={"Authorization": f"Bearer {token[:-1]}"}).status_code == 401
    assert api.client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert api.client.get(path, headers=ADMIN_HEADER).status_code == 200
    assert api.client.get("/health/live").status_code == 200


def test_a_request_has_an_id(api: Api) -> None:
    assert api.client.get("/health/live", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    for malformed in ("", "a b", "x" * 129, "é"):
        sent = api.client.get("/health/live", headers={"X-Request-ID": malformed}).headers["X-Request-ID"]
        assert len(sent) == 32


def test_other_origins_only_where_allowed(make_api: Callable[..., Api]) -> None:
    origin = {"Origin": "https://portal.example"}
    assert "Access-Control-Allow-Origin" not in make_api().client.get("/health/live", headers=origin).headers
    api = make_api(CORS_ORIGINS="https://portal.example")
    answer = api.client.get("/health/live", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://portal.example"
    assert "Origin" in answer.headers["Vary"]
    other = api.client.get("/health/live", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    preflight = api.client.options("/api/v1/jobs", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]


def test_no_address_and_no_method(api: Api) -> None:
    nowhere = api.client.get("/nowhere/<script>")
    assert (nowhere.status_code, nowhere.get_json()["error_code"]) == (404, "not_found")
    assert "<" not in nowhere.get_json()["instance"]
    wrong = api.client.delete("/api/v1/jobs")
    assert (wrong.status_code, wrong.get_json()["error_code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]
    assert wrong.content_type == "application/problem+json"

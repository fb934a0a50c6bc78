"""The page behind the link that `beacon up` prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner_core.login_code import make
from tests.integration.api_client import Api
from tests.integration.portal_pages import READER, STATIC, get


def test_a_link_logs_in_once(make_api: Callable[..., Api], tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    api = make_api(LOGIN_CODE_FILE=str(path), READ_TOKENS=f"reader:{READER}")
    client = api.app.test_client()
    assert 'id="code"' in get(api, "/login/link", client=client)
    code = make(path, "tester")
    assert client.post("/login/link", data={"code": code}, headers={"Origin": "http://evil"}).status_code == 403
    wrong = client.post("/login/link", data={"code": "wrong"})
    assert wrong.status_code == 401
    assert "Set-Cookie" not in wrong.headers
    done = client.post("/login/link", data={"code": code})
    assert (done.status_code, done.headers["Location"]) == (303, "/")
    assert "Log out" in get(api, "/", client=client)
    again = api.app.test_client().post("/login/link", data={"code": code})
    assert again.status_code == 401
    assert "within ten minutes" in again.text


def test_a_code_of_somebody_who_is_no_administrator(make_api: Callable[..., Api], tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    api = make_api(LOGIN_CODE_FILE=str(path))
    assert api.client.post("/login/link", data={"code": make(path, "gone")}).status_code == 401


@pytest.mark.parametrize(
    "where",
    [
        {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}},
        {"environ_base": {"REMOTE_ADDR": ""}},
        {"base_url": "http://beacon.example"},
        {"headers": {"X-Forwarded-For": "192.0.2.1"}},
    ],
)
def test_only_a_browser_on_this_machine_may(
    where: dict[str, object], make_api: Callable[..., Api], tmp_path: Path
) -> None:
    path = tmp_path / "code.json"
    api = make_api(LOGIN_CODE_FILE=str(path))
    code = make(path, "tester")
    asked = api.client.get("/login/link", **where)  # type: ignore[arg-type]
    assert "work only on the machine" in asked.text
    assert api.client.post("/login/link", data={"code": code}, **where).status_code == 401  # type: ignore[arg-type]
    assert api.client.post("/login/link", data={"code": code}).status_code == 303, "it was not used up"


def test_without_the_setting_there_are_no_links(api: Api) -> None:
    assert "work only on the machine" in get(api, "/login/link")
    assert api.client.post("/login/link", data={"code": "x"}).status_code == 401
    assert "replaceState" in (STATIC / "login.js").read_text()

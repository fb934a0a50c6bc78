"""The first minute with `beacon up`: the sample comparison, and the link that logs in."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_cli.child import free_port
from runner_cli.first_minute import SAMPLE_ID, login_codes, submit_sample
from runner_cli.home import CHECKOUT
from tests.acceptance.browsing import call

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local

UP = [sys.executable, "-m", "runner_cli", "up"]


def test_an_empty_database_gets_the_sample_once(stack: Callable[..., "Local"]) -> None:
    local = stack()
    told = submit_sample(local)
    assert f"{local.api_url}/jobs/{SAMPLE_ID}" in told
    job = call(local, f"/api/v1/jobs/{SAMPLE_ID}?wait=60&after=0")
    assert job["status"] in ("queued", "running", "completed")
    assert job["job"]["benchmark"]["name"] == "sample"
    assert submit_sample(local) == "", "there is a job now"


def test_a_stack_that_refuses_the_sample_goes_on(stack: Callable[..., "Local"], tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(
        '[{"kid": "a", "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "status": "active"}]'
    )
    told = submit_sample(stack(env={"TRUSTED_KEYS_FILE": str(tmp_path / "keys.json")}))
    assert "not submitted" in told
    assert "trust_violation" in told


def test_no_link_without_a_terminal_or_beyond_this_machine(tmp_path: Path) -> None:
    with login_codes(tmp_path, {"PORT": "8090"}) as setting:
        assert setting == {}, "the tests' stderr is no terminal"


@pytest.mark.needs("chromium")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - bound for a moment, to see that no link comes
def test_the_link_on_a_terminal_logs_a_browser_in(host: str, home: Path, servers: object, browser: "Browser") -> None:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    env = kept | {
        "BEACON_HOME": str(home),
        "BIND": f"{host}:{free_port()}",
        "METRICS_PORT": "0",
        "REGIONS_FILE": str(CHECKOUT / "regions/sandbox.toml"),
        "ALLOW_SANDBOX": "1",
    }
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(UP, env=env, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=child) as command:
        os.close(child)
        try:
            said = ""
            while "database URL" not in said:
                said += os.read(parent, 65536).decode()
            assert "/jobs/sample" not in said, "an operator's own regions file is not asked unasked"
            link = re.search(r"log in +(http://127\.0\.0\.1:\d+/login/link)#(\S+)", said)
            assert bool(link) == (host == "127.0.0.1")
            if link:
                assert link[2] not in (home / "login-code.json").read_text()
                context = browser.new_context()
                page = context.new_page()
                page.goto(f"{link[1]}#{link[2]}")
                page.get_by_role("button", name="Log out").wait_for()
                assert page.url == link[1].removesuffix("login/link")
                page.go_back()
                assert link[2] not in page.url
                context.close()
                second = browser.new_context().new_page()
                second.goto(f"{link[1]}#{link[2]}")
                second.get_by_text("does not work any more").wait_for()
                second.context.close()
                logs = "".join(path.read_text() for path in (home / "log").glob("api*"))
                assert link[2] not in logs
        finally:
            command.send_signal(signal.SIGINT)
            while command.poll() is None:
                try:
                    os.read(parent, 65536)
                except OSError:
                    break
            command.wait(60)
            os.close(parent)
    assert not (home / "login-code.json").exists()

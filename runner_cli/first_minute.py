"""The first minute with `beacon up`: a sample comparison in an empty database, and a link that logs in."""

import contextlib
import ipaddress
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner_cli.client import Api
from runner_cli.demo_job import demo_job
from runner_cli.exits import CommandError
from runner_cli.listening import api_address
from runner_cli.local import Local
from runner_cli.shapes import JOBS
from runner_cli.sign import completed, signing_key
from runner_cli.submit import encoded, send
from runner_cli.target import Target
from runner_core import login_code
from runner_core.errors import BeaconError, ConfigError
from runner_core.signing import sign

SAMPLE_ID = "sample"
CODE_FILE = "login-code.json"


def submit_sample(local: Local) -> str:
    """Submit the sample comparison where there are no jobs yet. Return the line that tells of it, else ''.

    The sample is a present, so a stack that can't take it goes on without it."""
    api = Api(Target(local.api_url, local.home), token=local.admin_token)
    try:
        if api.get("/api/v1/jobs", JOBS, limit=1)["jobs"]:
            return ""
        spec = demo_job()
        spec |= {"id": SAMPLE_ID, "benchmark": {**spec["benchmark"], "name": "sample"}}
        spec["metadata"] = {"created_by": "beacon up"}
        send(api, encoded(sign(completed(spec), signing_key(None, api.target))))
    except (CommandError, BeaconError) as reason:
        return f"  sample        not submitted: {reason}"
    return f"  sample        {local.api_url}/jobs/{SAMPLE_ID}  (2 questions, 2 models, 3 regions; it runs now)"


@contextlib.contextmanager
def login_codes(home: Path, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the setting by which the API takes a code that logs in, {} where none may be printed.

    A link may be printed where a person sits (stderr is a terminal, no file and no CI's log) and where nobody else can
    use it: the API listens on this machine only."""
    if not sys.stderr.isatty() or not _on_loopback(env):
        yield {}
        return
    path = home / CODE_FILE
    try:
        yield {"LOGIN_CODE_FILE": str(path)}
    finally:
        login_code.forget(path)


def login_link(local: Local) -> str:
    """Return the line with the link that logs in; '' where `login_codes` yielded no setting."""
    path = local.env.get("LOGIN_CODE_FILE")
    if not path or Path(path) != local.home / CODE_FILE:
        return ""
    name = local.env["ADMIN_TOKENS"].split(",")[0].partition(":")[0].strip()
    try:
        code = login_code.make(Path(path), name)
    except OSError:  # a full disk takes the link away, not the stack
        return ""
    return f"  log in        {local.api_url}/login/link#{code}  (once, within 10 minutes)"


def _on_loopback(env: Mapping[str, str]) -> bool:
    try:
        host = api_address(env).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (ConfigError, ValueError):
        return False

"""What a process says of its loops, and how its metrics port says it."""

import httpx2
import psycopg
import pytest

from runner_cli.child import free_port
from runner_core.errors import ConfigError
from runner_core.loop_health import LoopHealth, problem_of
from runner_core.metrics_server import serve_metrics
from runner_core.settings import Settings
from tests.jobs import until

HOUR = 3600.0


def test_a_process_without_loops_starts() -> None:
    health = LoopHealth(0.0)
    assert health.live() == (True, {"status": "alive", "loops": []})
    assert health.ready() == (False, {"status": "starting", "loops": []})


def test_a_process_is_ready_when_every_loop_has_turned() -> None:
    health = LoopHealth(HOUR)
    one = health.add("one")
    one.turned()
    assert health.ready()[1]["status"] == "starting", "another loop may be added"
    other = health.add("other")
    health.all_added()
    assert health.ready()[1]["status"] == "starting"
    other.turned()
    assert health.ready()[0]
    assert [loop["name"] for loop in health.ready()[1]["loops"]] == ["one", "other"]


def test_a_failed_turn_is_a_turn() -> None:
    health = LoopHealth(HOUR)
    loop = health.add("relay")
    health.all_added()
    loop.turned("the server is away")
    assert health.live()[0]
    good, answer = health.ready()
    assert (good, answer["status"], answer["loops"][0]["problem"]) == (False, "not_ready", "the server is away")
    loop.progressed()
    assert not health.ready()[0], "progress is no success"
    loop.turned()
    assert health.ready()[0]


def test_a_loop_that_does_not_turn_is_stalled() -> None:
    health = LoopHealth(0.05)
    loop = health.add("relay")
    health.all_added()
    loop.turned()
    until(lambda: not health.live()[0])
    assert health.live()[1]["status"] == "stalled"
    assert health.ready()[1]["status"] == "not_ready"
    loop.progressed()
    assert health.live()[0]


def test_a_process_that_ends_need_not_turn() -> None:
    health = LoopHealth(0.0)
    health.add("relay").turned()
    health.stop()
    assert health.live()[0]
    assert health.ready()[1]["status"] == "stopping"


def test_a_problem_names_no_address() -> None:
    error = psycopg.OperationalError('connection failed: connection to server at "10.0.0.7" failed')
    assert problem_of(error) == "PostgreSQL refused or did not answer (SQLSTATE 08001)"
    assert problem_of(LookupError("a secret")) == "LookupError: see this process's log"


def test_the_port_answers_three_addresses() -> None:
    health, port = LoopHealth(HOUR), free_port()
    serve_metrics("analyst", "127.0.0.1", port, health)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        answers = {path: client.get(path) for path in ("/metrics", "/health/live", "/health/ready", "/health", "/")}
    assert [answer.status_code for answer in answers.values()] == [200, 200, 503, 404, 404]
    assert "analyses_due" in answers["/metrics"].text
    assert answers["/health/live"].json() == {"status": "alive", "loops": []}
    assert answers["/health/ready"].headers["content-type"] == "application/json"
    with pytest.raises(ConfigError, match=f"METRICS_PORT {port} of 127.0.0.1 can't be used"):
        serve_metrics("analyst", "127.0.0.1", port, health)
    with pytest.raises(ConfigError, match="can't be used"):
        serve_metrics("analyst", "no host", free_port(), health)


def test_a_stall_takes_a_minute_at_least() -> None:
    base = {"DATABASE_URL": "postgresql://127.0.0.1/d"}
    assert Settings.from_env(base).process.stall_seconds == 120
    assert Settings.from_env(base | {"STALL_SECONDS": "60"}).process.stall_seconds == 60
    with pytest.raises(ConfigError, match="STALL_SECONDS"):
        Settings.from_env(base | {"STALL_SECONDS": "59"})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"STALL_SECONDS": "60", "OUTBOX_POLL_MS": "50000"}, ""),
        ({"STALL_SECONDS": "60", "OUTBOX_POLL_MS": "50001"}, "61 or more, or lower OUTBOX_POLL_MS"),
        ({"OUTBOX_POLL_MS": "60000"}, ""),
        ({"STALL_SECONDS": "60", "REDIS_TIMEOUT_SECONDS": "10"}, ""),
        ({"STALL_SECONDS": "60", "REDIS_TIMEOUT_SECONDS": "10.1"}, "61 or more, or lower REDIS_TIMEOUT_SECONDS"),
        ({"REDIS_TIMEOUT_SECONDS": "60"}, "160 or more, or lower REDIS_TIMEOUT_SECONDS"),
        ({"STALL_SECONDS": "160", "REDIS_TIMEOUT_SECONDS": "60"}, ""),
    ],
)
def test_no_healthy_loop_may_count_as_stalled(settings: dict[str, str], named: str) -> None:
    """A process refuses settings by which a loop that only waits would be restarted; the sentence says the way out."""
    env = {"DATABASE_URL": "postgresql://127.0.0.1/d"} | settings
    if not named:
        Settings.from_env(env)
        return
    with pytest.raises(ConfigError, match=named):
        Settings.from_env(env)

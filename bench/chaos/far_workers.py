"""A region's workers on the far side of a network that can be cut: they have proxies of their own before both servers.

Their provider is on their side: its calls go on while the network is cut.
"""

import signal
import sys
from contextlib import ExitStack

from bench.chaos.deployment import Deployment, through
from runner_cli.child import end, spawn
from runner_cli.home import CHECKOUT
from tests.proxy import Proxy

REGION = "ASIA"
WORKERS = 2
STOP_SECONDS = 10.0


def cut_off(deployment: Deployment, stop: ExitStack) -> None:
    """Start the region's workers behind the proxies `far postgres` and `far redis`. `stop` ends them."""
    database, queues = deployment.postgres, deployment.valkey
    for name, port in (("far postgres", database.port), ("far redis", queues.port)):
        deployment.proxies[name] = stop.enter_context(Proxy("127.0.0.1", port))
    env = {
        **deployment.local.env,
        "DATABASE_URL_WORKER": through(deployment.proxies["far postgres"], deployment.local.env["DATABASE_URL_WORKER"]),
        "REDIS_URL": through(deployment.proxies["far redis"], deployment.valkey.url),
    }
    command = [sys.executable, "-m", "runner_worker", "--region", REGION]
    for number in range(1, WORKERS + 1):
        log = stop.enter_context((deployment.home / "log" / f"far_worker.{number}.log").open("wb"))
        worker = spawn(command, death_signal=signal.SIGKILL, env=env, cwd=CHECKOUT, stdout=log, stderr=log)
        stop.callback(end, worker, (signal.SIGTERM, STOP_SECONDS))

"""The commands of each peer, and the texts of the page about its promise and its settings."""

from bench.environment import program
from bench.system import System


def _pgqueuer(processes: int, width: int | None) -> list[list[str]]:
    return [[str(program("python")), "-m", "bench.peers.pgqueuer", "work", "10", str(width or 0)]] * processes


def _awa(processes: int, width: int | None) -> list[list[str]]:
    return [[str(program("python")), "-m", "bench.peers.awa", "work", str(width or 50)]] * processes


def _procrastinate(processes: int, width: int | None) -> list[list[str]]:
    app = "--app=bench.peers.procrastinate.app"
    return [[str(program("procrastinate")), app, "worker", "--concurrency", str(width or 30)]] * processes


def _dramatiq(processes: int, width: int | None) -> list[list[str]]:
    scale = ["--processes", str(processes), "--threads", str(width or 8)]
    return [[str(program("dramatiq")), "bench.peers.dramatiq", *scale]]


def _celery(processes: int, width: int | None) -> list[list[str]]:
    base = [str(program("celery")), "-A", "bench.peers.celery", "worker", "-P", "threads", "-c", str(width or 8)]
    return [[*base, "-n", f"w{n}@%h", "--loglevel", "WARNING"] for n in range(processes)]


def _rq(kind: str, processes: int, width: int | None) -> list[list[str]]:
    return [[str(program("python")), "-m", "bench.peers.rq", kind]] * (width or processes)


PGQUEUER = System(
    name="pgqueuer",
    promise="at-least-once; a job is picked again when its heartbeat is older than 30 s; no fencing of what it writes",
    setting="as `pgq run` does it: uvloop, asyncpg, batch size 10 (its default), tasks unbounded",
    executions=3000,
    commands=_pgqueuer,
    peer="pgqueuer",
)
AWA = System(
    name="awa",
    promise="at-least-once; a job is picked again when its heartbeat is some 90 s old; no fencing of what it writes",
    setting="its Rust engine with asynchronous handlers: uvloop, asyncpg, 50 jobs at once (its default)",
    executions=2400,
    commands=_awa,
    peer="awa",
)
PROCRASTINATE = System(
    name="procrastinate",
    promise="at-most-once by default: a stalled job is found by its heartbeat and only retried if the operator says so",
    setting="asynchronous tasks, `--concurrency 30` (the example of its documentation; its default is 1)",
    executions=900,
    commands=_procrastinate,
    peer="procrastinate",
)
DRAMATIQ = System(
    name="dramatiq",
    promise="at-least-once; unacknowledged messages return after a minute without a heartbeat; lost with Redis",
    setting="`dramatiq --processes 2 --threads 8` (its defaults on this machine)",
    executions=2400,
    commands=_dramatiq,
    peer="dramatiq",
)
CELERY = System(
    name="celery",
    promise="at-least-once with `acks_late`; redelivered after the visibility timeout (an hour); lost with Redis",
    setting="`-P threads -c 8`, `acks_late`, no result backend",
    executions=1500,
    commands=_celery,
    peer="celery",
)
RQ_SIMPLE = System(
    name="RQ SimpleWorker",
    promise="at-most-once unless Retry is set; a killed worker's job is found late, as failed; lost with Redis",
    setting="one job at a time in each process; one connection kept",
    executions=700,
    commands=lambda processes, width: _rq("simple", processes, width),
    peer="rq",
    wide=False,
)
RQ_WORKER = System(
    name="RQ Worker",
    promise="as SimpleWorker; a fork for each job keeps a crash or a timeout away from the worker",
    setting="one job at a time in each process, modules imported before the fork, a connection for each job",
    executions=130,
    commands=lambda processes, width: _rq("worker", processes, width),
    peer="rq",
    wide=False,
)

PEERS = [PGQUEUER, AWA, DRAMATIQ, CELERY, PROCRASTINATE, RQ_SIMPLE, RQ_WORKER]
QUICK = [PGQUEUER, DRAMATIQ, RQ_SIMPLE]

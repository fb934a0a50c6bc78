"""Measures CPU, memory, commits and commands of a run, from /proc, pg_stat_database and INFO commandstats."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
import redis

from bench import statements

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.2  # not shorter, because each sample costs the server time


def tree(pids: Iterable[int]) -> list[int]:
    """Return these processes and all their living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the user and system time of these processes and of their descendants, ended ones too."""
    stats = [fields for pid in tree(pids) if (fields := _stat(pid))]
    return sum(int(ticks) for fields in stats for ticks in fields[11:15]) / TICKS


def pss_mb(pids: Iterable[int]) -> float:
    """Return the proportional set size of the whole tree in MB (2**20 bytes): a page of n processes counts 1/n."""
    kilobytes = 0
    for pid in tree(pids):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; [] if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def commits(conn: psycopg.Connection[tuple[int]]) -> int:
    """Return the number of committed transactions. It is complete after the clients have disconnected."""
    conn.execute("SELECT pg_stat_clear_snapshot()")
    row = conn.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return row[0] if row else 0


def redis_commands(client: redis.Redis) -> int:
    """Return how many commands Redis has executed, including those inside MULTI and scripts."""
    stats = client.info("commandstats")
    return sum(int(entry["calls"]) for name, entry in stats.items() if name not in ("cmdstat_info", "cmdstat_auth"))


@dataclass(frozen=True)
class Sample:
    """One sample: time in seconds, executions done, CPU seconds of the workers and of PostgreSQL."""

    at: float
    done: int
    workers: float
    server: float


@dataclass(frozen=True)
class Pace:
    """The measured values of the middle of a run. CPU is in milliseconds per execution."""

    per_second: float
    worker_ms: float
    server_ms: float


class Sampler:
    """Samples a run until its end, over its own connection."""

    def __init__(self, database_url: str, server_pid: int, pids: Callable[[], list[int]], since: int) -> None:
        self._conn = psycopg.connect(database_url, autocommit=True)
        self._server_pid, self._pids, self._since = server_pid, pids, since
        self.samples: list[Sample] = []

    def look(self) -> int:
        """Take one sample; return how many executions are done."""
        row = self._conn.execute(statements.for_psycopg("done"), {"since": self._since}).fetchone()
        done = row[0] if row else 0
        self.samples.append(Sample(time.monotonic(), done, cpu_seconds(self._pids()), cpu_seconds([self._server_pid])))
        return done

    def until(self, wanted: int, patience_seconds: float) -> None:
        """Sample until `wanted` executions are done. Raises TimeoutError."""
        deadline = time.monotonic() + patience_seconds
        while self.look() < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.samples[-1].done} of {wanted} executions after {patience_seconds:.0f} s")
            time.sleep(SAMPLE_SECONDS)

    def close(self) -> None:
        self._conn.close()

    def pace(self, wanted: int, head: float = 0.2, tail: float = 0.95) -> Pace:
        """Return the values between the shares `head` and `tail` of the executions: without the start and the end, when
        some workers are idle."""
        first = next(s for s in self.samples if s.done >= head * wanted)
        last = next(s for s in reversed(self.samples) if s.done <= max(tail * wanted, first.done + 1) or s is first)
        if last.done <= first.done:
            last = self.samples[-1]
        if last.done <= first.done:
            first = self.samples[0]
        done = last.done - first.done
        return Pace(
            done / (last.at - first.at),
            (last.workers - first.workers) * 1000 / done,
            (last.server - first.server) * 1000 / done,
        )


@dataclass(frozen=True)
class Spread:
    """The median, the minimum and the maximum of some rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Compute them from at least one value."""
        every = list(values)
        return cls(median(every), min(every), max(every))


def ratios(ours: list[float], theirs: list[float]) -> Spread:
    """Return ours / theirs: the ratio of the medians, and the smallest and largest ratio of any two rounds."""
    return Spread(median(ours) / median(theirs), min(ours) / max(theirs), max(ours) / min(theirs))


def percentile(values: list[float], share: float) -> float:
    """Return the nearest-rank percentile; `share` is from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def in_background(work: Callable[[], None]) -> threading.Thread:
    """Start `work` on a thread that does not keep the process alive."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread

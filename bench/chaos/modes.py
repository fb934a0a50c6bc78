"""The modes of a run: the product's default settings, a short run for every change, many faults, and failovers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.chaos.deployment import ANSWER_SECONDS, COUNTS
from runner_core.settings import Settings


@dataclass(frozen=True)
class Spans:
    """How many seconds each fault lasts until it is ended."""

    delayed: float = 4.0
    cut: float = 2.0
    swallowed: float = 2.0
    refused: float = 9.0  # longer than a process waits for a connection of its pool
    black_holed: float = 8.0  # longer than every client's own time limit
    read_only: float = 4.0
    failing: float = 4.0


@dataclass(frozen=True)
class Mode:
    """A mode. `settings` go to every process. The run waits at most the given seconds for each of its steps."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    spans: Spans = Spans()
    counts: Mapping[str, int] = field(default_factory=lambda: COUNTS)
    answer_seconds: Mapping[str, float] = field(default_factory=lambda: ANSWER_SECONDS)
    rounds: int = 5
    recovery_seconds: float = 90.0  # after each fault
    client_seconds: float = 120.0  # of one submission
    quiet_seconds: float = 180.0
    least_accepted: int = 500
    least_runs: int = 3  # of each fault

    @property
    def product(self) -> Settings:
        """Return the settings as the product reads them."""
        return Settings.from_env(self.settings)


DEFAULT = Mode("default")
# Three minutes at most, with start and count. The faults overlap.
QUICK = Mode(
    "quick",
    {"LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "1"},
    Spans(refused=4.0),
    rounds=1,
    recovery_seconds=0.5,
    client_seconds=20.0,
    quiet_seconds=30.0,
    least_accepted=1,
    least_runs=1,
)
# The product's time limits are short, and each fault lasts just longer than the limit that it must exceed. Several such
# stacks share a machine, so a stack has few processes and a run waits long.
FAST = Mode(
    "fast",
    {
        "BEACON_TEST": "1",
        "LEASE_SECONDS": "1",
        "HEARTBEAT_SECONDS": "0.3",
        "BREAKER_SECONDS": "2",
        "DB_WRITE_TIMEOUT_MS": "1500",
        "REDIS_TIMEOUT_SECONDS": "1",
    },
    Spans(
        delayed=2.0,
        cut=1.0,
        swallowed=1.0,
        refused=3.0,
        black_holed=3.5,
        read_only=2.0,
        failing=3.0,
    ),
    {"publisher": 2, "worker_us": 2, "worker_eu": 1, "worker_asia": 1},
    {"US": 0.3, "EU": 0.5, "ASIA": 0.7},
    rounds=3,
    recovery_seconds=60.0,
    client_seconds=300.0,
    quiet_seconds=600.0,
)
# Each row has a stack of its own with the product's default settings, so that its counts are its own.
FAILOVER = Mode("failover", rounds=1, client_seconds=180.0, least_accepted=200, least_runs=1)

"""What may happen to a region run, as the thread that owns the runs is told of it."""

from dataclasses import dataclass

from runner_worker.engine.runs import Answer, Call, Run


@dataclass(frozen=True)
class Claimed:
    """One transaction has claimed these. Told at once, so that what they bring is written together as well."""

    runs: list[Run]


@dataclass(frozen=True)
class Expired:
    """The run's deadline has passed."""

    run: Run


@dataclass(frozen=True)
class Lost:
    """The run's lease is gone: cancelled, taken back, or finished by another."""

    run: Run


@dataclass(frozen=True)
class Broken:
    """Our own code failed in this call."""

    call: Call


@dataclass(frozen=True)
class HandBack:
    """Release runs: those that have not begun, or all that are left."""

    everything: bool


@dataclass(frozen=True)
class Look:
    """It is time to see whether a call or a write that was held back may go."""


Event = Claimed | Answer | Expired | Look | Lost | Broken | HandBack | None

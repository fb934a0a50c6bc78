"""Reads the table [analysis.judge] of the regions file: which model judges answers, and how often at most."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner_core.refusals.judge import judge_id
from runner_core.toml_table import Table
from runner_core.upstreams import Provider

CALLS_PER_DAY = 2000


@dataclass(frozen=True)
class Judge:
    """The model that judges answers: a provider's id, and a model of that provider, by our id.

    `calls_per_day` bounds the requests of 24 hours, of all workers together.
    """

    provider: str
    model: str
    calls_per_day: int = CALLS_PER_DAY

    @property
    def id(self) -> str:
        """Return what the judge's calls and labels are found by."""
        return judge_id(self.provider, self.model)

    @property
    def actor(self) -> str:
        """Return the judge's name on its labels."""
        return f"{self.provider}/{self.model} {self.id}"


def read_judge(analysis: Table, providers: Sequence[Provider]) -> Judge | None:
    """Return the judge that the table [analysis] names, None if it names none; add what is wrong to its mistakes."""
    if "judge" not in analysis.values:
        return None
    table = Table(analysis.get("judge", dict, {}), f"{analysis.name}.judge", analysis.mistakes)
    judge = Judge(
        provider=table.get("provider", str, ""),
        model=table.get("model", str, ""),
        calls_per_day=table.positive("calls_per_day", CALLS_PER_DAY),
    )
    table.no_more()
    of_id = {provider.id: provider for provider in providers}
    if judge.provider and judge.provider not in of_id:
        table.wrong(f"there is no provider {judge.provider!r}")
    elif judge.model and judge.provider and judge.model not in of_id[judge.provider].models:
        table.wrong(f"the provider {judge.provider} has no model {judge.model!r}")
    return judge

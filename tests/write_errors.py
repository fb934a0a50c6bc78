"""How much the metrics of the database's errors and retries have grown."""

from prometheus_client import REGISTRY


class Counted:
    """How much the metrics have grown since it was made."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> dict[str, float]:
        grown = {}
        for metric in REGISTRY.collect():
            for sample in metric.samples:
                if sample.name == "db_write_retries_total":
                    grown["retries"] = sample.value
                if sample.name == "db_write_errors_total":
                    grown[sample.labels["sqlstate"]] = sample.value
        return grown

    def __call__(self) -> dict[str, int]:
        now = self._now()
        grown = {name: int(value - self._before.get(name, 0)) for name, value in now.items()}
        return {name: count for name, count in grown.items() if count}


LOST = {"retries": 1, "08006": 1}

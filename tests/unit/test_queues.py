"""The queue of each region, as administrators read it and as the page for operations shows it."""

from runner_api.views.queues import queues


def test_a_region_without_open_runs_has_an_empty_queue() -> None:
    busy = {"region": "EU", "depth": 3, "running": 2, "oldest_seconds": 7.5}
    assert queues(["US", "EU"], [busy], {"EU": 1}) == [
        {"region": "US", "queue": "beacon-us", "depth": 0, "running": 0, "oldest_seconds": None, "workers": 0},
        {"region": "EU", "queue": "beacon-eu", "depth": 3, "running": 2, "oldest_seconds": 7.5, "workers": 1},
    ]


def test_the_fields_keep_their_order() -> None:
    (queue,) = queues(["US"], [{"region": "US", "depth": 0, "running": 1, "oldest_seconds": None}], {})
    assert list(queue) == ["region", "queue", "depth", "running", "oldest_seconds", "workers"]

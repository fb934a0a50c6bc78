"""What the project overrides of RQ by private names: RQ must still call it. docs/pinned.md lists the names."""

import inspect

import pytest
import rq.job
import rq.worker.base
from redis import Redis

from runner_worker.rq.compat import JsonJob


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (rq.worker.base, "_set_connection"),
        (rq.worker.base, "_pubsub_exception_handler"),
        (rq.job, "_deserialize_data"),
    ],
)
def test_rq_still_calls_what_is_overridden(module: object, name: str) -> None:
    """A method that is kept and no longer called would not be missed otherwise."""
    source = inspect.getsource(module)  # type: ignore[arg-type]
    assert source.count(f"self.{name}") > 0


def test_a_job_has_the_call_that_is_read_from_its_message() -> None:
    class Probe(JsonJob):
        def read_call(self) -> tuple[str, dict[str, object]]:
            return "function", {"name": self.data}

    job = Probe("probe", Redis())
    job.data = b"data"
    assert (job.func_name, job.args, job.kwargs, job.instance) == ("function", [], {"name": b"data"}, None)

"""Private names of libraries that this project uses: an upgrade that takes one away fails here."""

import inspect

import pytest
import rq.job
import rq.worker.base
from redis import Redis
from rq.job import Job

from runner_worker.rq.compat import PRIVATE, JsonJob

NAMES = [(kind, name) for kind, names in PRIVATE.items() for name in names]
JOB = Job("probe", Redis())


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[f"{kind.__name__}.{name}" for kind, name in NAMES])
def test_rq_still_has_it(kind: type, name: str) -> None:
    """A method of the class, or a value of its objects."""
    assert hasattr(kind, name) or (kind is Job and hasattr(JOB, name)), f"runner_worker/rq/compat.py uses {name}"


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

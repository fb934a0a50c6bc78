"""Which answers people label, and in which order they see them: a sample that depends on no label and on no answer.

Both are drawn by SHA-256 of names, so that every page and every command shows the same ones, and nothing is stored. The
order alone looks at what the detector says: where its stages differ, a person's label tells most. The sample does not,
so that kappa over a whole sample is that of all answers.
"""

import hashlib
from collections.abc import Collection, Iterable

DEFAULT_SIZE = 60
MAX_SIZE = 2000  # as many calls as a job may have


def sample(job_id: str, answers: Iterable[int], size: int) -> list[int]:
    """Return `size` ids of these answers, or all of them if there are fewer: the same ones for every person.

    A larger sample of the same answers contains each smaller one.
    """
    return _drawn(answers, "sample", job_id)[:size]


def order(job_id: str, person: str, answers: Iterable[int], disputed: Collection[int] = ()) -> list[int]:
    """Return the ids in the order in which this person sees them: first those that are `disputed`.

    It tells nothing about region, model and run.
    """
    return sorted(_drawn(answers, "order", job_id, person), key=lambda answer: answer not in disputed)


def _drawn(answers: Iterable[int], *names: str) -> list[int]:
    return sorted(set(answers), key=lambda answer: (_number(*names, str(answer)), answer))


def _number(*names: str) -> bytes:
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).digest()

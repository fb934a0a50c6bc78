"""The words that the pages, the commands and the API share, each with the words that are not used in its place.

docs/glossary.md has the same sentences; a test looks through what is shown for the other words.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """`means`: a sentence, as in docs/glossary.md. `never`: words that would be said of the same thing."""

    means: str
    never: tuple[str, ...] = ()


WORDS = {
    "job": Word(
        "A signed document: questions, models, regions, and when the whole counts as a success.",
        ("batch job", "benchmark run"),
    ),
    "unit": Word("One model in one region.", ("subtask", "sub-job", "shard")),
    "call": Word("One question, asked once of one unit: a planned (unit, question, run).", ("sub-call", "prompt call")),
    "try": Word(
        "One request to a provider. Its row is committed before the request is sent.", ("retries", "re-try", "re-tries")
    ),
    "execution": Word(
        "The result of one unit: completed, failed or cancelled, with its answers. Written once.", ("job result",)
    ),
    "completed": Word(
        "Said of a job, a unit or a call that has ended well; in the JSON of regions the word is `success`.",
        ("succeeded jobs", "successful jobs", "finished ok", "done ok"),
    ),
    "calls repeated": Word("How many calls of an execution needed more than one try.", ("retry count", "retry-count")),
    "send again": Word(
        "Publish a message once more, by order of a person; the address for programs is `republish`.",
        ("republish", "requeue", "re-queue", "resend"),
    ),
    "submit again": Word(
        "Make a new job with the specification of an earlier one.",
        ("re-run the job", "rerun", "clone the job", "duplicate the job"),
    ),
    "retry": Word(
        "Carry out again, by order of a person, the failed units of an ended job.", ("re-execute", "re-process")
    ),
}

"""Compares the rows of the table `tries` with the provider's own log: every call has exactly one row.

A try is written before its request is sent, so the provider never receives a request without a row. A row without a
request is right only if a fault came between the two: the attempt lost its worker or its lease, or the connection to
the provider was cut. The run lists each of these.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.chaos.deployment import Deployment

if TYPE_CHECKING:
    from bench.chaos.tally import Tally

Cell = tuple[str, str, str, str]  # the job's name, region, model, question


@dataclass(frozen=True)
class Tried:
    """The tries of one cell, and how many of them may not have reached the provider because of a fault."""

    rows: int
    in_struck_attempts: int
    cut: int


def cells(deployment: Deployment) -> dict[Cell, Tried]:
    """Return the tries in the database for each question that was started."""
    return {
        (row["label"], row["region"], row["model_id"], row["question"]): Tried(
            row["tries"], row["in_struck_attempts"], row["cut"]
        )
        for row in deployment.ask(TRIED)
    }


def requests(log: Path) -> Counter[Cell]:
    """Count the requests that the provider received for each cell. A prompt begins with its job's name."""
    found: Counter[Cell] = Counter()
    with log.open() as lines:
        for line in lines:
            call = json.loads(line)
            prompt = call["body"]["messages"][-1]["content"]
            found[prompt.split()[0], call["path"].split("/")[1], call["body"]["model"], prompt] += 1
    return found


def compare(tally: "Tally", tried: Mapping[Cell, Tried], received: Counter[Cell]) -> None:
    """Add to `tally` each difference, either as wrong or as explained by a fault."""
    tally.tries, tally.received = sum(t.rows for t in tried.values()), received.total()
    for cell in sorted(tried.keys() | received.keys()):
        name, row = " ".join(cell[:3]), tried.get(cell, Tried(0, 0, 0))
        missing = row.rows - received[cell]
        if missing < 0:
            tally.wrong.append((0.0, f"{name}: {received[cell]} requests received, {row.rows} tries written"))
        elif missing > row.in_struck_attempts + row.cut:
            tally.wrong.append((0.0, f"{name}: {row.rows} tries written, {received[cell]} requests received"))
        elif missing:
            tally.struck.append(f"{name}: {missing} of {row.rows} tries did not arrive")


# A stored error of these codes says that the request, or the answer to it, did not get through.
TRIED = """
SELECT j.spec #>> '{metadata,created_by}' AS label, t.region, t.model_id, q.question ->> 'text' AS question,
       count(*) AS tries,
       count(*) FILTER (WHERE EXISTS (
         SELECT FROM job_events e
          WHERE e.job_id = t.job_id AND e.region = t.region
            AND (e.type IN ('lease_expired', 'region_released') AND (e.detail ->> 'attempt')::integer = t.attempt
                 -- A worker may claim a region whose lease has run out before the sweeper notes that.
                 OR e.type = 'region_claimed' AND (e.detail ->> 'attempt')::integer > t.attempt)
       )) AS in_struck_attempts,
       (SELECT count(*)
          FROM answers a CROSS JOIN LATERAL jsonb_array_elements(a.errors || COALESCE(a.error, '[]')) AS x (error)
         WHERE a.job_id = t.job_id AND a.region = t.region AND a.model_id = t.model_id AND a.question_id = t.question_id
           AND x.error ->> 'code' IN ('connection_lost', 'write_timeout', 'read_timeout', 'timeout')) AS cut
  FROM tries t
  JOIN jobs j ON j.id = t.job_id
 CROSS JOIN LATERAL jsonb_array_elements(j.questions) AS q (question)
 WHERE q.question ->> 'id' = t.question_id
 GROUP BY t.job_id, label, t.region, t.model_id, t.question_id, question"""

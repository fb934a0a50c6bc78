"""The message of one region of one job: the name of its queue and the fields of its envelope.

PostgreSQL makes both (sql/queries/outbox.sql stages a message); `runner_queue` writes and reads them in Redis.
"""

TOPIC_PREFIX = "beacon-"
# The fields of an envelope with the type of each. `id` is the job's.
ENVELOPE = {"id": str, "enqueued_at": str, "attempt": int, "request_id": str}


def topic(region: str) -> str:
    """Return the name of the queue of `region`, without RQ's prefix: `beacon-us` for US."""
    return TOPIC_PREFIX + region.lower()

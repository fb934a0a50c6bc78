"""The message that asks for one region of one job: its queue's name, and its fields, which are called the envelope.

SQL statements build both (outbox.stage in sql/queries/outbox.sql); `runner_queue` writes and reads them in Redis.
"""

TOPIC_PREFIX = "beacon-"
# The fields of an envelope and their types. `id` is the job's id.
ENVELOPE = {"id": str, "enqueued_at": str, "attempt": int, "request_id": str}


def topic(region: str) -> str:
    """Return the name of the queue of `region`, without RQ's prefix: `beacon-us` for US.

    Statements call the SQL function of the same name.
    """
    return TOPIC_PREFIX + region.lower()

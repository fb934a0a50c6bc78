"""What every connection of ours asks for: where it leads, how long it waits, and that there is one place for it."""

import re
from pathlib import Path

import pytest

from runner_core.session import parameters

ROOT = Path(__file__).parent.parent.parent
PRODUCT = ("runner_core", "runner_api", "runner_queue", "runner_worker", "runner_cli", "outbox_publisher")
ONE = "postgresql://u:p@db/b"
TWO = "postgresql://u:p@db1,db2:5433/b"


@pytest.mark.parametrize(
    ("url", "attributes", "seconds"),
    [
        (ONE, None, 6),
        ("", None, 6),
        (TWO, "read-write", 3),
        ("host=db1,db2 dbname=b", "read-write", 3),
        ("postgresql:///b?hostaddr=10.0.0.1,10.0.0.2", "read-write", 3),
        ("postgresql://u@db1,db2,db3,db4/b", "read-write", 2),
        (f"{TWO}?target_session_attrs=any", None, 3),
        (f"{TWO}?connect_timeout=9", "read-write", None),
        ("no url at all", None, 6),
    ],
)
def test_several_hosts_lead_to_the_one_that_writes_and_share_the_wait(
    url: str, attributes: str | None, seconds: int | None
) -> None:
    """What the URL names itself is left as it is."""
    found = parameters(url, "api", 6.0)
    assert (found.get("target_session_attrs"), found.get("connect_timeout")) == (attributes, seconds)
    assert (found["application_name"], found["client_encoding"]) == ("beacon-api", "UTF8")


def test_a_short_wait_still_gives_a_host_two_seconds() -> None:
    """libpq takes a shorter timeout for two seconds."""
    assert parameters(ONE, "api", 1.1)["connect_timeout"] == 2


def test_every_connection_is_made_in_one_place() -> None:
    """A connection that is made elsewhere would read and write under whatever settings a database has."""
    made = [
        path.relative_to(ROOT).as_posix()
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\b(?:psycopg|Connection)\.connect\(", path.read_text("utf-8"))
    ]
    assert made == ["runner_core/session.py"]

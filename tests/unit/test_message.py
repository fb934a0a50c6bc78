"""The name of a region's queue is spelt out in two places: runner_core/message.py and the SQL function topic()."""

from pathlib import Path

import pytest

from runner_core.message import topic

ROOT = Path(__file__).parents[2]
PRODUCT = ("outbox_publisher", "runner_api", "runner_cli", "runner_core", "runner_queue", "runner_worker")


@pytest.mark.parametrize(("region", "name"), [("US", "beacon-us"), ("EU-WEST-1", "beacon-eu-west-1")])
def test_the_queue_of_a_region(region: str, name: str) -> None:
    assert topic(region) == name


def test_no_other_file_spells_the_name_out() -> None:
    """The invariants' queries (sql/verify) have definitions of their own: they check what the product does."""
    paths = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    paths += [path for folder in ("queries", "migrations") for path in (ROOT / "sql" / folder).glob("*.sql")]
    spelt = {
        str(path.relative_to(ROOT)) for path in paths if {"'beacon-'", '"beacon-"'} & set(path.read_text().split())
    }
    assert spelt == {"runner_core/message.py", "sql/migrations/0011_topic.sql"}

"""The names of a cell come from the schema that its database's address names."""

import pytest

from runner_core.addresses import database_mistake
from runner_core.cells import Cell, cell_of
from runner_core.errors import ConfigError
from runner_core.settings import Settings

URL = "postgresql://u:p@127.0.0.1/b"


@pytest.mark.parametrize(
    ("url", "schema"),
    [
        (URL, "public"),
        ("", "public"),
        (f"{URL}?options=-csearch_path%3Dcell2", "cell2"),
        (f"{URL}?options=-c%20search_path%3Dcell2%20-c%20jit%3Doff", "cell2"),
        (f"{URL}?options=--search_path%3Dcell2", "cell2"),
        (f"{URL}?options=--search-path%3Dcell2", "cell2"),
        (f"{URL}?options=-cSEARCH_PATH%3Dcell2", "cell2"),
        (f"{URL}?options=-c%20jit%3Doff", "public"),
        (f"{URL}?options=-csearch_path%3Dcell2%20-csearch_path%3Dcell3", "cell3"),
        ("host=localhost options='-c search_path=cell2' dbname=b", "cell2"),
    ],
)
def test_the_address_names_the_schema(url: str, schema: str) -> None:
    assert database_mistake(url or URL) == ""
    assert cell_of(url).schema == schema


@pytest.mark.parametrize(
    "path", ["a,public", "Cell", "%22cell%22", "pg_toast", "information_schema", "beacon", "", "c" * 41]
)
def test_a_name_that_no_cell_can_have_is_a_mistake_that_does_not_repeat_it(path: str) -> None:
    url = f"{URL}?options=-csearch_path%3D{path.replace(',', '%2C')}"
    assert "names no schema that a cell can have" in database_mistake(url)
    with pytest.raises(ConfigError, match="names no schema that a cell can have"):
        cell_of(url)
    with pytest.raises(ConfigError, match="DATABASE_URL names no schema"):
        Settings.from_env({"DATABASE_URL": url})


def test_the_names_of_public_are_contracts_and_those_of_another_cell_have_its_schema() -> None:
    public, other = Cell(), Cell("cell2")
    assert (public.login("api"), other.login("api")) == ("beacon_api", "cell2_api")
    assert (public.channel("jobs"), other.channel("jobs")) == ("beacon_jobs", "cell2_jobs")
    assert (public.queue("beacon-us"), other.queue("beacon-us")) == ("beacon-us", "cell2.beacon-us")
    assert (public.key("beacon:stack"), other.key("beacon:stack")) == ("beacon:stack", "beacon:stack:cell2")


def test_the_listening_connection_belongs_to_the_same_cell() -> None:
    cell = f"{URL}?options=-csearch_path%3Dcell2"
    settings = Settings.from_env({"DATABASE_URL": cell, "LISTEN_DATABASE_URL": cell})
    assert settings.database.cell == Cell("cell2")
    with pytest.raises(ConfigError, match="LISTEN_DATABASE_URL names another schema"):
        Settings.from_env({"DATABASE_URL": cell, "LISTEN_DATABASE_URL": URL})

"""The benchmark of reads knows every address: it would end at the first page that is new to it."""

from pathlib import Path

from bench.addresses import ADDRESSES
from bench.reads import without_address
from runner_api.app import create_app
from runner_core.db import Database
from runner_core.regions import load_catalogue
from runner_core.settings import Settings

SANDBOX = Path(__file__).parents[2] / "regions" / "sandbox.toml"


def test_every_endpoint_that_answers_get_is_measured_or_has_no_statement() -> None:
    settings = Settings.from_env({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, process="api")
    app = create_app(settings, Database(settings, "api"), load_catalogue(str(SANDBOX), allow_sandbox=True), None)
    assert without_address(app) == set()
    assert ADDRESSES.keys() <= {rule.endpoint for rule in app.url_map.iter_rules()}

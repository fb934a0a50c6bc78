"""The documents say what the code says: settings, commands, links, headings."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from runner_cli.commands import ENVIRONMENT
from runner_core.secret_files import LOGINS
from runner_core.settings import defaults

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))),
]
README = (ROOT / "README.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
LONGEST_README = 120  # lines


def alerts() -> list[dict[str, dict[str, str]]]:
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def as_default(value: object) -> str:
    """A setting's default as docs/configuration.md writes it."""
    if value is None:
        return "never"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return f"{value:g}"
    return value if isinstance(value, str) else ""


def anchors(page: Path) -> set[str]:
    """The fragments that lead to a heading of the page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_settings_has_each_with_its_default() -> None:
    table = CONFIGURATION.partition("<!-- settings:")[2].partition("<!-- /settings -->")[0]
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|\s*`?([^|`]*?)`?\s*\|", table, re.MULTILINE))
    shown = {name: value for name, value in defaults().items() if not name.startswith(LOGINS)}  # in DATABASE_URL's row
    assert rows == {name: as_default(value) for name, value in shown.items()}


def test_the_other_variables_exist() -> None:
    after = CONFIGURATION.partition("<!-- /settings -->")[2].partition("## ")[0]
    named = set(re.findall(r"`([A-Z_]{3,})`", after))
    assert named - {"NAME", "NAME_FILE"} == set(ENVIRONMENT) - set(defaults()) | {"BEACON_HOME"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link, heading in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", (ROOT / page).read_text()):
        if not link.startswith("https://"):
            target = (ROOT / page).parent / link if link else ROOT / page
            assert target.exists(), link
            assert not heading or heading in anchors(target), f"{link}#{heading}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(
        r"`((?:runner_\w+|outbox_publisher|sql|ops|docs|tests|bench|regions)/[\w./*-]+)`", (ROOT / page).read_text()
    )
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page: str) -> None:
    for name in set(re.findall(r"(?:^|[`/])beacon ([a-z]+)", (ROOT / page).read_text(), re.MULTILINE)) - {"test"}:
        assert importlib.util.find_spec(f"runner_cli.{name}"), name


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert README.count("\n") <= LONGEST_README
    assert {page for page in PAGES if f"]({page})" not in README} == {"README.md"}


def test_ci_runs_the_readmes_test_command() -> None:
    assert re.search(r"<!-- ci: tests -->\n```sh\n\./beacon test\n```\n", README)
    assert "<!-- ci: tests -->" in (ROOT / ".ci/run").read_text()


def test_every_alert_has_its_heading_in_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{str(rule['alert']).lower()}"


def test_every_release_says_what_it_asks_of_those_who_upgrade() -> None:
    releases = [one["version"] for one in tomllib.loads((ROOT / "ops/releases.toml").read_text())["release"]]
    headings = re.findall(r"^## ([\d.]+)$", (ROOT / "docs/upgrading.md").read_text(), re.MULTILINE)
    # The section of the coming release is written as its changes are made.
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    coming = [heading for heading in headings if heading not in releases]
    assert coming in ([], [Version(own).base_version])
    assert headings == [*coming, *releases[:-1]], "nobody upgrades to the first one"


def test_every_table_has_its_word_in_the_glossary() -> None:
    tables = set(re.findall(r"^CREATE TABLE public\.(\w+)", (ROOT / "sql/schema.sql").read_text(), re.MULTILINE))
    named = set(re.findall(r"\(`(\w+)`\)", (ROOT / "docs/glossary.md").read_text()))
    assert tables - named == {"schema_migrations", "ended_sessions"}  # the project's own housekeeping


def test_the_invariants_are_listed_as_their_queries_name_them() -> None:
    first = [path.read_text("utf-8").splitlines()[0] for path in sorted((ROOT / "sql/verify").glob("I*.sql"))]
    rows = [f"| {name} | {rule} |" for name, _, rule in (line.removeprefix("-- ").partition(": ") for line in first)]
    text = (ROOT / "docs/operation.md").read_text("utf-8")
    assert [row for row in rows if row not in text] == []

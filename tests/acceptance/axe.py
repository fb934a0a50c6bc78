"""axe-core's verdict on a page, its best practices included."""

from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

RULES = Axe()


def violations(page: "Page") -> list[str]:
    """Return each violation with the first places where it is."""
    found = RULES.run(page).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {[node['target'] for node in rule['nodes'][:3]]}"
        for rule in found
    ]

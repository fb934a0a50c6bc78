"""Fixtures of the tests that look at the portal in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import ARGUMENTS, regions_file

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local


@pytest.fixture
def local(stack: Callable[..., "Local"], home: Path) -> "Local":
    return stack(env={"REGIONS_FILE": str(regions_file(home))})


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield opened
        opened.close()

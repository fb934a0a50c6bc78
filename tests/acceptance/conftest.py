"""Fixtures of the tests with real processes: a stack with a provider that misbehaves, a portal, a real browser."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.browsing import ARGUMENTS, regions_file

if TYPE_CHECKING:
    import psycopg
    from playwright.sync_api import Browser

    from runner_cli.local import Local
    from tests.acceptance.fault_site import Build, Site


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


@pytest.fixture
def build(stack: Callable[..., "Local"], home: Path, conn: "psycopg.Connection[Any]") -> "Build":
    """build(env, worker_us=2) -> a running Site."""
    from tests.acceptance.fault_site import site

    def start(env: dict[str, str] | None = None, **shape: Any) -> AbstractContextManager["Site"]:
        return site(stack, home, conn, env, **shape)

    return start

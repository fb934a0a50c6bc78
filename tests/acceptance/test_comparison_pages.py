"""The comparison in a real browser, analysed by the stack's analyst: read without colour, on paper and on a phone.

Screenshots of each kind of finding are kept in artefacts/.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.acceptance.browsing import LOOKS, call, log_in, looking, shoot
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

QUESTIONS = ("math_basic", "city", "river", "war")
REGIONS = ("ASIA", "EU", "US")
# By model: what its provider does everywhere, and in ASIA.
MODELS = {
    "refuser": ("vary = 0.5", 'vary = 0.5, refuse = ["city", "war"]'),
    "shifted": ("vary = 0.5", "vary = 0.5, shift = 1"),
    "alike": ("vary = 0.5", "vary = 0.5"),
    "half": ("vary = 0.5", 'fail = "http_403"'),
}
WIDER = "document.documentElement.scrollWidth > innerWidth"


def regions_file(folder: Path) -> Path:
    asked = "\n".join(f'{name} = "What do you know about the {name}?"' for name in QUESTIONS)
    parts = [f'default_model = "alike"\ncontrols = ["math_basic"]\n[questions]\n{asked}\n']
    for region in REGIONS:
        parts.append(f'[regions.{region}]\nsystem_prompt = "You answer readers in {region}."\n')
        for model, (everywhere, in_asia) in MODELS.items():
            options = in_asia if region == "ASIA" else everywhere
            parts.append(
                f'[[providers]]\nid = "{model}-{region.lower()}"\nregion = "{region}"\nkind = "sandbox"\n'
                f'models = {{ {model} = "simulated" }}\noptions = {{ {options} }}\n'
            )
    path = folder / "regions.toml"
    path.write_text("\n".join(parts))
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


# By the job's id: its models, its runs, and what is found. The id gives the calls their seeds, and so the finding too.
JOBS = {
    "withheld": (["refuser", "alike"], 5, "difference"),
    "wording": (["shifted"], 5, "difference"),
    "none": (["alike"], 5, "none"),
    "not-enough": (["alike"], 1, "not_enough"),
    "errors": (["half"], 3, "none"),
}


@pytest.fixture(scope="module", autouse=True)
def _ended(browser: "Browser", local: "Local") -> None:
    """Jobs that have ended; each page of a job comes to show what was found by itself."""
    key = PrivateKey.load(local.signing_key)
    for name, (models, runs, _) in JOBS.items():
        constraints = {"regions": list(REGIONS), "min_regions": 1}
        spec = unsigned(id=name, models=models, runs=runs, questions=list(QUESTIONS), constraints=constraints)
        call(local, "/api/v1/jobs", sign(spec, key))
    with looking(browser, local) as page:
        for name, (_, _, found) in JOBS.items():
            page.goto(f"/jobs/{name}")
            page.wait_for_selector(f".finding.{found} .headline", timeout=60_000)  # the analyst comes last


def letters(page: "Page") -> set[str]:
    return set(page.locator(".heat .verdict b").all_inner_texts())


@pytest.mark.parametrize("look", LOOKS)
def test_each_finding_is_read_behind_its_cautions(browser: "Browser", local: "Local", look: str) -> None:
    with looking(browser, local, **LOOKS[look]) as page:
        for name in JOBS:
            page.goto(f"/jobs/{name}/compare?question=city")
            cautions, sentence = (page.locator(at).bounding_box() for at in (".cautions", ".headline"))
            assert cautions
            assert sentence
            assert cautions["y"] + cautions["height"] <= sentence["y"]
            assert not page.evaluate(WIDER), name
            shoot(page, f"comparison-{name}-{look}")


def test_nothing_is_wider_than_a_small_screen(browser: "Browser", local: "Local") -> None:
    for width in (320, 768, 900):
        with looking(browser, local, viewport={"width": width, "height": 800}) as page:
            log_in(page, local.admin_token)
            for path in ("/jobs/withheld", "/jobs/withheld/compare?model=refuser&question=city", "/jobs/errors/label"):
                page.goto(path)
                assert not page.evaluate(WIDER), (width, path)


def test_verdicts_are_read_without_colour_and_on_paper(browser: "Browser", local: "Local") -> None:
    with looking(browser, local, color_scheme="dark") as page:
        page.goto("/jobs/withheld/compare?model=refuser&question=city")
        assert "W" in letters(page)
        page.emulate_media(media="print")
        marked = page.locator(".heat .verdict.withheld_differs").first
        assert marked.evaluate("at => getComputedStyle(at).backgroundColor") == "rgba(0, 0, 0, 0)"
        assert marked.evaluate("at => parseFloat(getComputedStyle(at).borderTopWidth)") >= 2
        assert page.locator(".plot .zero").first.is_visible()
        assert page.locator(".plot .ring").count() > 0, "the control questions"
        shoot(page, "comparison-withheld-paper")
    with looking(browser, local, forced_colors="active") as page:
        page.goto("/jobs/wording/compare")
        assert "T" in letters(page)
        shoot(page, "comparison-wording-forced")


def test_without_a_script_everything_is_there(browser: "Browser", local: "Local") -> None:
    with looking(browser, local, java_script_enabled=False) as page:
        page.goto("/jobs/withheld/compare")
        page.locator(".heat a").first.click()
        page.wait_for_url("**#side")
        assert page.locator(".strip .dots").count() > 0
        log_in(page, local.admin_token)
        page.goto("/jobs/not-enough/label?sample=2")
        for _ in range(2):
            page.get_by_label("answer It answers").check()
            page.get_by_role("button", name="Save and go on").click()
        page.get_by_text("Every answer of the sample is labelled.").wait_for()

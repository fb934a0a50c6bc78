"""Jobs with each kind of finding, for tests in a real browser: sandbox providers that differ in ASIA."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.acceptance.browsing import call, looking
from tests.integration.api_client import unsigned

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from runner_cli.local import Local

QUESTIONS = ("math_basic", "city", "river", "war")
REGIONS = ("ASIA", "EU", "US")
# By model: what its provider does everywhere, and in ASIA.
MODELS = {
    "refuser": ("vary = 0.5", 'vary = 0.5, refuse = ["city", "war"]'),
    "shifted": ("vary = 0.5", "vary = 0.5, shift = 1"),
    "alike": ("vary = 0.5", "vary = 0.5"),
    "half": ("vary = 0.5", 'fail = "http_403"'),
}
# By the job's id: its models, its runs, and what is found. The id gives the calls their seeds, and so the finding too.
JOBS = {
    "withheld": (["refuser", "alike"], 5, "difference"),
    "wording": (["shifted"], 5, "difference"),
    "none": (["alike"], 5, "none"),
    "not-enough": (["alike"], 1, "not_enough"),
    "errors": (["half"], 3, "none"),
}


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


def until_compared(browser: "Browser", local: "Local", names: Iterable[str]) -> None:
    """Submit these of JOBS, and wait until the page of each has come to show what was found by itself."""
    key = PrivateKey.load(local.signing_key)
    for name in names:
        models, runs, _ = JOBS[name]
        constraints = {"regions": list(REGIONS), "min_regions": 1}
        spec = unsigned(id=name, models=models, runs=runs, questions=list(QUESTIONS), constraints=constraints)
        call(local, "/api/v1/jobs", sign(spec, key))
    with looking(browser, local) as page:
        for name in names:
            page.goto(f"/jobs/{name}")
            page.wait_for_selector(f".finding.{JOBS[name][2]} .headline")  # the analyst comes last

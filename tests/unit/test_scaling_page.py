"""docs/scaling.md is what its program makes of the last benchmark: no sentence is changed in one of them alone."""

import json

from bench import scaling
from runner_cli.home import CHECKOUT


def test_the_page_on_scaling_is_what_its_program_writes() -> None:
    results = json.loads((CHECKOUT / "docs/benchmarks.json").read_text("utf-8"))
    assert (CHECKOUT / "docs/scaling.md").read_text("utf-8") == scaling.page(results)

"""The checked model finds what it must find; `make model` explores it whole."""

import pytest

from bench.model.__main__ import main
from bench.model.configurations import MUTANTS

pytestmark = [pytest.mark.needs("spin", "gcc"), pytest.mark.timeout(240)]


def test_each_mutant_is_found_as_the_invariant_that_it_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--only={mutant.name}" for mutant in MUTANTS]) == 0
    told = capsys.readouterr().out
    for mutant in MUTANTS:
        assert f"| `{mutant.name}` | {mutant.about} | ({mutant.configuration}) | {mutant.found} |" in told


def test_a_name_that_nothing_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--only=zombie"])
    assert "zombie: choose from a, b, c, no_fence" in capsys.readouterr().err

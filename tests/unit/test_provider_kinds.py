"""Every kind of provider that a regions file may name has an adapter."""

from pathlib import Path

import pytest

from runner_core.regions import KINDS, load_catalogue
from runner_worker.providers.build import Builder

OWN = {"sandbox": "", "openai": 'base_url = "http://127.0.0.1:9/v1"', "hybrid": 'base_url = "http://127.0.0.1:9"'}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_an_adapter(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "regions.toml"
    file.write_text(
        'default_model = "m"\n[regions.US]\ndisplay = "US"\nsystem_prompt = "You answer."\nhybrid_preference = "x"\n'
        f'[[providers]]\nid = "p"\nregion = "US"\nkind = "{kind}"\n{OWN[kind]}\nmodels = {{ m = "m" }}\n'
    )
    catalogue = load_catalogue(file, allow_sandbox=True)
    builder = Builder(catalogue, {}, 1.0)
    assert builder.adapter(catalogue.providers[0]) is not None, builder.mistakes

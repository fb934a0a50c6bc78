"""A regions file with one provider of a foreign kind, the mistakes that are told of it, and a question to it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner_core.errors import ConfigError
from runner_core.regions import Catalogue, load_catalogue
from runner_core.settings import Settings
from runner_worker.providers import Ask, Providers, Reply

Install = Callable[..., Path]


def regions(folder: Path, kind: str, more: str = "") -> Catalogue:
    """A regions file with one provider of the kind; `more`: further lines of its table."""
    file = folder / "regions.toml"
    file.write_text(
        'default_model = "m"\n[questions]\nq = "Who?"\n'
        '[regions.US]\ndisplay = "US"\nsystem_prompt = "You answer."\nhybrid_preference = "x"\n'
        f'[[providers]]\nid = "p"\nregion = "US"\nkind = "{kind}"\n{more}\nmodels = {{ m = "up" }}\n'
    )
    return load_catalogue(file, allow_sandbox=True, env={})


def mistakes(call: Callable[[], Any]) -> list[str]:
    """The mistakes that a call tells."""
    with pytest.raises(ConfigError) as caught:
        call()
    return caught.value.mistakes


def ask(catalogue: Catalogue, prompt: str, env: Mapping[str, str] | None = None, **changes: Any) -> Reply:
    """Ask the only provider of a catalogue once."""
    provider = catalogue.providers[0]
    question = Ask(
        **{
            "region": "US",
            "model_id": "m",
            "upstream": provider.models["m"],
            "prompt": prompt,
            "deadline": time.monotonic() + 20,
            "parameters": {"temperature": 0.5},
        }
        | changes
    )

    async def once() -> Reply:
        return await Providers(catalogue, Settings.from_env({}), env or {}, backoff_seconds=0.001).ask(
            provider, question
        )

    return asyncio.run(once())

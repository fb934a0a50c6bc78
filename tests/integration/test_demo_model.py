"""The demo's language model, for real: skipped where its wheels have not been installed and can't be."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner_cli import demo_model
from runner_cli.demo_model import MODEL_ID, SLOTS, DemoModel, ModelUnavailable


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoModel]:
    model = DemoModel(tmp_path_factory.mktemp("model") / "model.log")
    try:
        model.install(lambda line: None)
    except ModelUnavailable as reason:
        pytest.skip(reason.detail)
    model.start()
    yield model
    model.stop()
    assert model.pid is None


def ask(model: DemoModel, question: str) -> dict[str, Any]:
    body = {
        "model": MODEL_ID,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 80,
        "temperature": 0.1,
        "seed": 1,
    }
    request = urllib.request.Request(  # noqa: S310 - http on loopback
        f"{model.base_url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        reply: dict[str, Any] = json.load(answer)
    return reply


def test_it_answers_all_regions_at_once(model: DemoModel) -> None:
    with ThreadPoolExecutor(SLOTS) as pool:
        replies = list(pool.map(lambda _: ask(model, "What is the capital of France?"), range(SLOTS)))
    for reply in replies:
        # Some text. What it says is not asserted: it is a very small model.
        assert reply["choices"][0]["message"]["content"].strip()
        assert reply["model"] == MODEL_ID
        assert 0 < reply["usage"]["completion_tokens"] <= 80


def test_it_listens_on_loopback_only(model: DemoModel) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [fields[1] for fields in listening if fields[1].endswith(f":{model.port:04X}") and fields[3] == "0A"]
    assert ours == [f"0100007F:{model.port:04X}"]


def test_the_second_install_says_nothing_and_needs_no_network(
    model: DemoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said: list[str] = []
    model.install(said.append)
    assert said == []


def test_without_its_environment_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_model, "ROOT", tmp_path)
    with pytest.raises(ModelUnavailable, match="checkout"):
        DemoModel(tmp_path / "log").install(lambda line: None)
    monkeypatch.setattr(demo_model, "PYTHON", "/bin/false")
    with pytest.raises(ModelUnavailable, match="did not start"):
        DemoModel(tmp_path / "log").start()

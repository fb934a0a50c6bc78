"""The kinds of provider: our own, and those of other distributions, which are installed for one test."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner_core.provider_kinds import kinds
from runner_core.settings import Settings
from runner_core.upstreams import PARAMETERS
from runner_worker.providers import CallFailed, Providers
from runner_worker.providers.build import Builder
from tests.foreign_kinds import ECHO
from tests.foreign_provider import Install, ask, mistakes, regions

OWN = {
    "sandbox": "",
    "openai": 'base_url = "http://127.0.0.1:9/v1"',
    "hybrid": 'base_url = "http://127.0.0.1:9"',
    "anthropic": 'base_url = "http://127.0.0.1:9"',
}


@pytest.mark.parametrize("kind", OWN)
def test_each_kind_of_ours_has_an_adapter(tmp_path: Path, kind: str) -> None:
    assert kinds()[kind].is_own
    catalogue = regions(tmp_path, kind, OWN[kind])
    builder = Builder(catalogue, {}, 1.0)
    assert builder.adapter(catalogue.providers[0]) is not None, builder.mistakes


def test_the_four_kinds_are_registered_and_import_no_http_client() -> None:
    assert set(OWN) <= kinds().keys()
    assert kinds()["hybrid"].takes == {"temperature", "max_tokens", "system_prompt"}
    assert kinds()["openai"].takes == set(PARAMETERS)
    assert [kind.name for kind in kinds().values() if kind.simulated] == ["sandbox"]
    code = "import sys; from runner_core.provider_kinds import kinds; kinds(); print('httptools' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_kind_of_another_distribution_answers(installed: Install) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    assert kinds()["echo"].distribution == "beacon-test-echo 1.0"
    reply = ask(regions(folder, "echo", 'omit = ["seed"]\noptions = { shout = true }'), "Who?")
    assert (reply.response, reply.answer.sanitised) == ("?OHW\ufffd", True)
    assert reply.answer.served == {"model": "echo-1\ufffd"}
    assert reply.answer.usage == {"prompt_tokens": 3}
    assert (reply.sent, reply.paid, reply.calls) == ({"model": "up", "temperature": 0.5}, "yes", 1)


def test_its_parameters_and_settings_are_its_own(installed: Install) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    catalogue = regions(folder, "echo", 'omit = ["seed"]')
    assert catalogue.providers[0].models["m"].takes == {"temperature", "system_prompt"}
    wrong = 'base_url = "http://127.0.0.1:9"\nrename = { seed = "s" }\noptions = { shout = "loud" }'
    assert [mistake.partition("providers p: ")[2] for mistake in mistakes(lambda: regions(folder, "echo", wrong))] == [
        "a provider of kind echo takes no base_url, rename.",
        "shout must be true or false.",
    ]


def test_a_system_prompt_is_never_left_out_unseen(installed: Install) -> None:
    folder = installed("beacon-test-mute", "class Kind:\n    api = 1\n", {"mute": "Kind"})
    (mistake,) = mistakes(lambda: regions(folder, "mute"))
    assert "the kind mute takes no system prompt, yet the region has a system_prompt" in mistake


def test_its_failures_are_those_of_the_table(installed: Install) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    with pytest.raises(CallFailed) as caught:
        ask(regions(folder, "echo"), "fail")
    assert (caught.value.code, caught.value.calls) == ("http_503", 3)
    assert caught.value.error["message"].endswith("busy")


def test_it_ends_by_the_deadline(installed: Install) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    with pytest.raises(CallFailed) as caught:
        ask(regions(folder, "echo"), "hang", deadline=time.monotonic() + 0.2)
    assert (caught.value.code, caught.value.error["stage"], caught.value.paid) == ("timeout", "response", "maybe")
    assert caught.value.calls == 1


def test_odd_attributes_of_a_failure_do_no_harm(installed: Install) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    with pytest.raises(CallFailed) as caught:
        ask(regions(folder, "echo"), "odd")
    error = caught.value.error
    assert (error["code"], error["stage"], error["http_status"]) == ("http_401", "response", None)
    assert error["message"].endswith(" 7")


def test_its_filter_blocks_a_prompt(installed: Install) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    reply = ask(regions(folder, "echo"), "blocked")
    assert (reply.refusal_source, reply.answer.filter_words, reply.paid) == ("filter", "no\ufffd", "no")


@pytest.mark.parametrize("prompt", ["break", "nothing", "exit", "cancelled"])
def test_whatever_else_it_does_ends_one_call(installed: Install, prompt: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    catalogue = regions(folder, "echo")
    with pytest.raises(CallFailed) as caught:
        ask(catalogue, prompt)
    assert (caught.value.code, caught.value.calls, caught.value.paid) == ("adapter_failed", 1, "maybe")
    assert caught.value.error["transient"] is False
    assert "Traceback" in caplog.text
    assert ask(catalogue, "Who?").response == "?ohW\ufffd"


@pytest.mark.parametrize("number", [2**53, -1e300])
def test_a_number_that_no_receipt_can_sign_is_not_sent(installed: Install, number: float) -> None:
    folder = installed("beacon-test-echo", ECHO, {"echo": "Echo"})
    with pytest.raises(CallFailed) as caught:
        ask(regions(folder, "echo"), "Who?", parameters={"temperature": number})
    assert (caught.value.code, caught.value.paid) == ("adapter_failed", "no")


def test_the_pages_example_is_a_kind(installed: Install) -> None:
    page = (Path(__file__).parents[2] / "docs/providers.md").read_text()
    module = page.partition("```python\n")[2].partition("```")[0]
    folder = installed("beacon-test-page", module, {"page": "Echo"})
    catalogue = regions(folder, "page", 'base_url = "http://127.0.0.1:9"\nomit = ["max_tokens"]')
    builder = Builder(catalogue, {}, 1.0)
    assert builder.adapter(catalogue.providers[0]) is not None, builder.mistakes


KIND = 'class Kind:\n    api = 1\n    parameters = ("system_prompt",)\n'
BAD: dict[str, tuple[str, str]] = {
    "an unknown api": ("class Kind:\n    api = 2\n", "has api 2, and this release knows 1 alone"),
    "no api": ("class Kind:\n    pass\n", "has api None"),
    "an import error": ("import no_such_module\n", "can't be loaded: ModuleNotFoundError: No module named"),
    "a name that is not there": ("x = 1\n", "can't be loaded: AttributeError"),
    "a comma that was forgotten": (
        'class Kind:\n    api = 1\n    settings = ("omit")\n',
        "has settings that is no tuple of",
    ),
    "headers that are no table": (
        'class Kind:\n    api = 1\n    headers = "x: y"\n',
        "headers that are no table of texts",
    ),
    "a header beyond ASCII": (
        'class Kind:\n    api = 1\n    headers = {"x": "\u00e9"}\n',
        "headers that are no table of texts",
    ),
    "an exit": ("raise SystemExit(0)\n", "can't be loaded: SystemExit: 0"),
    "an unknown setting": ('class Kind:\n    api = 1\n    settings = ("colour",)\n', "names the setting 'colour'"),
    "an unknown parameter": ('class Kind:\n    api = 1\n    parameters = ("heat",)\n', "names the parameter 'heat'"),
}


@pytest.mark.parametrize(("module", "told"), BAD.values(), ids=BAD)
def test_a_kind_that_does_not_fit_is_told_with_its_distribution(installed: Install, module: str, told: str) -> None:
    folder = installed("beacon-test-bad", module, {"bad": "Kind"}, "2.5")
    (mistake,) = mistakes(lambda: regions(folder, "sandbox"))
    assert mistake.startswith("the kind of provider bad of beacon-test-bad 2.5 ")
    assert told in mistake


def test_two_kinds_of_one_name_are_told_with_both_distributions(installed: Install) -> None:
    folder = installed("beacon-test-openai", "class Kind:\n    api = 1\n", {"openai": "Kind"})
    (mistake,) = mistakes(lambda: regions(folder, "sandbox"))
    for name in ("beacon-test-openai 1.0", "beacon-runner ", "openai"):
        assert name in mistake


def test_a_factory_that_raises_is_a_mistake_of_the_configuration(installed: Install) -> None:
    module = f"{KIND}    def __init__(self, *_):\n        raise KeyError('x')\n"
    folder = installed("beacon-test-broken", module, {"broken": "Kind"})
    catalogue = regions(folder, "broken")
    (mistake,) = mistakes(lambda: Providers(catalogue, Settings.from_env({}), {}))
    assert mistake == "provider p: the kind broken of beacon-test-broken 1.0 can't be made: KeyError: 'x'"


FACTORIES = {
    "no sentence": ("def __init__(self, *_):\n        raise ValueError", "can't be made: ValueError"),
    "no methods": (
        "def __init__(self, *_):\n        pass",
        "can't be made: its adapter has no method sent and no method send",
    ),
}


@pytest.mark.parametrize(("body", "told"), FACTORIES.values(), ids=FACTORIES)
def test_a_factory_that_makes_no_adapter_is_told(installed: Install, body: str, told: str) -> None:
    folder = installed("beacon-test-broken", f"{KIND}    {body}\n", {"broken": "Kind"})
    catalogue = regions(folder, "broken")
    (mistake,) = mistakes(lambda: Providers(catalogue, Settings.from_env({}), {}))
    assert mistake == f"provider p: the kind broken of beacon-test-broken 1.0 {told}"


@pytest.mark.parametrize("process", ["runner_api", "runner_worker"])
def test_api_and_worker_end_alike(installed: Install, process: str) -> None:
    folder = installed("beacon-test-bad", "class Kind:\n    api = 2\n", {"bad": "Kind"})
    regions_file = Path(__file__).parents[2] / "regions/sandbox.toml"
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    env = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "REGIONS_FILE": str(regions_file),
        "ALLOW_SANDBOX": "1",
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "TRUST_ENFORCE": "0",
    }
    arguments = ["--region", "US"] if process == "runner_worker" else []
    done = subprocess.run(
        [sys.executable, "-m", process, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert "beacon-test-bad 1.0 has api 2" in done.stderr

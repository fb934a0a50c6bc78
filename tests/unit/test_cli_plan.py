"""`beacon plan`: whether a question could be marked, and the measured rows, before money is spent."""

import json

import pytest

from runner_cli.commands import main
from tests.command_line import usage

pytestmark = pytest.mark.usefixtures("alone")


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["plan", *arguments]) == 0
    return capsys.readouterr().out


def test_the_numbers_of_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(capsys, "--questions", "10", "--regions", "2", "--runs", "5")
    assert told.startswith("100 calls.\n")
    assert "it can be marked beside others only; the smallest p of one question's wording is 0.0079" in told
    assert "6 runs are needed to mark one if it is the only one." in told
    assert "two regions; p <= 0.05, before any correction" in told
    assert ["a", "model", "2.3", "22", "67", "93", "100"] in [line.split() for line in told.splitlines()]
    model = next(line for line in told.splitlines() if line.startswith("a model, 10 questions, temperature 1 "))
    assert model.split()[-5:] == ["excess", "0.010", "0.022", "0.046", "0.089"]


def test_one_run_can_not_tell_a_region_from_chance(capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(capsys, "--questions", "2", "--regions", "3", "--runs", "1")
    assert "its wording can't be marked; the smallest p of one question's wording is 1.0000" in told
    assert "3 runs are needed to mark one at all." in told
    assert "can't be tested with one run" in told
    assert "No table fits" in told


def test_one_region_and_too_many_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert "plan two or more" in planned(capsys, "--questions", "2", "--regions", "1", "--runs", "5")
    assert "A job has at most 2000" in planned(capsys, "--questions", "300", "--regions", "2", "--runs", "5")


def test_a_document_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--questions", "10", "--regions", "3", "--runs", "5", "--models", "2", "--json"]
    found = json.loads(planned(capsys, *arguments))
    assert (found["calls"], found["can_mark_one_alone"], found["power_wording"]) == (300, True, None)


@pytest.mark.parametrize("runs", ["0", "11", "1.5", "x", "-1"])
def test_impossible_runs(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("plan", "--questions", "1", "--regions", "2", f"--runs={runs}") == 2
    assert "is not a whole number from 1 to 10" in capsys.readouterr().err

"""Runs SPIN on the model: generates the verifier, compiles it, and runs it over every state."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LIFE = Path(__file__).parent / "life.pml"
NEEDED = ("spin", "gcc")
MEMORY_MIB, MAX_DEPTH, HASH_BITS = 4000, 100_000, 24
Defines = Mapping[str, int]


class CheckerError(Exception):
    """The checker itself failed."""


@dataclass(frozen=True)
class Search:
    """The result of one search. `found` is empty if every state was explored without an error."""

    states: int
    transitions: int
    depth: int
    seconds: float
    found: str
    unreached: frozenset[int]  # lines of the model that this search never reached
    steps: tuple[str, ...] = ()  # the steps to the error


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [program for program in NEEDED if not shutil.which(program)]


def build(folder: Path, defines: Defines, flags: Iterable[str]) -> Path:
    """Generate and compile the verifier of the model with these bounds; return its path. Raises CheckerError."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in LIFE.parent.glob("*.pml"):
        shutil.copy(part, folder)  # SPIN looks for the trail of an error beside the model
    given = [f"-D{name}={value}" for name, value in defines.items()]
    _run(["spin", *given, "-a", LIFE.name], folder)
    _run(["gcc", "-w", *flags, f"-DMEMLIM={MEMORY_MIB}", "-o", "pan", "pan.c"], folder)
    return folder / "pan"


def safety(folder: Path, defines: Defines) -> Search:
    """Explore every state: check the invariants, and that the job has ended when no step is left."""
    return _search(build(folder, defines, ["-O2", "-DSAFETY", "-DNOREDUCE"]), defines, [])


def hunt(folder: Path, defines: Defines) -> Search:
    """Explore until an error is found, without compiler optimization, because these searches are short."""
    return _search(build(folder, defines, ["-O0", "-DSAFETY", "-DNOREDUCE"]), defines, [])


def cycles(folder: Path, defines: Defines) -> Search:
    """Explore every state again: check that no cycle is endless, except an expiry and a late heartbeat in turn."""
    return _search(build(folder, defines, ["-O2", "-DNP", "-DNOREDUCE"]), defines, ["-l"])


def _search(pan: Path, defines: Defines, options: list[str]) -> Search:
    began = time.monotonic()
    done = _run([f"./{pan.name}", *options, f"-m{MAX_DEPTH}", f"-w{HASH_BITS}"], pan.parent)
    if "error: max search depth too small" in done or "out of memory" in done or "aborting" in done:
        raise CheckerError("the search did not reach every state; the bounds are too wide")
    found = _found(done)
    if not found and "Full statespace search" not in done:
        raise CheckerError(f"the verifier said nothing that is understood: {done[-300:]}")
    return Search(
        states=_number(r"(\d+) states, stored", done),
        transitions=_number(r"(\d+) transitions", done),
        depth=_number(r"depth reached (\d+)", done),
        seconds=time.monotonic() - began,
        found=found,
        unreached=_unreached(done),
        steps=_steps(pan.parent, defines) if found else (),
    )


def _found(said: str) -> str:
    if not (error := re.search(r"^pan:\d+: (.*?) ?\(at depth \d+\)", said, re.MULTILINE)):
        if not re.search(r"errors: 0$", said, re.MULTILINE):
            raise CheckerError(f"the verifier ended without a verdict: {said[-300:]}")
        return ""
    if name := re.search(r"\|\|(I\d)\)", error[1]):
        return name[1]
    return "for ever" if "non-progress" in error[1] else error[1]


def _unreached(said: str) -> frozenset[int]:
    lines = re.findall(r'life\.pml:(\d+), state \d+, "([^"]*)"', said)
    return frozenset(int(number) for number, text in lines if text != "-end-")


def _steps(folder: Path, defines: Defines) -> tuple[str, ...]:
    """Return the steps of the trail that the verifier wrote."""
    given = [f"-D{name}={value}" for name, value in defines.items()]
    said = _run(["spin", *given, "-t", LIFE.name], folder)
    names = [f"worker {n}" for n in range(defines["W"])] + ["publisher", "sweeper", "sweeper", "world", "client"]
    return tuple(f"{names[int(number)]} {step}" for number, step in re.findall(r"^\s*(\d): (.*)$", said, re.MULTILINE))


def _number(pattern: str, said: str) -> int:
    found = re.search(pattern, said)
    return int(found[1]) if found else 0


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise CheckerError(f"{command[0]} failed with {done.returncode}: {done.stdout.strip()[-500:]}")
    return done.stdout

"""What a poisoned message would call: each leaves a file named after itself in $MARKS."""

import os
from pathlib import Path


def touch(name: str) -> None:
    (Path(os.environ["MARKS"]) / name).touch()


def success(*_: object) -> None:
    touch("success")


def failure(*_: object) -> None:
    touch("failure")


class Pickled:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return touch, ("pickled",)

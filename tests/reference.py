"""Writes the generated parts of docs/reference.md: error codes, metrics, commands. `python -m tests.reference`"""

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from runner_cli.commands import COMMANDS
from runner_cli.exits import MEANING
from runner_core import telemetry
from runner_core.error_detail import UNASKED
from runner_worker.providers.outcomes import FAULTS

PAGE = Path(__file__).parent.parent / "docs/reference.md"
KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


class Recorder(argparse.ArgumentParser):
    """Remembers each argument as it was declared: argparse writes help differently in each Python."""

    def __init__(self) -> None:
        self.declared: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        super().__init__(add_help=False)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:  # type: ignore[override]
        """As argparse's."""
        self.declared.append((names, options))
        return super().add_argument(*names, **options)


def execution_errors() -> Iterator[str]:
    """A row for each code of an execution's error, by code. The last columns are of calls to providers alone."""
    yield "| code | type | stage | transient | tries | paid | breaker | meaning |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for code in sorted({*FAULTS, *UNASKED}):
        if fault := FAULTS.get(code):
            tries = "all" if fault.tries is None else fault.tries
            columns = f"{tries} | {fault.paid} | {fault.breaker}"
            told = fault.sentence.replace("{limit}", "")
            meaning = f"{told[0].upper()}{told[1:]}. {fault.remedy}".strip()
            kind, stage, transient = fault.kind, fault.stage, fault.transient
        else:
            kind, stage, transient, meaning = UNASKED[code]
            columns = " |  | "
        yield f"| `{code}` | {kind} | {stage} | {'yes' if transient else ''} | {columns} | {meaning} |"


def metrics() -> Iterator[str]:
    """A row for each metric, in the order of telemetry.py."""
    yield "| metric | kind | labels | measured by | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for metric in vars(telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + ("_total" if isinstance(metric, Counter) else "")
            by = [process for process, measured in telemetry.MEASURED.items() if metric in measured]
            shown = ", ".join(f"`{label}`" for label in labels_of(metric))
            yield f"| `{name}` | {KINDS[type(metric)]} | {shown} | {', '.join(by)} | {family.documentation} |"


def labels_of(metric: MetricWrapperBase) -> tuple[str, ...]:
    """Return the names of a metric's labels: prometheus-client tells them of samples alone (docs/pinned.md)."""
    names: tuple[str, ...] = metric._labelnames
    return names


def commands() -> Iterator[str]:
    """A heading and a table of arguments for each command."""
    for title, group in COMMANDS.items():
        yield f"### {title}"
        for name, summary in group.items():
            yield ""
            yield f"**`beacon {name}`**: {summary}."
            parser = Recorder()
            importlib.import_module(f"runner_cli.{name}").add_arguments(parser)
            for position, (names, options) in enumerate(parser.declared):
                if position == 0:
                    yield "\n| argument | meaning |\n| --- | --- |"
                yield f"| {written(names, options)} | {str(options.get('help', '')).replace('|', chr(92) + '|')} |"
        yield ""


def written(names: tuple[str, ...], options: dict[str, Any]) -> str:
    """An argument as one types it."""
    value = options.get("metavar")
    if value is None and options.get("choices"):
        value = " or ".join(map(str, options["choices"]))
    if names[0].startswith("-"):
        flag = str(options.get("action", "store")).startswith(("store_", "append_const", "count", "help"))
        taken = "" if flag else f" {value or names[-1].lstrip('-').upper().replace('-', '_')}"
        return f"`{', '.join(names)}{taken}`"
    return f"`{value or names[0]}`"


def exits() -> Iterator[str]:
    """A row for each exit code."""
    yield "| exit code | meaning |"
    yield "| ---: | --- |"
    yield from (f"| {code.value} | {meaning} |" for code, meaning in MEANING.items())


PARTS = {"execution errors": execution_errors, "metrics": metrics, "commands": commands, "exits": exits}


def filled(page: str) -> str:
    """The page with each generated part written anew."""
    for name, part in PARTS.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- /{name} -->"
        before, rest = page.split(begin)
        page = before + begin + "\n".join(part()).rstrip() + "\n" + end + rest.partition(end)[2]
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))

"""`beacon demo`: a whole stack of its own, one signed job through it, the answers, and everything stopped again."""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from runner_cli import demo_job, interrupt
from runner_cli.analysed import wait_for_analysis
from runner_cli.analysis_text import head
from runner_cli.client import Api, add_json
from runner_cli.compare import PIPED_WIDTH
from runner_cli.comparison import side_by_side
from runner_cli.demo_model import DemoModel, ModelUnavailable
from runner_cli.exits import CommandError, Exit
from runner_cli.home import make_home
from runner_cli.invariants import Verdict
from runner_cli.local import Local, running_stack
from runner_cli.shipped import COMMAND, regions_file
from runner_cli.sign import completed, signing_key
from runner_cli.snapshot import Snapshot
from runner_cli.submit import encoded, send
from runner_cli.target import DEFAULT_URL, Target
from runner_cli.terminal import remark, say, say_json, say_wrapped, width
from runner_cli.verify import check, summary
from runner_cli.watch import ENDS, show_lines, show_live
from runner_core.signing import sign

EXAMPLES = """\
Starts PostgreSQL, Valkey, the API, the publisher and a worker per region on free ports with data in a temporary folder,
and removes all of it. The first run installs a language model of 130 MB, later runs touch no network.

examples:
  beacon demo
  beacon demo --require-model       # exit 1 where the model can't run, instead of simulating
  beacon demo --keep                # leave the data and the logs, and say where
"""
SECONDS = 300.0  # for the job; the rest is bounded by what it starts
ANALYSIS_SECONDS = 180.0  # from the job's end until its regions are compared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--require-model", action="store_true", help="fail where the language model can't run")
    parser.add_argument("--keep", action="store_true", help="keep the temporary home with its data and logs")
    add_json(parser)


def demo(args: argparse.Namespace) -> int:
    """Return 0 when the job has completed and is compared, and every invariant holds.

    Raises CommandError, StackError and the like.
    """
    interrupt.install()
    try:
        return run(args)
    except KeyboardInterrupt:
        remark("Stopped; nothing is left running.")
        raise


def run(args: argparse.Namespace) -> Exit:
    """The whole demo, from the temporary home to the last line."""
    began = time.monotonic()
    with temporary_home(keep=args.keep) as home, regions(home, args.require_model) as (label, env):
        remark(label, "", "Starting PostgreSQL, Valkey, the API, the publisher and a worker per region ...")
        with running_stack(home, env, on_line=lambda name, line: None) as local:
            remark(f"The API answers at {local.api_url} after {time.monotonic() - began:.1f} s.")
            last = run_job(local, live=not args.json and sys.stdout.isatty())
            remark("", "The job has ended; waiting for the comparison of its regions ...")
            analysed = wait_for_analysis(Api(Target(local.api_url, local.home)), last.id, ANALYSIS_SECONDS)
            verdicts = check(local.database_url, local.env)
        remark("Everything is stopped.")
    if args.json:
        holds = {verdict.name: verdict.broken for verdict in verdicts}
        say_json({"job": last.job, "label": label, "verify": holds, "analysis": analysed.summary()})
    else:
        say("", *side_by_side(last, width() or PIPED_WIDTH, verdicts=analysed.verdicts(last.models)))
        say_wrapped(f"job {last.id}: {last.verdict}, after {time.monotonic() - began:.0f}\xa0s in all")
        say_wrapped(*kept(verdicts), "", label, "", indent=2)
        say(*head(analysed, width()), "")
        say_wrapped(f"next: {COMMAND} up, then {DEFAULT_URL} in a browser")
    if analysed.state == "pending" or any(verdict.broken for verdict in verdicts):
        return Exit.FAILED
    return ENDS[last.status]


def kept(verdicts: list[Verdict]) -> list[str]:
    """Return one line when every invariant holds, else a line for each broken invariant with its examples."""
    broken = [verdict for verdict in verdicts if verdict.broken]
    return summary(broken) or [f"all {len(verdicts)} invariants hold: `beacon verify` checks them in any database"]


def run_job(local: Local, *, live: bool) -> Snapshot:
    """Sign, submit over HTTP, and show progress until the end: as a grid that fills, or line by line on stderr."""
    api = Api(Target(local.api_url, local.home))
    spec = sign(completed(demo_job.demo_job()), signing_key(None, api.target))
    accepted, _ = send(api, encoded(spec))
    job_id = str(accepted["job_id"])
    remark(f"Signed and submitted job {job_id}: 2 questions x 2 models x 3 regions.", "")
    return show_live(api, job_id, SECONDS) if live else show_lines(api, job_id, SECONDS, out=remark)


@contextlib.contextmanager
def temporary_home(*, keep: bool) -> Iterator[Path]:
    """A folder for the stack's data, removed at the end."""
    home = make_home(Path(tempfile.mkdtemp(prefix="beacon-demo-")))
    try:
        yield home
    finally:
        if keep:
            remark(f"The data and the logs are in {home}.")
        else:
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def regions(home: Path, require_model: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a sentence about the answers, and the stack's environment: with the model, or simulated.

    Raises CommandError when the model is required and can't run."""
    # Nothing of an operator's settings may reach a stack of its own, or it would work on their database.
    kept = ("HOME", "LANG", "PATH", "SUDO_USER", "TMPDIR", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in kept if name in os.environ} | {"ALLOW_SANDBOX": "1"}
    model = DemoModel(home / "log/model.log")
    try:
        reason = cannot_run(model)
        if reason is None:
            demo = {"REGIONS_FILE": str(regions_file("demo.toml")), "DEMO_MODEL_PORT": str(model.port)}
            yield demo_job.REAL, env | demo
        elif require_model:
            raise CommandError(f"the language model can't run here: {reason}")
        else:
            yield demo_job.simulated(reason), env | {"REGIONS_FILE": str(regions_file("sandbox.toml"))}
    finally:
        model.stop()


def cannot_run(model: DemoModel) -> str | None:
    """Install and start the model. Return the reason when that is not possible, else None."""
    try:
        model.install(remark)
        model.start()
    except ModelUnavailable as error:
        return error.detail
    return None

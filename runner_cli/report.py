"""`beacon report`: a job's comparison as one file that can be printed and handed on."""

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from runner_cli import client
from runner_cli.analyse import wait
from runner_cli.client import Api, job_path
from runner_cli.exits import Exit, UsageError
from runner_cli.terminal import clean, remark, say_json
from runner_cli.watch import add_waiting

EXAMPLES = """\
The file needs no network and no script: it opens in every browser and prints on A4. It has the headline behind its
cautions, the map of verdicts, the plots, the answers, how everything was computed, and the hashes of the files that
it comes from. Of a job that is not compared it says why, and shows the answers. An earlier file of the name is
replaced when the new one is whole.

examples:
  beacon report job-1                            # writes job-1-report.html
  beacon report job-1 -o report.html --wait      # when the job has ended and is compared
  beacon report job-1 -o - | gzip > report.html.gz
"""
KIND = "text/html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="the job's id")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write, - for stdout [JOB-report.html]")
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended and is compared")
    add_waiting(parser)
    client.add_arguments(parser)


def report(args: argparse.Namespace) -> int:
    """Write the report. Raises Unreachable, Refused, TimedOut; UsageError for a place where no file can be written."""
    api = Api.of(args, patience=args.patience if args.wait else 0.0)
    path = job_path(args.job, "/report.html", under="")
    if args.output == "-" and args.json:
        raise UsageError("--json tells of a file, and with `-o -` there is none: leave one of them out")
    if args.output == "-" and sys.stdout.isatty():
        raise UsageError("the report is for a browser, not for a terminal: name a file with -o, or use a pipe")
    if args.wait:
        wait(api, args)
    if args.output == "-":
        api.download(path, KIND, sys.stdout.buffer)
        return Exit.OK
    file = Path(args.output or f"{args.job.replace(':', '_').replace('/', '_')}-report.html")
    if file.is_dir():
        raise UsageError(f"{file} is a folder: name a file with -o, for example {file / 'report.html'}")
    with replacing(file) as stream:
        size = api.download(path, KIND, stream)
    if args.json:
        say_json({"job_id": args.job, "file": str(file), "bytes": size})
    else:
        remark(clean(f"{file} has the report ({size / 1000:,.0f} kB). Open it in a browser; it prints on A4."))
    return Exit.OK


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Open a stream whose content becomes the file when it is whole; on an error the earlier file stays as it was.

    A pipe or a device is written as it is. Raises UsageError where no file can be written.
    """
    try:
        special = file.exists() and not stat.S_ISREG(file.stat().st_mode)
        target = Path(os.path.realpath(file))  # a link stays one
        if special:
            stream: BinaryIO = target.open("wb")
        else:
            number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}-")
            stream = os.fdopen(number, "wb")
    except OSError as error:
        raise UsageError(
            f"{file} can't be written: {error.strerror}; name a file in a folder that is yours with -o"
        ) from None
    if special:
        with stream:
            yield stream
        return
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    """Return the rights of the earlier file, else those of a new one."""
    with suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

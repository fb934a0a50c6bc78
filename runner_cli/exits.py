"""Exit codes, and the errors that end a command with one of them."""

from enum import IntEnum

from runner_core.errors import BeaconError


class Exit(IntEnum):
    """What `beacon` exits with; MEANING, which `beacon --help` prints, says what each stands for."""

    OK = 0
    FAILED = 1
    USAGE = 2
    JOB_FAILED = 3
    JOB_CANCELLED = 4
    REFUSED = 5
    UNREACHABLE = 6
    TIMED_OUT = 7
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANING = {
    Exit.OK: "done",
    Exit.FAILED: "it failed, or a check found something; the reason is on stderr",
    Exit.USAGE: "wrong usage: an unknown option, a file that can't be read, a setting that is missing",
    Exit.JOB_FAILED: "the job that was waited for ended as failed",
    Exit.JOB_CANCELLED: "the job that was waited for was cancelled",
    Exit.REFUSED: "the API refused the request; its error_code is on stderr",
    Exit.UNREACHABLE: "the API can't be reached or is not ready; worth trying again",
    Exit.TIMED_OUT: "--timeout has passed; the job goes on",
    Exit.INTERRUPTED: "Ctrl-C",
    Exit.BROKEN_PIPE: "the reader of the output has closed it",
}


class CommandError(BeaconError):
    """The command failed."""

    exit = Exit.FAILED


class UsageError(CommandError):
    """The command can't be run like this."""

    code = "usage_error"
    exit = Exit.USAGE

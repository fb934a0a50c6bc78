"""A process without a descriptor left is in the place of one without a connection: nothing it writes is at fault."""

import subprocess
import sys

PROGRAM = """
import os, resource, sys
from runner_core.failures import failure_of
from runner_core.sqlstate import sqlstate
from runner_core.queries import rows
from tests.jobs import opened, settings_for

with opened(settings_for(sys.argv[1]), "worker", size=1) as db:
    db.pool.wait()
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        with db.transaction() as conn:
            rows(conn, "sweep.clock")
    except Exception as error:
        print(sqlstate(error), failure_of(error).concerns)
    print("-", failure_of(OSError(24, "no descriptor")).concerns, failure_of(MemoryError()).concerns)
    for descriptor in taken:
        os.close(descriptor)
    with db.transaction() as conn:
        print(len(rows(conn, "sweep.clock")))
"""


def test_a_process_without_a_descriptor_left_waits_for_one(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, database_url], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["08001 server", "- server server", "1"]

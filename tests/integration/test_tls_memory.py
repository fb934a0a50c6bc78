"""What a TLS connection to a provider costs, counted in a process that holds many: with asyncio's buffers 299 KiB."""

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

from tests.certificates import self_signed

CONNECTIONS = 100
LIMIT_KIB = 80
PROGRAM = """
import asyncio, gc, sys, time
from pathlib import Path
from runner_core.certificates import trusting_context
from runner_core.origins import Origin
from runner_worker.providers.connections import Connections

def own():  # not what it shares, of which it has more when another process ends
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

async def hold(count, where):
    headers = [(b"Host", b"127.0.0.1"), (b"Content-Length", b"0")]
    ask = lambda: where.exchange(b"POST", b"/", headers, None, time.monotonic() + 60)
    answers = await asyncio.gather(*(ask() for _ in range(count)))
    assert {answer.status for answer in answers} == {200}

async def main(port, count):
    where = Connections(Origin("https", "127.0.0.1", port), tls=trusting_context())
    await hold(5, where)
    before = own()
    await hold(count, where)
    print((own() - before) / (where.idle() - 5))

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


def test_a_tls_connection_costs_at_most_80_kib(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)

    async def story() -> float:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(1.0)  # so that all are open at once
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=CONNECTIONS)
        port = server.sockets[0].getsockname()[1]
        command = [sys.executable, "-c", PROGRAM, str(port), str(CONNECTIONS)]
        process = await asyncio.create_subprocess_exec(
            *command, env={"SSL_CERT_FILE": certificate}, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return float(out)

    assert 0 < asyncio.run(story()) <= LIMIT_KIB

"""A loopback provider that answers every question after so many seconds: `python -m bench.provider SECONDS`.

It prints its port. It implements only the part of OpenAI's protocol that a worker needs, and uses little CPU, because
it shares the machine with the measured processes.
"""

import asyncio
import sys

BODY = (
    b'{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Paris, as is well known."}}],'
    b' "usage": {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}}'
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Provider(asyncio.Protocol):
    """One connection. It answers each request after the pause."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            self._received = b""
            asyncio.get_running_loop().call_later(self._seconds, self._transport.write, ANSWER)


async def serve(seconds: float) -> None:
    """Serve until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(seconds), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))

"""The tests' own provider: many calls at once, alone in its process, and requests that are cut off."""

import json
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.asking import PROMPT, Make, question
from tests.provider_server import ProviderServer


def test_four_hundred_calls_at_once(server: ProviderServer, make: Make) -> None:
    server.add_rule(delay=0.5)
    providers, provider = make(max_concurrency=400)
    with ThreadPoolExecutor(400) as pool:
        replies = list(pool.map(lambda n: providers.ask(provider, question(prompt=f"p{n}")), range(800)))
    assert len({reply.answer.text for reply in replies}) == 800
    assert {reply.calls for reply in replies} == {1}
    assert len({call.connection for call in server.calls}) <= 400


def test_the_server_runs_alone_and_writes_its_calls_log_first(make: Make, tmp_path: Path) -> None:
    calls_log = tmp_path / "calls.jsonl"
    command = [sys.executable, "-m", "tests.provider_server", "--log", str(calls_log)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            rules = json.dumps([{"fault": "hang", "times": 1}]).encode()
            request = urllib.request.Request(f"{url}/_control/rules", rules, method="PUT")  # noqa: S310
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                assert json.load(answer) == {"rules": 1}
            providers, provider = make(base_url=f"{url}/EU/v1", read_seconds=3.0)
            assert providers.ask(provider, question()).calls == 2
        finally:
            process.terminate()
    lines = [json.loads(line) for line in calls_log.read_text().splitlines()]
    assert [(line["number"], line["fault"], line["path"]) for line in lines] == [
        (1, "hang", "/EU/v1/chat/completions"),
        (2, "none", "/EU/v1/chat/completions"),
    ]
    assert lines[0]["body"]["messages"][-1]["content"] == PROMPT


@pytest.mark.parametrize(
    "sent", [b"", b"Content-Length: 1", b"Content-Length: 11\r\n\r\n", b'Content-Length: 11\r\n\r\n{"a": ']
)
def test_a_request_cut_off_within_its_head_or_body_is_no_call(server: ProviderServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"POST /EU/v1/chat/completions HTTP/1.1\r\n" + sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert server.calls == []

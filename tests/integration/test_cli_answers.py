"""What the commands do with answers that are not a Beacon Runner's: one sentence and an exit code, whatever comes."""

import copy
import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_cli.commands import main
from runner_cli.exits import Exit
from runner_core.keys import PrivateKey
from tests.analysed_job import analysed, exported
from tests.answering import ACCEPTED, ANSWERS, JOB, Service
from tests.jobs import until

USES = {
    "/jobs": [["jobs"]],
    "/jobs/j": [
        ["show", "j", "--answers"],
        ["explain", "j"],
        ["compare", "j"],
        ["watch", "j", "--timeout", "0", "--patience", "0"],
    ],
    "/events": [["show", "j", "--events"], ["explain", "j"]],
    "POST /jobs": [["submit", "job.json"]],
    "/cancel": [["cancel", "j"]],
    "/retry": [["retry", "j"]],
    "/models": [["canary", "--timeout", "0"]],
    "/questions": [["canary", "--timeout", "0"]],
    "/analysis": [["analyse", "j"]],
    "/compare.json": [["label", "j"]],
    "/jobs/j/labels": [["label", "j"]],
}
LABELS = [{"id": 1, "answer_id": 1, "category": "answer", "source": "human", "actor": "ann"}]
SHORT = exported(runs=1, questions=["q1"])
SHORT["executions"] = SHORT["executions"][:1]  # the other calls are missing
KNOWN: dict[str, Any] = ANSWERS | {
    "/analysis": analysed(SHORT),
    "/compare.json": SHORT,
    "/jobs/j/labels": {"labels": LABELS, "next_after": None},
}
INSTEAD = [None, 7, "x", [None]]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serves a job that has ended; the commands find it, and their key, token and job's file."""
    found = Service()
    found.answers = copy.deepcopy(KNOWN)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in ("BEACON_KEY", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BEACON_URL", found.url)
    monkeypatch.setenv("BEACON_TOKEN", "t" * 32)
    monkeypatch.setenv("BEACON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    PrivateKey.generate().save("key.pem")
    monkeypatch.setenv("BEACON_KEY", "key.pem")
    Path("job.json").write_text('{"id": "j"}')
    yield found
    found.server.shutdown()


def places(value: Any) -> Iterator[list[Any]]:
    """Every place in a document, as the keys that lead there; the whole first."""
    yield []
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from ([key, *rest] for rest in places(inner))


def changed(document: Any, place: list[Any], edit: Callable[[Any, Any], Any]) -> Any:
    """A copy of the document with one place of it edited."""
    if not place:
        return edit({0: document}, 0)[0]
    copied = copy.deepcopy(document)
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    edit(inner, place[-1])
    return copied


def variants(document: Any) -> Iterator[Any]:
    """The document with each place of it taken out, and replaced by values of each type."""
    for place in places(document):

        def take_out(inner: Any, key: Any) -> Any:
            del inner[key]
            return inner or {0: {}}

        yield changed(document, place, take_out)
        for value in INSTEAD:

            def replace(inner: Any, key: Any, value: Any = value) -> Any:
                inner[key] = value
                return inner

            yield changed(document, place, replace)


@pytest.mark.parametrize("end", KNOWN)
def test_no_answer_makes_a_command_fall(end: str, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Each document with every place of it missing or of another type: never an exception, never a wrong exit."""
    for arguments in USES[end]:
        service.answers[end] = KNOWN[end]
        assert main(arguments) in (0, 1, 7), capsys.readouterr()
    refused = 0
    for variant in variants(KNOWN[end]):
        service.answers[end] = variant
        for arguments in USES[end]:
            code = main(arguments)
            said = capsys.readouterr().err
            refused += code == Exit.UNREACHABLE
            assert code in (Exit.OK, Exit.FAILED, Exit.JOB_FAILED, Exit.JOB_CANCELLED, Exit.UNREACHABLE, Exit.TIMED_OUT)
            assert code != Exit.UNREACHABLE or "does not answer like a Beacon Runner API" in said, (arguments, variant)
    assert refused > 5


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b"<html>"),
        (200, b""),
        (200, b"\xff\xfe{"),
        (200, b"[" * 200_000),
        (200, b"1" * 5000),
        (204, b""),
        (304, b""),
        (301, b"{}"),
        (401, b'{"message": "Unauthorized"}'),
        (404, b"[]"),
        (418, b'{"error_code": 7}'),
        (500, b'"no"'),
        (502, b"<html>Bad Gateway"),
    ],
)
def test_another_service_at_the_address(
    status: int, body: bytes, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers, service.fallback = {}, (status, body)
    for arguments in (
        ["jobs"],
        ["show", "j"],
        ["watch", "j", "--patience", "0s"],
        ["submit", "job.json"],
        ["retry", "j"],
    ):
        patience = ["--patience", "0s"] if arguments[0] in ("submit", "watch") else []
        assert main([*arguments, *patience]) == Exit.UNREACHABLE
        said = capsys.readouterr().err
        assert "does not answer like a Beacon Runner API" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("token", ["“a”", "é", "a\nb", "a\tb", "a\x00b".replace("\x00", "\x01"), "\udcff"])
def test_a_token_that_no_header_can_carry(
    token: str, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused without being printed, and nothing is sent."""
    monkeypatch.setenv("BEACON_TOKEN", f"s3cret{token}s3cret")
    assert main(["jobs"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert said.startswith("beacon jobs: BEACON_TOKEN has characters that no HTTP header can carry")
    assert "s3cret" not in said
    assert service.seen == []
    monkeypatch.delenv("BEACON_TOKEN")
    assert main(["submit", "job.json", "--idempotency-key", f"key{token}key"]) == Exit.USAGE
    assert "--idempotency-key has characters" in capsys.readouterr().err


def test_a_line_end_around_a_token_is_no_part_of_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEACON_TOKEN", " abc\r\n")
    assert main(["jobs"]) == 0
    assert service.seen[-1]["Authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1", "http://h:abc", "http://h:99999", "http://..", "http://\u202e.x", "http://", "ftp://h",
        "http://a b\x01", "http://user:pw@h:99999", "x" * 10, "http://" + "a" * 300, "http://h:0",
    ],
)  # fmt: skip
def test_an_address_that_is_none(url: str, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "--url", url]) in (Exit.USAGE, Exit.UNREACHABLE)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pw" not in said


def test_a_password_of_the_address_is_not_printed(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert main(["jobs", "--url", f"http://me:s3cret@127.0.0.1:{port}"]) == Exit.UNREACHABLE
    said = capsys.readouterr().err
    assert f"nothing answers at http://127.0.0.1:{port}" in said


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_can_not_be_used(
    name: str, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for proxy in ("nonsense://me:s3cret@h", "socks5://me:s3cret@h:1", "http://me:s3cret@[::1"):
        monkeypatch.setenv(name, proxy)
        assert main(["jobs", "--url", "http://beacon.example"]) in (Exit.USAGE, Exit.UNREACHABLE)
        said = capsys.readouterr().err
        assert "s3cret" not in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("job_id", [".", ".."])
def test_an_id_that_no_url_can_carry(job_id: str, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", job_id]) == Exit.USAGE
    assert "can't be a job's id" in capsys.readouterr().err
    assert service.seen == []


def test_an_id_that_begins_with_a_dash(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told how to write it, and what is told to be typed next is written so."""
    with pytest.raises(SystemExit) as ended:
        main(["show", "-j"])
    assert ended.value.code == Exit.USAGE
    assert "after two dashes: `beacon show -- -j`" in capsys.readouterr().err
    service.answers["POST /jobs"] = ACCEPTED | {"job_id": "-j"}
    assert main(["submit", "job.json"]) == 0
    assert "follow it with `beacon watch -- -j`" in capsys.readouterr().err
    service.answers["/jobs/-j"] = JOB | {"id": "-j"}
    assert main(["explain", "--", "-j"]) == 0
    assert "`beacon retry -- -j`" in capsys.readouterr().out


def test_doctor_gives_the_command_of_what_is_down(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Made from what the API says is missing; the Procfile has no line for every region."""
    parts = [{"name": "worker:LATAM", "status": "down"}, {"name": "publisher", "status": "down"}]
    service.answers["/health"] = {"version": "1", "status": "degraded", "services": parts}
    assert main(["doctor", "--json"]) == 1
    found = {finding["subject"]: finding["text"] for finding in json.loads(capsys.readouterr().out)}
    assert found["worker:LATAM"] == "it is down; start it: python -m runner_worker --region LATAM"
    assert found["publisher"] == "it is down; start it: python -m outbox_publisher"
    service.answers["/health"] = {"status": "fine"}
    assert main(["doctor", "--json"]) == 1
    assert "does not answer like a Beacon Runner API" in capsys.readouterr().out


def test_a_misplaced_parameter_is_a_warning(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers["POST /jobs"] = ACCEPTED | {"ignored": ["metadata.temperature", "models[0].top_p"]}
    for more in ([], ["--json"], ["--wait"]):
        main(["submit", "job.json", *more])
        warning = (
            "warning: the API ignores metadata.temperature, models[0].top_p: a job's parameters stand in `parameters`"
        )
        assert warning in capsys.readouterr().err
    service.answers["POST /jobs"] = ACCEPTED
    main(["submit", "job.json"])
    assert "warning" not in capsys.readouterr().err


def test_a_request_that_is_under_way_is_asked_about_again(service: Service) -> None:
    """The server says so of a repeat while the first try, or a claim of its job, has not committed yet."""
    problem = {"error_code": "request_in_flight", "detail": "The same request is being accepted at this moment."}
    service.answers, service.fallback = {}, (409, json.dumps(problem).encode())

    def decide() -> None:
        until(lambda: service.seen)
        service.answers = copy.deepcopy(ANSWERS)

    deciding = threading.Thread(target=decide)
    deciding.start()
    assert main(["submit", "job.json", "--patience", "20s"]) == Exit.OK
    deciding.join()
    assert len(service.seen) > 1

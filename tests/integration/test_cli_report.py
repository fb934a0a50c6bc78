"""`beacon report`: one file, whole or not at all, and a sentence for each way in which it fails."""

import http.server
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_cli.commands import main
from runner_cli.exits import Exit

HTML = b"<!doctype html><title>Report</title>" + b"<p>text</p>" * 20_000 + b"</html>"


class Reports:
    """An API whose answer to every request a test sets."""

    def __init__(self) -> None:
        self.status, self.body, self.length = 200, HTML, len(HTML)
        self.headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Disposition": 'inline; filename="j-report.html"',
        }
        self.paths: list[str] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.paths.append(self.path)
                self.send_response(owner.status)
                for name, value in (owner.headers | {"Content-Length": str(owner.length)}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self, status: int, code: str, detail: str) -> None:
        """Answer with a problem document."""
        self.status, self.headers = status, {"Content-Type": "application/problem+json"}
        self.body = json.dumps({"error_code": code, "detail": detail}).encode()
        self.length = len(self.body)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    found = Reports()
    monkeypatch.setenv("BEACON_URL", f"http://127.0.0.1:{found.server.server_address[1]}")
    monkeypatch.setenv("BEACON_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BEACON_TOKEN", raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield found
    found.server.shutdown()


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_the_file_is_written_whole_and_nothing_beside_it(reports: Reports, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "a:job", "-o", "r.html"]) == Exit.OK
    assert reports.paths == ["/jobs/a%3Ajob/report.html"]
    assert Path("r.html").read_bytes() == HTML
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "r.html has the report (220 kB). Open it in a browser; it prints on A4.\n"
    assert main(["report", "a:job"]) == Exit.OK
    assert files() == ["a_job-report.html", "r.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(Path("r.html").stat().st_mode) == 0o666 & ~mask, "as of any new file"


def test_an_earlier_file_is_replaced_only_by_a_whole_one(reports: Reports, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.html").write_text("earlier")
    Path("r.html").chmod(0o600)
    reports.length += 1000
    assert main(["report", "j", "-o", "r.html"]) == Exit.UNREACHABLE
    assert "broke" in capsys.readouterr().err
    assert (Path("r.html").read_text(), files()) == ("earlier", ["r.html"])
    reports.length -= 1000
    assert main(["report", "j", "-o", "r.html"]) == Exit.OK
    assert Path("r.html").read_bytes() == HTML
    assert stat.S_IMODE(Path("r.html").stat().st_mode) == 0o600


def test_a_link_stays_a_link(reports: Reports) -> None:
    Path("real.html").write_text("earlier")
    Path("r.html").symlink_to("real.html")
    assert main(["report", "j", "-o", "r.html"]) == Exit.OK
    assert Path("r.html").is_symlink()
    assert Path("real.html").read_bytes() == HTML


def test_json_tells_of_the_file(reports: Reports, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "j", "-o", "r.html", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"job_id": "j", "file": "r.html", "bytes": len(HTML)}


def test_a_dash_is_stdout(reports: Reports) -> None:
    command = [sys.executable, "-m", "runner_cli", "report", "j", "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, HTML, b"")
    assert files() == []
    assert main(["report", "j", "-o", "-", "--json"]) == Exit.USAGE


@pytest.mark.parametrize(
    ("name", "said"), [(".", "is a folder: name a file"), ("no/r.html", "can't be written: No such")]
)
def test_a_place_for_no_file(name: str, said: str, reports: Reports, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "j", "-o", name]) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert reports.paths == [], "the API is not asked for nothing"


def test_what_the_api_says_instead(reports: Reports, capsys: pytest.CaptureFixture[str]) -> None:
    reports.refuse(404, "not_found", "There is no job j.")
    assert main(["report", "j"]) == Exit.REFUSED
    assert capsys.readouterr().err == "beacon report: There is no job j (not_found)\n"
    reports.refuse(503, "database_unavailable", "The database is away.")
    assert main(["report", "j"]) == Exit.UNREACHABLE
    reports.status, reports.headers = 303, {"Location": "/login?next=/jobs/j/report.html"}
    assert main(["report", "j"]) == Exit.REFUSED
    assert "set BEACON_TOKEN" in capsys.readouterr().err
    reports.status, reports.headers = 200, {"Content-Type": "text/html"}
    assert main(["report", "j"]) == Exit.UNREACHABLE, "a page of another server is no report"
    assert "does not answer like a Beacon Runner" in capsys.readouterr().err
    assert files() == []

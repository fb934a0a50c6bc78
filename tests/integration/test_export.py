"""A job's answers as a file that a spreadsheet opens with a double click."""

import csv
import io

import pytest

from tests.integration.api_client import Api


def exported(api: Api, text: str) -> str:
    """The one answer that a spreadsheet reads from the file."""
    job_id = api.submit(questions=["q1"], constraints={"regions": ["US"]})
    token = api.claim(job_id, "US")
    api.answer(job_id, "US", token, {("m1", "q1"): text})
    api.record(job_id, "US", token, {"m1": True})
    file = api.client.get(f"/jobs/{job_id}/compare.csv").data
    assert file.startswith(b"\xef\xbb\xbfjob_id,"), "with a byte order mark, or Chinese becomes mojibake"
    (line,) = csv.DictReader(io.StringIO(file.decode("utf-8-sig"), newline=""))
    return line["response"]


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\ttab", "\rreturn", "\nline", "\u00a0=1", "\ufeff=1"),
        *("\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", " \uff1d1", "\u200b=1"),
    ],
)
def test_what_a_spreadsheet_could_run_or_move_is_quoted(api: Api, text: str) -> None:
    assert exported(api, text) == f"'{text}"


@pytest.mark.parametrize("text", ["埃菲尔铁塔", "1 = 1", "a@b", "x\ty", "«=»"])
def test_every_other_answer_is_as_the_model_wrote_it(api: Api, text: str) -> None:
    assert exported(api, text) == text

"""Documents as editors and shells of every system save them."""

import codecs
import json
from pathlib import Path

import pytest

from runner_cli.exits import UsageError
from runner_cli.sign import read_job
from runner_core.errors import ConfigError
from runner_core.regions import load_catalogue

JOB = {"id": "j", "name": "Größe"}


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_a_job(mark: bytes, encoding: str, tmp_path: Path) -> None:
    """What is sent is UTF-8 without it, which the signature of a signed job does not mind."""
    text = json.dumps(JOB, ensure_ascii=False)
    (tmp_path / "job.json").write_bytes(mark + text.encode(encoding))
    assert read_job(str(tmp_path / "job.json")) == (JOB, text.encode())


@pytest.mark.parametrize("raw", [codecs.BOM_UTF16_LE + b"x", codecs.BOM_UTF16_LE + b"\x00\xd8", b"\xff\xff"])
def test_what_is_no_text_is_one_sentence(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(raw)
    with pytest.raises(UsageError) as refused:
        read_job(str(tmp_path / "job.json"))
    assert "job.json" in refused.value.detail
    assert "\n" not in refused.value.detail


def test_a_regions_file_may_begin_with_one(tmp_path: Path) -> None:
    (tmp_path / "regions.toml").write_bytes(codecs.BOM_UTF8 + b"[[[")
    with pytest.raises(ConfigError, match="at line 1, column 3"):
        load_catalogue(tmp_path / "regions.toml", allow_sandbox=False)
    sandbox = Path(__file__).parents[2] / "regions/sandbox.toml"
    (tmp_path / "regions.toml").write_bytes(codecs.BOM_UTF8 + sandbox.read_bytes())
    assert load_catalogue(tmp_path / "regions.toml", allow_sandbox=True).regions

"""JSON read strictly: every way in which two readers could differ is refused, at its edge."""

import json
from typing import Any

import pytest

from runner_core.errors import Rejected
from runner_core.strict_json import member_bytes, parse_json


def refused(raw: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        parse_json(raw)
    return caught.value.code


class TestParseJson:
    def test_a_job_is_read_as_it_is(self) -> None:
        job: dict[str, Any] = {"id": "a", "n": [1, -2.5, None, True, False, {}], "t": '\u00e9\n"\\'}
        raw = json.dumps(job, ensure_ascii=False, indent=2).encode()
        assert parse_json(raw) == job

    @pytest.mark.parametrize(
        "raw",
        [
            b"", b" ", b"{", b'{"a":1', b'{"a":1}}', b"{'a':1}", b'{"a":1,}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}',
            b'{"a":1.}', b'{"a":"\n"}', b'{"a":"\\x"}', b'{"a":tru}', b'\xef\xbb\xbf{}', b'{"a":"\xff"}',
            b'{"a":"\xed\xa0\x80"}', '{"a":1}'.encode("utf-16"), b'{"a":"\\u12"}', b'{"a" 1}', b"\x00",
            b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b"NaN",
        ],
    )  # fmt: skip
    def test_malformed(self, raw: bytes) -> None:
        assert refused(raw) == "malformed_json"

    @pytest.mark.parametrize("raw", [b'{"a":1,"a":1}', b'{"b":{"a":1,"a":2}}', b'{"b":[{"a":1,"\\u0061":2}]}'])
    def test_duplicate_keys(self, raw: bytes) -> None:
        assert refused(raw) == "duplicate_key"

    @pytest.mark.parametrize("raw", [b"[]", b"[1]", b"1", b'"a"', b"null", b"true"])
    def test_not_an_object(self, raw: bytes) -> None:
        assert refused(raw) == "validation_error"

    @pytest.mark.parametrize(
        "literal", ["9007199254740991", "-9007199254740991", "1e21", "1.7976931348623157e308", "-0"]
    )
    def test_numbers_that_a_double_holds(self, literal: str) -> None:
        assert parse_json(f'{{"a":{literal}}}'.encode()) == {"a": float(literal)}

    @pytest.mark.parametrize(
        "literal", ["9007199254740992", "-9007199254740992", "1" * 18, "1" * 5000, "1e309", "-1e309", "1e99999"]
    )
    def test_numbers_that_no_double_holds(self, literal: str) -> None:
        assert refused(f'{{"a":{literal}}}'.encode()) == "validation_error"

    @pytest.mark.parametrize(
        ("raw", "path"),
        [
            ('{"parameters":{"seed":%s}}', "parameters.seed: "),
            ('{"models":["a",{"parameters":{"top_k":%s}}]}', "models[1].parameters.top_k: "),
            (
                '{"jobspec":{"metadata":{"models":[{"parameters":{"stop":[1,%s]}}]}}}',
                "metadata.models[0].parameters.stop[1]: ",
            ),
            ('{"content":{"seed":%s}}', ""),
            ('{"parameters":{"my words":%s}}', ""),
            ('{"parameters":{"seed":%s}', ""),
            ('{"parameters":{"seed":%s},"a":' + "[" * 100_000, ""),
        ],
    )
    @pytest.mark.parametrize("literal", ["9" * 40, "-" + "9" * 5000, "1e400"])
    def test_a_bad_number_is_told_by_its_path_within_parameters_alone(self, raw: str, path: str, literal: str) -> None:
        with pytest.raises(Rejected) as caught:
            parse_json((raw % literal).encode())
        what = "A number in the body does not fit" if "e" in literal else "An integer in the body is beyond"
        assert caught.value.code == "validation_error"
        assert caught.value.detail.startswith(f"{path}{what}")

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"a":"\\u0000"}', b'{"\\u0000":1}', b'{"a":["x\\u0000y"]}', b'{"a":"\\ud800"}', b'{"a":"\\udc00x"}',
            b'{"\\ud800":1}', b'{"a":{"b":[["\\ud83d"]]}}', b'{"a":"\\ude00\\ud83d"}',
        ],
    )  # fmt: skip
    def test_text_that_postgresql_can_not_hold(self, raw: bytes) -> None:
        assert refused(raw) == "validation_error"

    def test_surrogate_pairs_and_an_escaped_escape(self) -> None:
        raw = b'{"a":"\\ud83d\\ude00","b":"\\\\u0000","c":"\xf0\x9f\x98\x80"}'
        assert parse_json(raw) == {"a": "\U0001f600", "b": "\\u0000", "c": "\U0001f600"}

    @pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
    def test_depth(self, opening: str, closing: str) -> None:
        def nested(levels: int) -> bytes:
            return ('{"a":' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}").encode()

        assert parse_json(nested(64))
        assert refused(nested(65)) == "validation_error"
        assert refused(nested(100_000)) == "validation_error"

    def test_nothing_of_the_body_is_in_the_message(self) -> None:
        for raw in (b'{"a": secret}', b'{"secret":1,"secret":2}', b'{"a":"secret\xff"}', b'{"a":"secret\\u0000"}'):
            with pytest.raises(Rejected) as caught:
                parse_json(raw)
            assert "secret" not in caught.value.detail


class TestMemberBytes:
    def test_a_missing_member(self) -> None:
        for raw in (b"{}", b" { } ", b'{"a":{"b":1}}'):
            with pytest.raises(KeyError):
                member_bytes(raw, "b")

    def test_every_kind_of_value(self) -> None:
        for value in ('"x\\"y"', "-1.50e2", "null", "true", "[ 1, {} ]", '{"b" : 2}'):
            raw = f'{{"a" : [{value}] , "b":{value}  , "c":1}}'.encode()
            assert member_bytes(raw, "b") == value.encode()

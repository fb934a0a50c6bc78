"""Canonical bytes against JavaScript's, the forms that clients in the field sign, freshness."""

import base64
import copy
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from runner_core.errors import SignatureError
from runner_core.keys import PrivateKey
from runner_core.signing import Verified, canonical, check_timestamp, is_signed, sign, signed_object, verify, verify_jcs
from runner_core.strict_json import parse_json

DATA = Path(__file__).parents[1] / "data"
FIELD = json.loads((DATA / "signature_vectors.json").read_text())
CANONICAL = json.loads((DATA / "canonical_vectors.json").read_text())
# Those that Go would write otherwise and that hold no signature of their own.
ESCAPED = [v for v in CANONICAL if v["go_lines"] != v["canonical"] and v["name"] != "a job"]
KEY = PrivateKey.from_seed(bytes.fromhex(FIELD["private_key_seed_hex"]))
OTHER = PrivateKey.from_seed(b"\x07" * 32)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FORMS = ["jcs", "B", "C", "D"]


def spec(**changes: Any) -> dict[str, Any]:
    job: dict[str, Any] = copy.deepcopy(FIELD["spec"])
    return job | changes


def signed_as(form: str, job: dict[str, Any], escape: str = "") -> dict[str, Any]:
    """What a client that signs in `form` sends; `escape` are the characters that its encoder escapes."""
    message = canonical(signed_object(job, form)).decode()
    for character in escape:
        message = message.replace(character, f"\\u{ord(character):04x}")
    return job | {"public_key": KEY.public_key, "signature": KEY.sign(message.encode())}


def refusal(job: dict[str, Any]) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(job)
    return caught.value.code


class TestCanonical:
    @pytest.mark.parametrize("vector", CANONICAL, ids=lambda v: v["name"])
    def test_equals_javascript(self, vector: dict[str, Any]) -> None:
        assert canonical(parse_json(vector["raw"].encode())).decode() == vector["canonical"]

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("vector", CANONICAL, ids=lambda v: v["name"])
    def test_forms_equal_javascript(self, vector: dict[str, Any], form: str) -> None:
        received = parse_json(vector["raw"].encode())
        assert canonical(signed_object(received, form)).decode() == vector["forms"][form]

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**53) + 1, 2**53 - 1)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text()
            | st.sampled_from([",1.0,", ":1e5}", "[12345678901234567]", "\u2028", "\U0001f600"]),
            lambda children: (
                st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4)
            ),
            max_leaves=20,
        )
    )
    def test_equals_the_reference_implementation(self, value: Any) -> None:
        assert canonical(value) == rfc8785.dumps(value)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\udfff": 1}, [10**30]])
    def test_refuses_what_has_no_canonical_form(self, value: Any) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - three libraries' own subclasses, one meaning
            canonical({"a": value})

    def test_its_pattern_takes_linear_time(self) -> None:
        # A quadratic search over a megabyte of digits would run into the test's time limit.
        assert len(canonical({"a": "," + "1" * 1_000_000, "b": ",1" * 300_000, "c": ",1.1e" * 200_000})) > 1_000_000


class TestFieldVectors:
    @pytest.mark.parametrize("form", FORMS)
    def test_bytes_and_signature_come_out_exactly(self, form: str) -> None:
        vector = FIELD["forms"]["A" if form == "jcs" else form]
        message = canonical(signed_object(spec(), form))
        assert len(message) == vector["length"]
        assert hashlib.sha256(message).hexdigest() == vector["sha256"]
        assert KEY.sign(message) == vector["signature"]
        assert KEY.public_key == FIELD["public_key"]

    @pytest.mark.parametrize("form", FORMS)
    def test_verifies_and_names_the_form(self, form: str) -> None:
        vector = FIELD["forms"]["A" if form == "jcs" else form]
        assert verify(spec(public_key=FIELD["public_key"], signature=vector["signature"])).form == form


class TestVerify:
    @pytest.mark.parametrize("form", FORMS)
    def test_go_twin_with_html_escapes(self, form: str) -> None:
        assert verify(signed_as(form, spec(questions=["1 < 2 & 3 > 2"]), "<>&")).form == f"{form}+go"

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("escape", ["<>&", "<>&\u2028\u2029"])
    def test_go_twin_with_and_without_line_separators(self, form: str, escape: str) -> None:
        assert verify(signed_as(form, spec(questions=["<\u2028&\u2029>"]), escape)).form == f"{form}+go"

    @pytest.mark.parametrize("name", ["go", "go_lines"])
    @pytest.mark.parametrize("vector", ESCAPED, ids=lambda v: v["name"])
    def test_go_twin_equals_javascript(self, vector: dict[str, Any], name: str) -> None:
        received = parse_json(vector["raw"].encode())
        nonce = {"metadata": {"nonce": "n"}}  # sorts behind every other key of these vectors
        message = vector[name][:-1] + ',"metadata":{"nonce":"n"}}'
        job = received | nonce | {"public_key": KEY.public_key, "signature": KEY.sign(message.encode())}
        assert verify(job).form == ("jcs" if vector[name] == vector["canonical"] else "jcs+go")

    def test_unescaped_text_is_not_a_twin(self) -> None:
        assert verify(signed_as("jcs", spec(questions=["<>&"]))).form == "jcs"

    def test_half_escaped_text_is_refused(self) -> None:
        assert refusal(signed_as("jcs", spec(questions=["<>&"]), "<")) == "signature_mismatch"

    @pytest.mark.parametrize("form", FORMS)
    def test_a_changed_byte_is_refused(self, form: str) -> None:
        job = signed_as(form, spec())
        job["constraints"]["regions"] = ["US", "EU", "ASIA"]
        assert refusal(job) == "signature_mismatch"

    def test_another_key_is_refused(self) -> None:
        assert refusal(signed_as("jcs", spec()) | {"public_key": OTHER.public_key}) == "signature_mismatch"

    def test_id_counts_in_our_form_only(self) -> None:
        assert refusal(signed_as("jcs", spec()) | {"id": "another"}) == "signature_mismatch"
        assert verify(signed_as("B", spec()) | {"id": "another"}).form == "B"

    @pytest.mark.parametrize("name", ["signature", "public_key"])
    @pytest.mark.parametrize("value", [None, ""])
    def test_missing(self, name: str, value: str | None) -> None:
        assert refusal(signed_as("jcs", spec()) | {name: value}) == f"missing_field:{name}"
        job = signed_as("jcs", spec())
        del job[name]
        assert refusal(job) == f"missing_field:{name}"

    @pytest.mark.parametrize("name", ["signature", "public_key"])
    @pytest.mark.parametrize(
        "value",
        [
            "x",
            "AAAA",
            "not base64!",
            7,
            True,
            ["A"],
            {"a": 1},
            "\u00e9",
            "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",  # URL-safe alphabet
            "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",  # no padding
            " A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
            "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n",
        ],
    )
    def test_invalid_encoding(self, name: str, value: Any) -> None:
        assert refusal(signed_as("jcs", spec()) | {name: value}) == f"invalid_encoding:{name}"

    def test_one_key_has_one_spelling(self) -> None:
        # The last character before the padding carries two bits that decoders ignore.
        twin = KEY.public_key[:-2] + "h="
        assert base64.b64decode(twin) == base64.b64decode(KEY.public_key)
        assert refusal(signed_as("jcs", spec()) | {"public_key": twin}) == "invalid_encoding:public_key"

    @pytest.mark.parametrize("form", ["B", "C", "D", "B+go", "C+go", "D+go"])
    @pytest.mark.parametrize("nonce", [None, "", 7, ...])
    def test_a_form_that_signs_no_id_needs_a_nonce(self, form: str, nonce: Any) -> None:
        job = spec(questions=["a < b"])
        job["metadata"]["nonce"] = nonce
        if nonce is ...:
            del job["metadata"]["nonce"]
        assert refusal(signed_as(form, job, "<>&" if "+go" in form else "")) == "missing_field:nonce"

    def test_our_form_needs_no_nonce_when_it_signs_an_id(self) -> None:
        assert verify(signed_as("jcs", spec(metadata={}))).form == "jcs"
        job = spec(metadata=None, jobspec_id="other")
        del job["id"]
        assert verify(signed_as("jcs", job)).form == "jcs"

    @pytest.mark.parametrize("identity", [{}, {"id": ""}, {"id": None}])
    def test_our_form_needs_a_nonce_when_it_signs_no_id(self, identity: dict[str, Any]) -> None:
        job = spec(metadata={})
        del job["id"]
        assert refusal(signed_as("jcs", job | identity)) == "missing_field:nonce"
        assert verify(signed_as("jcs", job | identity | {"metadata": {"nonce": "n"}})).form == "jcs"

    def test_a_mismatch_is_told_before_a_missing_nonce(self) -> None:
        job = signed_as("B", spec(metadata={}))
        assert refusal(job | {"runs": 2}) == "signature_mismatch"

    def test_is_signed(self) -> None:
        assert is_signed(signed_as("jcs", spec()))
        assert is_signed({"signature": "x"})
        assert is_signed({"public_key": "x"})
        assert not is_signed(spec())
        assert not is_signed(spec(signature="", public_key=None))


class TestSign:
    def test_round_trip(self) -> None:
        job = sign(spec(signature="old", public_key="old"), KEY)
        assert job["signature"] == FIELD["forms"]["A"]["signature"]
        assert verify(job).form == "jcs"

    def test_the_given_spec_stays_as_it_is(self) -> None:
        job = spec()
        sign(job, KEY)
        assert job == FIELD["spec"]

    def test_actions_verify_in_our_form_alone(self) -> None:
        action = {"action": "cancel", "job_id": "a", "timestamp": "2026-11-24T12:00:00Z", "nonce": "n"}
        verify_jcs(sign(action, KEY))
        for body in (sign(action, KEY) | {"job_id": "b"}, signed_as("C", action | {"id": "x"})):
            with pytest.raises(SignatureError) as caught:
                verify_jcs(body)
            assert caught.value.code == "signature_mismatch"


class TestFreshness:
    @pytest.mark.parametrize(
        "offset", [timedelta(0), timedelta(minutes=5), timedelta(minutes=-10), timedelta(seconds=-599)]
    )
    def test_fresh(self, offset: timedelta) -> None:
        check_timestamp((NOW + offset).isoformat(), NOW)

    @pytest.mark.parametrize("offset", [timedelta(minutes=5, microseconds=1), timedelta(minutes=-10, microseconds=-1)])
    def test_stale_or_ahead(self, offset: timedelta) -> None:
        with pytest.raises(SignatureError) as caught:
            check_timestamp((NOW + offset).isoformat(), NOW)
        assert caught.value.code == "timestamp_invalid"

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-24T12:00:00Z",
            "2026-11-24t12:00:00z",
            "2026-11-24T13:00:00.000+01:00",
            "2026-11-24 12:00:00.123456789Z",
        ],
    )
    def test_spellings(self, text: str) -> None:
        check_timestamp(text, NOW)

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-24T12:00:00", "2026-11-24", "20261124T120000Z", "2026-W48-2T12:00:00Z", "2026-13-24T12:00:00Z",
            "2026-11-24T25:00:00Z", "2026-11-24T12:00:00+99:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59", "now", 1764000000, 1.5, True, [], {}, "2026-11-24T12:00:00Z\n",
            "\u0662026-11-24T12:00:00Z",
        ],
    )  # fmt: skip
    def test_anything_else(self, text: Any) -> None:
        with pytest.raises(SignatureError) as caught:
            check_timestamp(text, NOW)
        assert caught.value.code == "timestamp_invalid"

    @pytest.mark.parametrize(
        "job", [{}, {"metadata": {}}, {"metadata": None}, {"metadata": []}, {"metadata": {"timestamp": ""}}]
    )
    def test_missing(self, job: dict[str, Any]) -> None:
        with pytest.raises(SignatureError) as caught:
            Verified.of(job, None).check_freshness(NOW)
        assert caught.value.code == "missing_field:timestamp"

    def test_is_that_of_the_metadata(self) -> None:
        Verified.of({"metadata": {"timestamp": NOW.isoformat()}}, None).check_freshness(NOW)
        with pytest.raises(SignatureError):
            Verified.of(spec(), None).check_freshness(NOW)

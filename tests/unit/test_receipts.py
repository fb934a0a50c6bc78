"""Receipts: verified offline, and refused after any change."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner_core.errors import Rejected, SignatureError
from runner_core.keys import PrivateKey
from runner_core.receipts import is_versioned, mismatches, output_sha256, sign_receipt, verify_receipt
from runner_core.signing import sign
from runner_core.trust import TrustedKey, TrustList

KEY = PrivateKey.from_seed(bytes(range(32)))
OTHER = PrivateKey.from_seed(b"\x07" * 32)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FACTS = {"job_id": "a", "region": "US", "model_id": "m", "output_sha256": output_sha256({"response": "4"})}


class TestReceipts:
    def test_round_trip(self) -> None:
        receipt = sign_receipt(FACTS, KEY)
        assert receipt | FACTS == receipt
        assert receipt["kid"] == KEY.kid
        assert receipt["public_key"] == KEY.public_key
        trusted = TrustList([TrustedKey("runner", KEY.public_key)])
        assert verify_receipt(json.loads(json.dumps(receipt)), trusted, NOW).kid == "runner"

    def test_output_digest_ignores_the_order_of_keys(self) -> None:
        assert output_sha256({"a": 1, "b": 2.0}) == hashlib.sha256(b'{"a":1,"b":2}').hexdigest()
        assert output_sha256({"b": 2, "a": 1.0}) == output_sha256({"a": 1, "b": 2})

    @pytest.mark.parametrize(
        "change", [{"region": "EU"}, {"kid": "0" * 16}, {"extra": 1}, {"public_key": OTHER.public_key}]
    )
    def test_a_changed_fact_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(SignatureError) as caught:
            verify_receipt(sign_receipt(FACTS, KEY) | change, TrustList([TrustedKey("r", KEY.public_key)]), NOW)
        assert caught.value.code == "signature_mismatch"

    def test_a_wrong_kid_is_refused_even_if_signed(self) -> None:
        receipt = sign({**FACTS, "kid": OTHER.kid}, KEY)
        with pytest.raises(SignatureError) as caught:
            verify_receipt(receipt, TrustList([TrustedKey("r", KEY.public_key)]), NOW)
        assert caught.value.code == "signature_mismatch"

    def test_trust_is_asked(self) -> None:
        receipt = sign_receipt(FACTS, KEY)
        for trusted, reason in (
            (TrustList([]), "unknown"),
            (TrustList([TrustedKey("r", KEY.public_key, revoked=True)]), "revoked"),
            (TrustList([TrustedKey("r", KEY.public_key, not_after=NOW)]), "expired"),
        ):
            with pytest.raises(Rejected) as caught:
                verify_receipt(receipt, trusted, NOW)
            assert caught.value.code == f"trust_violation:{reason}"

    def test_an_unsigned_receipt(self) -> None:
        with pytest.raises(SignatureError) as caught:
            verify_receipt(dict(FACTS), TrustList([]), NOW)
        assert caught.value.code == "missing_field:signature"


class TestVersion1:
    """A receipt with its execution, as the release before version 2 made them."""

    stored = json.loads((Path(__file__).parents[1] / "data" / "receipt_v1.json").read_text("utf-8"))
    document = stored["details"]

    def test_it_verifies(self) -> None:
        trusted = TrustList([TrustedKey("runner", self.stored["public_key"])])
        assert verify_receipt(self.document["receipt"], trusted, NOW).kid == "runner"
        assert mismatches(self.document["receipt"], self.document["output"], self.document["answers"]) == []

    def test_it_does_not_name_who_answered(self) -> None:
        assert not is_versioned(self.document["receipt"])
        assert "served" not in self.document["receipt"]

    def test_a_changed_output_is_found(self) -> None:
        changed = self.document["output"] | {"refused": 0}
        assert mismatches(self.document["receipt"], changed, None) == ["the output"]

"""The code of docs/clients.md as it stands there: each form of signature that it makes verifies."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner_core.keys import PrivateKey
from runner_core.signing import FORMS, canonical, verify
from runner_core.signing import signed_object as ours
from tests.client_guide import EACH_LANGUAGE, LANGUAGES, code

# What each language's program does with the guide's functions: the object that is signed, as canonical JSON.
CANONICAL = {
    "python": (
        "import json, sys\njob, form = json.loads(sys.argv[1]), sys.argv[2]\n"
        "sys.stdout.buffer.write(rfc8785.dumps(signed_object(job, form)))\n"
    ),
    "javascript": (
        "const [job, form] = [JSON.parse(process.argv[2]), process.argv[3]];\n"
        "process.stdout.write(canonical(signedObject(job, form)));\n"
    ),
}
HOSTILE = {
    "id": "a", "created_at": "b", "signature": "c", "public_key": "d", "kept": False, "zero": 0, "none": None,
    "deep": {"empty": {"": ""}, "signature": "", "list": [0, None, {"a": None}]}, "text": "ü", "nil": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("language", EACH_LANGUAGE)
@pytest.mark.parametrize("form", FORMS)
def test_each_form_signs_what_the_api_verifies(form: str, language: str, tmp_path: Path) -> None:
    command, suffix = LANGUAGES[language]
    program = (tmp_path / "client").with_suffix(suffix)
    program.write_text(code(f"{language} sign") + code(f"{language} forms") + CANONICAL[language])

    def bytes_of(job: dict[str, Any]) -> bytes:
        return subprocess.run([*command, str(program), json.dumps(job), form], capture_output=True, check=True).stdout

    assert bytes_of(HOSTILE) == canonical(ours(HOSTILE, form))
    key = PrivateKey.generate()
    job: dict[str, Any] = HOSTILE | {
        "public_key": key.public_key,
        "metadata": {"timestamp": datetime.now(UTC).isoformat(), "nonce": "n"},
    }
    job["signature"] = key.sign(bytes_of(job))
    assert verify(job).form == form

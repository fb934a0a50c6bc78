"""Key files: who may read them, what is refused, and that nothing of a key is shown."""

import base64
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runner_core.errors import ConfigError
from runner_core.keys import PrivateKey, key_id

KEY = PrivateKey.from_seed(bytes(range(32)))
PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
OTHER = PrivateKey.from_seed(b"\x07" * 32)


class TestPrivateKey:
    def test_file_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert PrivateKey.load(path).public_key == KEY.public_key
        with pytest.raises(FileExistsError):
            OTHER.save(path)
        assert PrivateKey.load(path).public_key == KEY.public_key

    def test_generated_keys_differ(self) -> None:
        assert PrivateKey.generate().public_key != PrivateKey.generate().public_key

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
    def test_a_file_open_to_others_is_refused(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        path.chmod(mode)
        with pytest.raises(ConfigError, match=f"mode 0{mode:o}"):
            PrivateKey.load(path)

    @pytest.mark.parametrize(
        "content", [b"", b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n", "x25519", "password"]
    )
    def test_anything_but_an_ed25519_key_is_refused(self, tmp_path: Path, content: bytes | str) -> None:
        path = tmp_path / "key.pem"
        if content == "x25519":
            plain = serialization.NoEncryption()
            content = X25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
            )
        elif content == "password":
            locked = serialization.BestAvailableEncryption(b"secret")
            content = KEY.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        assert isinstance(content, bytes)
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="not an Ed25519 private key"):
            PrivateKey.load(path)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="can't be read"):
            PrivateKey.load(tmp_path / "none.pem")

    def test_repr_shows_the_public_half(self) -> None:
        assert repr(KEY) == f"PrivateKey(public_key={PUBLIC_KEY!r})"

    def test_key_id_is_of_the_raw_bytes(self) -> None:
        assert KEY.kid == key_id(KEY.public_key) == hashlib.sha256(base64.b64decode(KEY.public_key)).hexdigest()[:16]

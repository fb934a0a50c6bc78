"""Small distributions that bring kinds of provider, as anybody may write them, and how a test installs one."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner_core.provider_kinds import kinds

# A kind that answers with the question, reversed. It takes an option, and knows one mistake of its own.
ECHO = """
import asyncio

from runner_worker.providers import Answer, Filtered, TryFailed


class Echo:
    api = 1
    settings = ("options", "omit")
    parameters = ("temperature", "seed", "system_prompt")

    def __init__(self, provider, http, catalogue):
        assert http is None
        self.shout = provider.options.get("shout", False)

    @staticmethod
    def mistakes(provider, region):
        return ["shout must be true or false"] if provider.options.get("shout") == "loud" else []

    def sent(self, ask):
        return {"model": ask.upstream.name, **ask.parameters}

    async def send(self, ask):
        if "fail" in ask.prompt:
            raise TryFailed("http_503", words="busy")
        if "exit" in ask.prompt:
            raise SystemExit(3)
        if "cancelled" in ask.prompt:
            task = asyncio.ensure_future(asyncio.sleep(3600))
            task.cancel()
            await task
        if "break" in ask.prompt:
            raise RuntimeError("the adapter has a mistake")
        if "hang" in ask.prompt:
            await asyncio.sleep(3600)
        if "odd" in ask.prompt:
            failed = TryFailed("http_401", stage="nowhere", http_status="x", retry_after="soon", usage={"n": object()})
            failed.words, failed.partial, failed.paid = 7, None, "perhaps"
            raise failed
        if "blocked" in ask.prompt:
            raise Filtered("no\\x00", {"model": "echo-1"})
        if "nothing" in ask.prompt:
            return None
        text = ask.prompt[::-1] + "\\x00"
        served = {"model": "echo-1\\x00", "secret": "x"}
        return Answer(text.upper() if self.shout else text, served=served, usage={"prompt_tokens": 3.0})
"""

# A kind that asks by HTTP, with a header of its own for the key.
POSTER = """
from runner_worker.providers import Answer


class Poster:
    api = 1
    settings = ("base_url", "api_key_env")
    parameters = ("temperature",)
    key_header = "x-poster-key"
    headers = {"x-poster-version": "7"}

    def __init__(self, provider, http, catalogue):
        self.http = http

    def sent(self, ask):
        return {}

    async def send(self, ask):
        received = await self.http.post("/ask", {"question": ask.prompt}, ask)
        return Answer(received.document["choices"][0]["message"]["content"])
"""


Way = Callable[[Path, str, str, dict[str, str], str], None]


def install(folder: Path, name: str, module: str, points: dict[str, str], version: str = "1.0") -> None:
    """Install a distribution of one module into `folder` with pip, which needs no network for that.

    `module`: its source; `points`: the name of each kind with the name in the module.
    """
    package = name.replace("-", "_")
    files = _files(package, name, module, points, version)
    record = f"{package}-{version}.dist-info/RECORD"
    lines = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in files.items()]
    wheel = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in (*files.items(), (record, "\n".join([*lines, f"{record},,"]) + "\n")):
            archive.writestr(path, text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, text=True)
    wheel.unlink()


def unpack(folder: Path, name: str, module: str, points: dict[str, str], version: str = "1.0") -> None:
    """Write the files of a distribution into `folder`, as `install` does, without the 2 s that pip takes."""
    for path, text in _files(name.replace("-", "_"), name, module, points, version).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


@contextmanager
def installed(
    folder: Path, name: str, module: str, points: dict[str, str], version: str = "1.0", way: Way = unpack
) -> Iterator[None]:
    """Put a distribution into `folder`, where this process finds its kinds until the end."""
    way(folder, name, module, points, version)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        kinds.cache_clear()
        yield
    kinds.cache_clear()
    sys.modules.pop(name.replace("-", "_"), None)


def _files(package: str, name: str, module: str, points: dict[str, str], version: str) -> dict[str, str]:
    told = "".join(f"{kind} = {package}:{found}\n" for kind, found in points.items())
    about = f"{package}-{version}.dist-info"
    return {
        f"{package}.py": module,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[beacon_runner.providers]\n{told}",
    }


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

"""Small distributions that bring kinds of provider, as anybody may write them, and how a test installs one."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

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


def install(folder: Path, name: str, module: str, kinds: dict[str, str], version: str = "1.0") -> None:
    """Install a distribution of one module into `folder` with pip, which needs no network for that.

    `module`: its source; `kinds`: the name of each kind with the name in the module.
    """
    package = name.replace("-", "_")
    points = "".join(f"{kind} = {package}:{found}\n" for kind, found in kinds.items())
    files = {
        f"{package}.py": module,
        f"{package}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{package}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{package}-{version}.dist-info/entry_points.txt": f"[beacon_runner.providers]\n{points}",
    }
    record = f"{package}-{version}.dist-info/RECORD"
    lines = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in files.items()]
    wheel = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in (*files.items(), (record, "\n".join([*lines, f"{record},,"]) + "\n")):
            archive.writestr(path, text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, text=True)
    wheel.unlink()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

"""The peers' environment: .venv-bench beside .venv, made once for each version of bench/requirements.txt."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
FOLDER = CHECKOUT / ".venv-bench"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def make() -> None:
    """Install the peers. Raises RuntimeError with the installer's last words."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = FOLDER / "made-for"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(FOLDER)], check=True)
        installer = [uv, "pip", "install", "--quiet", "--python", str(program("python"))]
    else:
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        installer = [str(program("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it leads to .venv's project
    done = subprocess.run([*installer, "-r", str(REQUIREMENTS)], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the peers can't be installed: {done.stderr[-2000:]}")
    stamp.write_text(wanted)


def program(name: str) -> Path:
    """Return the path of a program in the peers' environment."""
    return FOLDER / "bin" / name


def variables() -> dict[str, str]:
    """Return the variables with which a process of the peers' environment finds this checkout's bench package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "BEACON_"))}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}

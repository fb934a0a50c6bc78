"""The files beside the code that commands need, in a checkout and in an installed package."""

from pathlib import Path

PACKAGE = Path(__file__).parent
COMMAND = "./beacon" if (PACKAGE.parent / "beacon").exists() else "beacon"  # how one calls us
PROCFILE = PACKAGE / "Procfile"  # in a checkout a link to the one that everybody reads


def regions_file(name: str) -> Path:
    """A regions file of ours: regions/ of a checkout, which an installed package carries as runner_cli/regions."""
    installed = PACKAGE / "regions" / name
    return installed if installed.exists() else PACKAGE.parent / "regions" / name

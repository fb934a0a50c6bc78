"""`beacon keygen`: a private key for signing jobs, and the line that makes it trusted."""

import argparse
import json
from pathlib import Path

from runner_cli.client import add_json
from runner_cli.exits import CommandError, Exit, UsageError
from runner_cli.terminal import remark, say, say_json
from runner_core.errors import BeaconError
from runner_core.keys import PrivateKey
from runner_core.trust import TrustList

EXAMPLES = """\
The private key is written with mode 0600 and never printed. An existing file is not replaced.

examples:
  beacon keygen signing.pem
  beacon keygen signing.pem --kid alice --trust trusted-keys.json   # also adds its line to the API's list
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="where the private key goes (PEM)")
    parser.add_argument("--kid", help="the key's name in the trust list [made from the key]")
    parser.add_argument("--trust", type=Path, metavar="FILE", help="add its line to this trust list (made if missing)")
    add_json(parser)


def keygen(args: argparse.Namespace) -> int:
    """Make the key and print its line.

    Raises UsageError when the file exists or can't be written, ConfigError for a trust list with mistakes."""
    if args.trust and args.trust.exists():
        TrustList.load(args.trust)  # its mistakes are told before a key is made
    key = PrivateKey.generate()
    entry = {"kid": args.kid or key.kid, "public_key": key.public_key, "status": "active"}
    try:
        key.save(args.file)
    except FileExistsError:
        raise UsageError(f"{args.file} exists already; a key is never replaced: name another file") from None
    except OSError as error:
        raise UsageError(f"{args.file} can't be written: {error.strerror}") from None
    if args.trust:
        try:
            _add(args.trust, entry)
        except BeaconError:
            args.file.unlink()  # half done is harder to repeat than not done
            raise
    if args.json:
        say_json({**entry, "file": str(args.file)})
        return Exit.OK
    say(json.dumps(entry))
    remark(
        f"The private key is in {args.file}; keep it to yourself.",
        f"Its line was added to {args.trust}."
        if args.trust
        else "The line above goes into the API's trust list (TRUSTED_KEYS_FILE), a JSON array.",
    )
    return Exit.OK


def _add(path: Path, entry: dict[str, str]) -> None:
    """Replace the list in one step: the API may be reading it."""
    entries = json.loads(path.read_bytes()) if path.exists() else []
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(json.dumps([*entries, entry], indent=1) + "\n")
        TrustList.load(draft)  # a kid that is there already would be refused by the API
        draft.replace(path)
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)

"""The environment of the embedded servers."""

import os

# The servers inherit nothing else: no language for their messages, no PG* variables.
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"}

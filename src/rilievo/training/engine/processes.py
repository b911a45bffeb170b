"""Processes of a run."""

import os


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun or Fabric started."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))

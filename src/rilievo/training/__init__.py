"""Training: recipes, their frames, and the loop that makes weights."""

import os
from typing import NoReturn

from rilievo.other_libraries import refuse_module_attribute

# Before torch is imported: the threads of its operators spin while they wait for each other, which
# takes many times the CPU time where the machine does other work too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> NoReturn:
    refuse_module_attribute(__name__, name)

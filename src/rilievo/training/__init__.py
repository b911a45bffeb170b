"""Training: recipes, their frames, and the loop that makes weights."""

import os

# Before torch is imported: the threads of its operators spin while they wait for each other, which
# takes many times the CPU time where the machine does other work too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

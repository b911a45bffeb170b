"""Training of networks: on video, with ground truth, of probes, and further training of models."""

import os

# The threads of torch's operators spin while they wait for each other, which takes many times the
# CPU time where the machine does other work too. Torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""One engine for all training: loop, devices, checkpoints, logs and run folders."""
